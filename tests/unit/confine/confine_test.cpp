// Each of our programs' filters, loaded for real in a child that is confined as the program is.
#include "daemon/confine/confine.h"

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/proc_status.h"
#include "base/socket.h"
#include "daemon/confine/capabilities.h"
#include "tests/support/program.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

namespace sandboxd {
namespace {

constexpr uid_t kUid = own_id(kPoolFirst, OwnId::kSandboxd);
// Exit statuses of the child that are no errno.
constexpr int kKilled = 1000;
constexpr int kNotConfined = 250;

const char* name_of(Program program) {
  switch (program) {
    case Program::kSandboxd: return "sandboxd";
    case Program::kBroker: return "broker";
    case Program::kAudit: return "audit";
  }
  return "?";
}

struct Attempt {
  const char* name;
  long (*call)();
};

// 0: it worked; else its errno, or kKilled.
int outcome(Program program, const ConfineOptions& options, const std::function<long()>& call) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const Status ready = become_unprivileged(kUid, kUid);
    const Status done = ready.ok() ? confine_self(program, options) : ready;
    if (!done.ok()) {
      fmt::print(stderr, "{}\n", done.error().message());
      ::_exit(kNotConfined);
    }
    errno = 0;
    ::_exit(call() >= 0 ? 0 : errno);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? kKilled : 2000 + WTERMSIG(status);
  return WEXITSTATUS(status);
}

class Confined : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: takes another id";
    ASSERT_EQ(::chown(dir_.path().c_str(), kUid, kUid), 0);
  }
  [[nodiscard]] ConfineOptions options() const { return {{}, {dir_.path()}}; }
  test::TempDir dir_;
};

class Confine : public Confined, public ::testing::WithParamInterface<Program> {};

const Attempt kAttacks[] = {
    {"execve",
     [] {
       char* const argv[] = {nullptr};
       return static_cast<long>(::execve("/bin/true", argv, argv));
     }},
    {"execveat", [] { return ::syscall(SYS_execveat, 0, "", nullptr, nullptr, AT_EMPTY_PATH); }},
    {"socket AF_INET", [] { return static_cast<long>(::socket(AF_INET, SOCK_STREAM, 0)); }},
    {"socket AF_INET6", [] { return static_cast<long>(::socket(AF_INET6, SOCK_DGRAM, 0)); }},
    {"socket AF_NETLINK", [] { return static_cast<long>(::socket(AF_NETLINK, SOCK_RAW, 0)); }},
    {"socket AF_VSOCK", [] { return static_cast<long>(::socket(AF_VSOCK, SOCK_STREAM, 0)); }},
    {"socket AF_PACKET", [] { return static_cast<long>(::socket(AF_PACKET, SOCK_RAW, 0)); }},
    {"process_vm_writev", [] { return ::syscall(SYS_process_vm_writev, ::getpid(), nullptr, 0, nullptr, 0, 0); }},
    {"pidfd_getfd", [] { return ::syscall(SYS_pidfd_getfd, 0, 0, 0); }},
    {"mount", [] { return ::syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr); }},
    {"fsopen", [] { return ::syscall(SYS_fsopen, "tmpfs", 0); }},
    {"open_tree", [] { return ::syscall(SYS_open_tree, AT_FDCWD, "/", 0); }},
    {"pivot_root", [] { return ::syscall(SYS_pivot_root, ".", "."); }},
    {"chroot", [] { return static_cast<long>(::chroot("/")); }},
    {"unshare", [] { return static_cast<long>(::unshare(CLONE_NEWUSER)); }},
    {"setns", [] { return static_cast<long>(::setns(0, 0)); }},
    {"bpf", [] { return ::syscall(SYS_bpf, 0, nullptr, 0); }},
    {"init_module", [] { return ::syscall(SYS_init_module, nullptr, 0, ""); }},
    {"kexec_load", [] { return ::syscall(SYS_kexec_load, 0, 0, nullptr, 0); }},
    {"perf_event_open", [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); }},
    {"userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0); }},
    {"io_uring_setup", [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }},
    {"setresuid", [] { return ::syscall(SYS_setresuid, 0, 0, 0); }},
    {"setgroups", [] { return ::syscall(SYS_setgroups, 0, nullptr); }},
    {"capset", [] { return ::syscall(SYS_capset, nullptr, nullptr); }},
    {"keyctl", [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
    {"open_by_handle_at", [] { return ::syscall(SYS_open_by_handle_at, 0, nullptr, 0); }},
    {"reboot", [] { return ::syscall(SYS_reboot, 0, 0, 0, nullptr); }},
#if !SANITIZED
    {"ptrace", [] { return ::syscall(SYS_ptrace, PTRACE_TRACEME, 0, nullptr, nullptr); }},
    {"process_vm_readv", [] { return ::syscall(SYS_process_vm_readv, ::getpid(), nullptr, 0, nullptr, 0, 0); }},
#endif
#ifdef __x86_64__
    {"getpid by an x32 number", [] { return ::syscall(0x40000000 | SYS_getpid); }},
    {"execve by i386's door",
     [] {
       long result = 11;
       __asm__ volatile("int $0x80" : "+a"(result) : "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
       return result;
     }},
#endif
};

const Attempt kUnknown[] = {
    {"chmod", [] { return ::syscall(SYS_fchmodat, AT_FDCWD, "/tmp", 0777, 0); }},
    {"mknod", [] { return static_cast<long>(::mknod("/tmp/x", S_IFIFO | 0600, 0)); }},
    {"seccomp", [] { return ::syscall(SYS_seccomp, 0, 0, nullptr); }},
    {"fanotify_init", [] { return ::syscall(SYS_fanotify_init, 0, 0); }},
#if !SANITIZED
    {"clone with a user namespace",
     [] { return ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr); }},
    {"clone3", [] { return ::syscall(SYS_clone3, nullptr, 0); }},
    {"mmap of code",
     [] {
       return ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1L : 0L;
     }},
    {"mprotect to code",
     [] {
       void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return static_cast<long>(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
     }},
#endif
};

TEST_P(Confine, EndsAProgramThatDoesWhatOnlyAnAttackerWould) {
  for (const Attempt& attempt : kAttacks)
    EXPECT_EQ(outcome(GetParam(), options(), attempt.call), kKilled) << attempt.name;
}

TEST_P(Confine, HasNoOtherCall) {
  for (const Attempt& attempt : kUnknown)
    EXPECT_EQ(outcome(GetParam(), options(), attempt.call), ENOSYS) << attempt.name;
}

TEST_P(Confine, LeavesWhatAProgramNeedsToWork) {
  EXPECT_EQ(outcome(GetParam(), options(),
                    [] {
                      std::string grown(1 << 22, 'x');  // malloc by mmap
                      char buffer[16] = {};
                      const int fd = ::dup(2);
                      if (fd < 0 || ::close(fd) < 0 || ::getpid() <= 0) return -1;
                      return grown.size() == (1 << 22) && ::syscall(SYS_getrandom, buffer, sizeof buffer, 0) == 16 ? 0
                                                                                                                   : -1;
                    }),
            0);
}

TEST_P(Confine, LeavesOnlyTheNamedDirectory) {
  const std::string inside = dir_.path() + "/x";
  const int fallback = GetParam() == Program::kBroker && !SANITIZED ? ENOSYS : EACCES;
  EXPECT_EQ(outcome(GetParam(), options(), [] { return ::open("/etc/passwd", O_RDONLY); }), fallback);
  EXPECT_EQ(outcome(GetParam(), options(), [] { return ::open("/", O_RDONLY | O_DIRECTORY); }), fallback);
  EXPECT_EQ(outcome(GetParam(), options(), [] { return ::open("/tmp/sandboxd-test-none", O_WRONLY | O_CREAT, 0600); }),
            fallback);
  if (GetParam() == Program::kBroker) return;
  EXPECT_EQ(outcome(GetParam(), options(), [&] { return ::open(inside.c_str(), O_WRONLY | O_CREAT, 0600); }), 0);
}

TEST_P(Confine, ShowsInTheKernelsOwnWords) {
  int stop[2];
  int ready[2];
  ASSERT_EQ(::pipe2(stop, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(stop[1]);
    char byte = become_unprivileged(kUid, kUid).ok() && confine_self(GetParam(), options()).ok() ? 'y' : 'n';
    (void)!::write(ready[1], &byte, 1);
    (void)!::read(stop[0], &byte, 1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  const UniqueFd proc(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_CLOEXEC));
  const Result<ProcStatus> status = read_proc_status(proc.get());
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(status->cap_permitted, 0U);
  EXPECT_EQ(status->cap_effective, 0U);
  EXPECT_EQ(status->cap_inheritable, 0U);
  EXPECT_EQ(status->cap_bounding, 0U);
  EXPECT_EQ(status->cap_ambient, 0U);
  EXPECT_TRUE(status->no_new_privs);
  EXPECT_EQ(status->seccomp, SeccompMode::kFilter);
  EXPECT_THAT(status->uid, ::testing::Each(kUid));
  EXPECT_TRUE(status->groups.empty());
  for (const int fd : {stop[0], stop[1], ready[0], ready[1]}) ::close(fd);
  ::waitpid(pid, nullptr, 0);
}

INSTANTIATE_TEST_SUITE_P(Programs, Confine, ::testing::Values(Program::kSandboxd, Program::kBroker, Program::kAudit),
                         [](const auto& one) { return std::string(name_of(one.param)); });

TEST_F(Confined, LetsOnlyTheMainDaemonOpenSockets) {
  const auto opens = [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); };
  EXPECT_EQ(outcome(Program::kSandboxd, options(), opens), 0);
  EXPECT_EQ(outcome(Program::kBroker, options(), opens), ENOSYS);
  EXPECT_EQ(outcome(Program::kAudit, options(), opens), ENOSYS);
}

TEST_F(Confined, LetsOnlyTheBrokerSignal) {
  const auto signals = [] { return ::kill(::getpid(), 0); };
  EXPECT_EQ(outcome(Program::kBroker, options(), signals), 0);
  EXPECT_EQ(outcome(Program::kSandboxd, options(), signals), ENOSYS);
  EXPECT_EQ(outcome(Program::kAudit, options(), signals), ENOSYS);
}

TEST_F(Confined, ReadsWhatIsReadable) {
  const ConfineOptions readable{{"/etc/passwd"}, {}};
  EXPECT_EQ(outcome(Program::kSandboxd, readable, [] { return ::open("/etc/passwd", O_RDONLY); }), 0);
  EXPECT_EQ(outcome(Program::kSandboxd, readable, [] { return ::open("/etc/group", O_RDONLY); }), EACCES);
}

// The error of `body` in a child; 0 when there was none.
int code_in_child(const std::function<Status()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const Status status = body();
    ::_exit(status.ok() ? 0 : status.error().code);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST(ConfineSelf, RefusesAProgramWithCapabilities) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: has capabilities to start with";
  EXPECT_EQ(code_in_child([] { return confine_self(Program::kBroker, {}); }), EPERM);
}

TEST(ConfineSelf, RefusesAProgramThatCouldGetThemBack) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: takes another id";
  // Another id, no capability: but a full bounding set.
  EXPECT_EQ(code_in_child([] {
              if (::setresgid(kUid, kUid, kUid) < 0 || ::setresuid(kUid, kUid, kUid) < 0)
                return Status(make_error("ids"));
              return confine_self(Program::kBroker, {});
            }),
            EPERM);
}

TEST(ConfineSelf, RefusesAPathThatIsNotThereOrIsEverything) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: takes another id";
  const auto confine = [](const char* path) {
    return [path]() -> Status {
      TRY(become_unprivileged(kUid, kUid));
      return confine_self(Program::kAudit, {{}, {path}});
    };
  };
  EXPECT_EQ(code_in_child(confine("/nonexistent")), ENOENT);
  EXPECT_EQ(code_in_child(confine("/")), EINVAL);
}

TEST(ConfineSelf, RefusesAProgramWithASecondThread) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: takes another id";
  if (SANITIZED) GTEST_SKIP() << "a sanitizer has a thread of its own";
  EXPECT_EQ(code_in_child([]() -> Status {
              TRY(become_unprivileged(kUid, kUid));
              int ends[2];
              if (::pipe(ends) < 0) return sys_error("pipe");
              std::thread other([&] {
                char byte = 0;
                (void)!::read(ends[0], &byte, 1);
              });
              Status status = confine_self(Program::kAudit, {});
              ::close(ends[1]);
              other.join();
              return status;
            }),
            EINVAL);
}

TEST(Capabilities, AreGoneForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: takes another id";
  EXPECT_EQ(code_in_child([]() -> Status {
              TRY(become_unprivileged(kUid, kUid));
              if (::setresuid(0, 0, 0) == 0 || ::setgroups(0, nullptr) == 0)
                return sys_error_code(EEXIST, "an id came back");
              return check_unprivileged();
            }),
            0);
}

TEST(Capabilities, AreNotTakenForUidZero) {
  EXPECT_EQ(code_in_child([] { return become_unprivileged(0, kUid); }), EINVAL);
  EXPECT_EQ(code_in_child([] { return become_unprivileged(kUid, 0); }), EINVAL);
}

TEST(Capabilities, AreMissedByTheCheckInNoSet) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: has capabilities to start with";
  EXPECT_EQ(code_in_child([] { return check_no_capabilities(); }), EPERM);
  EXPECT_EQ(code_in_child([]() -> Status {
              TRY(clear_capabilities());
              return check_no_capabilities();
            }),
            EPERM)
      << "the bounding set";
  EXPECT_EQ(code_in_child([]() -> Status {
              TRY(drop_bounding_set());
              return check_no_capabilities();
            }),
            EPERM)
      << "the permitted set";
  EXPECT_EQ(code_in_child([]() -> Status {
              TRY(drop_bounding_set());
              TRY(clear_capabilities());
              TRY(check_no_capabilities());
              return check_unprivileged();
            }),
            EPERM)
      << "uid 0 itself";
}

}  // namespace
}  // namespace sandboxd
