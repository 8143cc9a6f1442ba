#include <array>
#include <cerrno>
#include <csignal>
#include <optional>

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/socket.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "daemon/tools/doctor/child.h"
#include "daemon/tools/doctor/doctor.h"
#include "daemon/tools/doctor/host_files.h"

namespace sandboxd::doctor {
namespace {

std::optional<std::string> cgroup2_mount() {
  const Result<std::string> text = read_file(AT_FDCWD, "/proc/self/mountinfo", 4U << 20);
  return text.ok() ? find_cgroup2(*text) : std::nullopt;
}

// A cgroup below the top of the mount, empty, gone again with the object.
class TestCgroup {
 public:
  static Result<TestCgroup> make(const std::string& mount) {
    TestCgroup made;
    made.path_ = fmt::format("{}/sandboxd-doctor-{}", mount, ::getpid());
    if (::mkdir(made.path_.c_str(), 0755) < 0) {
      const int code = errno;
      made.path_.clear();
      return sys_error_code(code, "mkdir cgroup below {}", sandboxd::quoted(mount));
    }
    made.fd_.reset(::open(made.path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!made.fd_) return sys_error("open cgroup {}", sandboxd::quoted(made.path_));
    return made;
  }
  TestCgroup(TestCgroup&& other) noexcept : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}
  TestCgroup& operator=(TestCgroup&&) = delete;
  ~TestCgroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  TestCgroup() = default;
  std::string path_;
  UniqueFd fd_;
};

// cgroup.kill ends a child that was born in the cgroup.
Status kill_through(const TestCgroup& cgroup) {
  bool ended = false;
  const Status status = in_child({.cgroup = cgroup.fd(), .prepare = [&](int, int process) -> Status {
                                    TRY(write_file_at(cgroup.fd(), "cgroup.kill", "1"));
                                    TRY_ASSIGN(ended, wait_readable(process, monotonic_usec() + 5'000'000));
                                    return ended ? Status() : Status(make_error("cgroup.kill ends nothing"));
                                  }});
  // The child is dead, so it has no answer; what failed before that is told.
  return ended ? Status() : status;
}

Outcome unified(const Context&) {
  const auto mount = cgroup2_mount();
  return mount ? offered(*mount) : missing("no cgroup2 file system is mounted");
}

Outcome with_test_cgroup(const Context& context, const std::function<Status(const TestCgroup&)>& body) {
  const auto mount = cgroup2_mount();
  if (!mount) return missing("no cgroup2 file system is mounted");
  const Result<TestCgroup> cgroup = TestCgroup::make(*mount);
  if (!cgroup.ok()) return context.is_root ? missing(cgroup.error().message()) : unknown("can be tried as root only");
  const Status status = body(*cgroup);
  return status.ok() ? offered() : missing(status.error().message());
}

Outcome born_inside(const Context& context) {
  if (context.is_root) {
    return with_test_cgroup(context, [](const TestCgroup& cgroup) { return in_child({.cgroup = cgroup.fd()}); });
  }
  // A kernel that knows the flag looks at the descriptor next: EBADF for one that is none.
  clone_args arguments{};
  arguments.flags = CLONE_INTO_CGROUP;
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = 1'000'000'000;
  const long made = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (made == 0) ::_exit(0);
  return errno == EBADF ? offered("known to the kernel; a real try takes root")
                        : missing(sys_error("clone3 CLONE_INTO_CGROUP").message());
}

Outcome kill_file(const Context& context) { return with_test_cgroup(context, kill_through); }

Outcome freezer(const Context& context) {
  return with_test_cgroup(context,
                          [](const TestCgroup& cgroup) { return write_file_at(cgroup.fd(), "cgroup.freeze", "0"); });
}

Outcome pressure(const Context& context) {
  return with_test_cgroup(context, [](const TestCgroup& cgroup) -> Status {
    for (const char* file : {"cpu.pressure", "memory.pressure", "io.pressure"}) {
      TRY_ASSIGN(const std::string text, read_file(cgroup.fd(), file));
    }
    return {};
  });
}

Outcome controllers(const Context&) {
  const auto mount = cgroup2_mount();
  if (!mount) return missing("no cgroup2 file system is mounted");
  const Result<std::string> text = read_file(AT_FDCWD, *mount + "/cgroup.controllers");
  if (!text.ok()) return unknown(text.error().message());
  const std::string lacking = missing_words(*text, std::array<std::string_view, 4>{"memory", "pids", "cpu", "io"});
  return lacking.empty() ? offered("memory, pids, cpu, io") : missing("without " + lacking);
}

constexpr std::array kProbes = {
    Probe{"cgroup2", "a cgroup2 file system", Need::kRequired, "every jail", unified},
    Probe{"cgroup-birth", "processes born in a cgroup (CLONE_INTO_CGROUP)", Need::kRequired, "every jail", born_inside},
    Probe{"cgroup-kill", "ending a cgroup at once (cgroup.kill)", Need::kRequired, "every jail", kill_file},
    Probe{"cgroup-freeze", "stopping a cgroup (cgroup.freeze)", Need::kOptional, "pausing jails", freezer},
    Probe{"cgroup-controllers", "the controllers of limits", Need::kOptional, "the limits that are missing below",
          controllers},
    Probe{"cgroup-pressure", "pressure files (PSI)", Need::kOptional, "pressure in reports", pressure},
};

}  // namespace

const std::span<const Probe> kCgroupProbes = kProbes;

}  // namespace sandboxd::doctor
