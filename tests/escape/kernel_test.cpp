// What is no row of checks.h: kernel settings, errnos, processes that stay, FIFOs: ids E18, E19, E24 to E34, E38, E43, E61, E68.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/core_limit.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/socket.h"
#include "tests/escape/escape.h"

namespace sandboxd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Sets a kernel setting of the whole host, and puts back what was there.
class Setting {
 public:
  Setting(std::string path, const std::string& value) : path_(std::move(path)) {
    const auto before = read_file(AT_FDCWD, path_, 4096);
    if (!before.ok()) return;
    before_ = *before;
    changed_ = write_file_at(AT_FDCWD, path_, value).ok();
  }
  ~Setting() {
    if (changed_) static_cast<void>(write_file_at(AT_FDCWD, path_, before_).ok());
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;
  [[nodiscard]] bool changed() const { return changed_; }

 private:
  std::string path_, before_;
  bool changed_ = false;
};

std::size_t lines_of(const std::string& path) {
  std::ifstream file(path);
  std::size_t lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
  return lines;
}

TEST_F(Escape, E18_NoFileOfProcSysOrSysOpensForWriting) {
  for (const char* user : {"--user=self", "--user=root"}) {
    const Output output = jailed({"probe_proc", "write-all"}, "", {user});
    EXPECT_EQ(output.status, 1) << describe(output);
    EXPECT_THAT(output.out, Not(HasSubstr("through")));
    EXPECT_THAT(output.out, Not(HasSubstr("files 0\n")));
  }
}

// Of a job here: 1, but under a hard limit of 0 that this machine's root can't raise (as sudo leaves it in some containers).
rlim_t core_limit_of_jobs() {
  raise_core_limit();
  return std::min<rlim_t>(hard_core_limit().value(), 1);
}

TEST_F(Escape, E19_E80_NoCrashStartsTheHostsCoreDumpHelper) {
  if (core_limit_of_jobs() == 0) GTEST_SKIP() << "the hard core limit is 0 for good here: see the test below";
  const std::string log = stack().dir().path() + "/crashes";
  const std::string helper =
      stack().dir().write("helper", fmt::format("#!/bin/sh\necho \"$1\" >>{}\nexec cat >/dev/null\n", log), 0, 0755);
  // The kernel starts it in the root of its own threads.
  if (command_name(2) == "kthreadd" && ::access(("/proc/2/root" + helper).c_str(), X_OK) < 0)
    GTEST_SKIP() << "the kernel's threads have another root than this test: nothing to compare with";
  const Setting setting("/proc/sys/kernel/core_pattern", "|" + helper + " %e");
  if (!setting.changed()) GTEST_SKIP() << "kernel.core_pattern can't be set here";
  EXPECT_EQ(jailed({"probe_proc", "crash", "keep"}).status, 128 + SIGSEGV);
  const Output lowered = jailed({"probe_proc", "crash", "lower"});
  EXPECT_EQ(lowered.status, 128 + SIGSEGV);
  EXPECT_THAT(lowered.out, HasSubstr("refused setrlimit"));
  EXPECT_EQ(jailed({"probe_proc", "crash", "lower"}, "", {"--user=root"}).status, 128 + SIGSEGV);
  EXPECT_EQ(on_host(kAlice, {"probe_proc", "crash", "lower"}).status, 128 + SIGSEGV);
  EXPECT_TRUE(eventually([&] { return lines_of(log) > 0; })) << "the helper did not run for the control";
  EXPECT_EQ(lines_of(log), 1U);
}

// Whichever of the two kernel.core_pattern stands here: it is every process's, and other tests run jails meanwhile.
TEST_F(Escape, E19_UnderAHardLimitOfZeroNoProgramCanBeNamed) {
  Stack own;
  ASSERT_EQ(own.failure(), "");
  const rlimit zero{0, 0};
  ASSERT_EQ(::prlimit(own.program("sandboxd-launcher"), RLIMIT_CORE, &zero, nullptr), 0);
  const Output output = own.ctl(kAlice, {"run", "--name=limited", "--", "/bin/sh", "-c", "ulimit -Hc"});
  if (read_file(AT_FDCWD, "/proc/sys/kernel/core_pattern").value().starts_with('|')) {
    EXPECT_EQ(output.status, 125) << describe(output);
    EXPECT_THAT(output.err, HasSubstr("failed at 'core-limit': kernel.core_pattern is '|"));
  } else {
    EXPECT_EQ(output.out, "0\n") << describe(output);
    EXPECT_THAT(own.ctl(kAlice, {"inspect", "limited"}).out, HasSubstr("core_limit\t0 0\n"));
  }
}

TEST_F(Escape, E24_TheFirstProcessKeepsThreeCapabilitiesAndNoGroup) {
  Command run(stack().ctl_spec(kAlice, {"run", "--", "/bin/sh", "-c", "echo up; exec sleep 1000"}));
  ASSERT_TRUE(run.await_output("up"));
  int seen = 0;
  for (const pid_t pid : processes_of_ids(stack().slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail)) {
    if (command_name(pid) != "jail-init") continue;
    ++seen;
    for (const char* set : {"CapPrm", "CapEff"})
      EXPECT_EQ(status_line(pid, set), "00000000000000e0") << set;  // KILL, SETGID, SETUID
    for (const char* set : {"CapInh", "CapAmb", "CapBnd"}) EXPECT_EQ(status_line(pid, set), "0000000000000000") << set;
    EXPECT_EQ(status_line(pid, "Groups"), "");
    EXPECT_EQ(status_line(pid, "NoNewPrivs"), "1");
    EXPECT_EQ(status_line(pid, "Seccomp"), "2");
  }
  EXPECT_EQ(seen, 1);
  run.signal(SIGKILL);
}

TEST_F(Escape, E25_AUserIsSelfOrRootAndNothingElse) {
  EXPECT_EQ(stack().ctl(kAlice, {"run", "--user=self", "--", "id", "-u"}).out, "4242\n");
  EXPECT_EQ(stack().ctl(kAlice, {"run", "--user=root", "--", "id", "-u"}).out, "0\n");
  for (const char* user : {"1", "01", "-1", "4294967295", "0x0", "+0", "0", "", "4242", "root ", "nobody"}) {
    const Output output = stack().ctl(kAlice, {"run", fmt::format("--user={}", user), "--", "id", "-u"});
    EXPECT_EQ(output.status, 125) << user << ": " << describe(output);
    EXPECT_EQ(output.out, "") << user;
  }
}

// What is refused, beyond that it is: a program falls back only from ENOSYS, and EPERM is told from a kernel that lacks a call.
TEST_F(Escape, E26_E30_E32_RefusalsHaveTheErrnoThatProgramsExpect) {
  EXPECT_EQ(parse_probe(jailed({"probe_privs", "namespaces"}))["clone3-user"].detail, "ENOSYS");
  for (const auto& [name, tried] : parse_probe(jailed({"probe_abi", "foreign"})))
    EXPECT_EQ(tried.detail, "ENOSYS") << name;
  for (const auto& [name, tried] : parse_probe(jailed({"probe_abi", "terminal"})))
    EXPECT_EQ(tried.detail, "EPERM") << name;
}

TEST_F(Escape, E31_LibcFallsBackFromCallsThatDoNotExist) {
  const Output works = jailed({"probe_abi", "fallbacks"});
  EXPECT_THAT(works.out, Not(HasSubstr("refused"))) << describe(works);
}

TEST_F(Escape, E34_RoutesCanBeReadButNotUnderStrict) {
  EXPECT_EQ(parse_probe(jailed({"probe_abi", "route"}))["netlink-route"].through, true);
  expect_refused(jailed({"probe_abi", "route"}, "", {"--profile=strict"}), on_host(kAlice, {"probe_abi", "route"}),
                 {"netlink-route", "inet"});
}

// Listens on a path (and on "@" + name when abstract).
class Listener {
 public:
  explicit Listener(const std::string& address, int type = SOCK_STREAM)
      : fd_(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.copy(name.sun_path, sizeof name.sun_path - 1);
    auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size() + 1);
    if (address[0] == '@') {
      name.sun_path[0] = '\0';
      --size;
    }
    up_ = ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&name), size) == 0 &&
          (type == SOCK_DGRAM || ::listen(fd_.get(), 8) == 0);
  }
  [[nodiscard]] bool up() const { return up_; }

 private:
  UniqueFd fd_;
  bool up_ = false;
};

TEST_F(Escape, E38_TheDaemonTakesNoCallFromAnIdOfThePool) {
  EXPECT_EQ(stack().ctl(kAlice, {"ps"}).status, 0);
  EXPECT_EQ(stack().ctl(stack().slice() + kIdsPerJail + kJobOffset, {"ps"}).status, 125);
}

TEST_F(Escape, E43_EverythingIsDeadAfterAKill) {
  Command run(stack().ctl_spec(kAlice, {"run", "--name=stay", "--ro-bind", stack().probes() + ":/probes", "--",
                                        "/probes/probe_stay", "wait", "20"}));
  ASSERT_TRUE(run.await_output("ready"));
  const auto jailed_processes = [&] {
    return processes_of_ids(stack().slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail).size();
  };
  EXPECT_EQ(jailed_processes(), 22U);
  EXPECT_EQ(stack().ctl(kAlice, {"kill", "stay", "--signal=KILL"}).status, 0);
  EXPECT_EQ(run.finish().status, 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return jailed_processes() == 0; }));
}

TEST_F(Escape, E43_TheJailEndsWithItsJob) {
  const Output output = jailed({"probe_stay", "leave", "20"});
  EXPECT_EQ(output.status, 0) << describe(output);
  EXPECT_TRUE(
      eventually([&] { return processes_of_ids(stack().slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail).empty(); }));
  // The control: outside they outlive whoever started them.
  constexpr uid_t kNobodyElse = 4999;
  EXPECT_EQ(on_host(kNobodyElse, {"probe_stay", "leave", "3"}).status, 0);
  const std::vector<pid_t> stayed = processes_of_ids(kNobodyElse, 1);
  EXPECT_EQ(stayed.size(), 3U);
  for (const pid_t pid : stayed) ::kill(pid, SIGKILL);
}

TEST_F(Escape, E61_TheHostIsNotRecognised) {
  Tries inside = parse_probe(jailed({"probe_self", "identity"}, "", {"--hostname=box"}));
  Tries outside = parse_probe(on_host(kAlice, {"probe_self", "identity"}));
  EXPECT_EQ(inside["hostname"].detail, "box");
  EXPECT_NE(inside["hostname"].detail, outside["hostname"].detail);
  EXPECT_EQ(inside["etc-hostname"].detail, "box");
  for (const char* name : {"machine-id", "dbus-machine-id", "dmi"})
    EXPECT_FALSE(inside[name].through) << name << " " << inside[name].detail;
  ASSERT_TRUE(outside["boot-id"].through);
  EXPECT_NE(inside["boot-id"].detail, outside["boot-id"].detail);
}

// The control of E68: what holds a FIFO back is Landlock, since a read-only mount doesn't.
struct Fifo {
  explicit Fifo(const std::string& workspace) : path(workspace + "/fifo") {
    EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(::chown(path.c_str(), kAlice, kAlice), 0);
    reader.reset(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  std::string path;
  UniqueFd reader{};
};

TEST_F(Escape, E68_AFifoOfAReadOnlyWorkspaceCantBeWritten) {
  const std::string workspace = make_workspace();
  const Fifo fifo(workspace);
  const Output control = on_host(kAlice, {"probe_ipc", "fifo", fifo.path});
  EXPECT_TRUE(parse_probe(control)["write"].through) << describe(control);
  const Output inside = jailed({"probe_ipc", "fifo", "/work/fifo"}, "",
                               {"--workspace=ro", "--workspace-dir", workspace, "--at", "/work"});
  EXPECT_EQ(inside.status, 1) << describe(inside);
  EXPECT_EQ(parse_probe(jailed({"probe_ipc", "fifo", "/work/fifo"}, workspace, {"--at", "/work"}))["write"].through,
            true)
      << "what is rw may be written";
}

// Landlock's right to write reaches through a mount point. What holds here is the id map, which leaves the group out.
TEST_F(Escape, E68_AFifoBelowAWritablePlaceCantBeWrittenThroughAReadOnlyMount) {
  const std::string workspace = make_workspace();
  const std::string writable = make_workspace();
  std::filesystem::create_directories(writable + "/below");
  const Fifo fifo(workspace);
  const Fifo deeper(stack().dir().make(workspace.substr(stack().dir().path().size() + 1) + "/deep", kAlice));
  static_cast<void>(
      stack().dir().write(workspace.substr(stack().dir().path().size() + 1) + "/private", "alice's\n", kAlice, 0600));
  EXPECT_TRUE(parse_probe(on_host(kAlice, {"probe_ipc", "fifo", fifo.path}))["write"].through);
  const auto at = [&](const std::string& place) {
    return std::vector<std::vector<std::string>>{{"--workspace=ro", "--workspace-dir", workspace, "--at", place},
                                                 {"--ro-bind", workspace + ":" + place}};
  };
  for (const std::string place : {"/tmp/at", "/var/tmp/a/b/at", "/scratch/at", "/work/below"}) {
    for (std::vector<std::string> options : at(place)) {
      options.insert(options.end(), {"--tmpfs", "/scratch:1M", "--bind", writable + ":/work"});
      for (const char* name : {"/fifo", "/deep/fifo"}) {
        const Tries tries = parse_probe(jailed({"probe_ipc", "fifo", place + name}, "", options));
        ASSERT_TRUE(tries.contains("open")) << place << " " << options[0];
        EXPECT_EQ(tries.at("open").detail, "EACCES") << place << " " << options[0];
      }
      options.insert(options.begin(), "run");
      options.insert(options.end(), {"--", "cat", place + "/private"});
      EXPECT_EQ(stack().ctl(kAlice, options).out, "alice's\n") << place << ": what the caller may read stays readable";
    }
  }
}

}  // namespace
}  // namespace sandboxd::test
