// The compiled default filter in the running kernel: a child loads it, as any user with no_new_privs, and tries calls for
// real. Each refusal that the kernel would not give by itself has its control: the same call without the filter.
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/unique_fd.h"
#include "tests/unit/seccomp-profiles/shipped.h"

namespace sandboxd::filters {
namespace {

// What an attempt came to: 0, or its errno.
using Attempt = int (*)(const std::string& directory);

int outcome(long result) { return result < 0 ? errno : 0; }
int close_after(long fd) {
  if (fd < 0) return errno;
  ::close(static_cast<int>(fd));
  return 0;
}

int try_fork(const std::string&) {
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid == 0) ::_exit(7);
  int status = 0;
  if (::waitpid(pid, &status, 0) < 0) return errno;
  return WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : ECHILD;
}

int try_exec(const std::string&) {
  const pid_t pid = ::vfork();
  if (pid < 0) return errno;
  if (pid == 0) {
    ::execl("/bin/true", "true", nullptr);
    ::_exit(127);
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) < 0) return errno;
  return status == 0 ? 0 : ENOEXEC;
}

// glibc starts a thread with clone3, and with clone when that says ENOSYS.
int try_thread(const std::string&) {
  int seen = 0;
  std::thread([&] { seen = 1; }).join();
  return seen == 1 ? 0 : ECHILD;
}

int try_create(const std::string& directory, int flags, mode_t mode) {
  const std::string path = (flags & O_TMPFILE) == O_TMPFILE ? directory : directory + "/file";
  const int result = close_after(::syscall(SYS_openat, AT_FDCWD, path.c_str(), flags | O_WRONLY | O_CLOEXEC, mode));
  ::unlink((directory + "/file").c_str());
  return result;
}

int try_chmod(const std::string& directory, mode_t mode) {
  const std::string path = directory + "/target";
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  const int result = outcome(::fchmodat(AT_FDCWD, path.c_str(), mode, 0));
  ::close(fd);
  ::unlink(path.c_str());
  return result;
}

// Connects one end of a fresh pair to a socket file that somebody else listens on.
int try_reconnect(const std::string& directory, int type) {
  std::array<int, 2> pair = {-1, -1};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair.data()) < 0) return errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, (directory + (type == SOCK_DGRAM ? "/datagrams" : "/packets")).c_str(),
               sizeof address.sun_path - 1);
  const int result = outcome(::connect(pair[0], reinterpret_cast<const sockaddr*>(&address), sizeof address));
  ::close(pair[0]);
  ::close(pair[1]);
  return result;
}

int try_set_core(const std::string&) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) < 0) return errno;
  return outcome(::syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, nullptr));
}

int try_set_nofile(const std::string&) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return errno;
  return outcome(::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, nullptr));
}

int try_kernel_tls(const std::string&) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int result = outcome(::setsockopt(fd, SOL_TCP, TCP_ULP, "tls", 3));
  ::close(fd);
  return result;
}

// The register's upper half is the caller's to choose; the kernel looks at the lower.
int try_sti_with_high_bits(const std::string&) {
  const char byte = 'x';
  return outcome(::syscall(SYS_ioctl, 0L, 0x100000000UL | TIOCSTI, &byte));
}

int try_pair(const std::string&, int type) {
  std::array<int, 2> pair = {-1, -1};
  if (::socketpair(AF_UNIX, type, 0, pair.data()) < 0) return errno;
  ::close(pair[0]);
  ::close(pair[1]);
  return 0;
}

struct Row {
  const char* name;
  Attempt attempt;
  int filtered;    // with the filter
  int unfiltered;  // without; kAny where that is the host's matter
};
constexpr int kAny = -1;

const std::vector<Row> kRows = {
    {"fork and wait", try_fork, 0, 0},
    {"exec", try_exec, 0, 0},
    {"a thread", try_thread, 0, 0},
    {"clone3", [](const std::string&) { return outcome(::syscall(SYS_clone3, nullptr, 0)); }, ENOSYS, EINVAL},
    {"openat2", [](const std::string&) { return outcome(::syscall(SYS_openat2, AT_FDCWD, "/", nullptr, 0)); }, ENOSYS,
     EINVAL},
    {"clone with a user namespace",
     [](const std::string&) { return outcome(::syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD, 0, 0, 0, 0)); }, EPERM,
     EINVAL},
    {"unshare", [](const std::string&) { return outcome(::unshare(CLONE_FILES)); }, EPERM, 0},
    {"mount", [](const std::string&) { return outcome(::syscall(SYS_mount, "x", "/nowhere", "x", 0, nullptr)); }, EPERM,
     kAny},
    {"ptrace", [](const std::string&) { return outcome(::syscall(SYS_ptrace, 0x4206, 1, 0, ~0UL)); }, EPERM, kAny},
    {"a unix socket", [](const std::string&) { return close_after(::socket(AF_UNIX, SOCK_STREAM, 0)); }, EAFNOSUPPORT,
     0},
    {"an inet socket", [](const std::string&) { return close_after(::socket(AF_INET, SOCK_STREAM, 0)); }, 0, 0},
    {"a route socket", [](const std::string&) { return close_after(::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)); }, 0,
     0},
    {"a netlink socket of another protocol",
     [](const std::string&) { return close_after(::socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT)); },
     EAFNOSUPPORT, 0},
    {"an mptcp socket", [](const std::string&) { return close_after(::socket(AF_INET, SOCK_STREAM, 262)); },
     EPROTONOSUPPORT, kAny},
    {"a stream pair", [](const std::string& d) { return try_pair(d, SOCK_STREAM); }, 0, 0},
    {"a datagram pair", [](const std::string& d) { return try_pair(d, SOCK_DGRAM); }, ESOCKTNOSUPPORT, 0},
    {"a datagram pair, connected again", [](const std::string& d) { return try_reconnect(d, SOCK_DGRAM); },
     ESOCKTNOSUPPORT, 0},
    {"a packet pair, connected again", [](const std::string& d) { return try_reconnect(d, SOCK_SEQPACKET); }, EISCONN,
     EISCONN},
    {"kernel TLS", try_kernel_tls, ENOENT, kAny},
    {"a file", [](const std::string& d) { return try_create(d, O_CREAT | O_EXCL, 0600); }, 0, 0},
    {"a setuid file", [](const std::string& d) { return try_create(d, O_CREAT | O_EXCL, 04755); }, EPERM, 0},
    {"a nameless setuid file", [](const std::string& d) { return try_create(d, O_TMPFILE, 04755); }, EPERM, kAny},
    {"chmod", [](const std::string& d) { return try_chmod(d, 0755); }, 0, 0},
    {"chmod to setuid", [](const std::string& d) { return try_chmod(d, 04755); }, EPERM, 0},
    {"chmod to setgid", [](const std::string& d) { return try_chmod(d, 02755); }, EPERM, kAny},
    {"TIOCSTI with high bits", try_sti_with_high_bits, EPERM, kAny},
    {"RLIMIT_CORE", try_set_core, EINVAL, 0},
    {"RLIMIT_NOFILE", try_set_nofile, 0, 0},
    {"personality, asked", [](const std::string&) { return outcome(::personality(0xFFFFFFFF)); }, 0, 0},
    {"personality, changed", [](const std::string&) { return outcome(::personality(ADDR_NO_RANDOMIZE)); }, EPERM, 0},
    {"a call that no kernel has", [](const std::string&) { return outcome(::syscall(999)); }, ENOSYS, ENOSYS},
    {"a filter of its own",
     [](const std::string&) { return outcome(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, nullptr)); }, EFAULT,
     EFAULT},
    {"a listener of its own",
     [](const std::string&) {
       return outcome(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, nullptr));
     },
     EPERM, EFAULT},
    {"a keyring", [](const std::string&) { return outcome(::syscall(SYS_keyctl, 0, -3, 0)); }, EPERM, kAny},
};

Status load(const Compiled& compiled) {
  const sock_fprog program{static_cast<unsigned short>(compiled.program.size()),
                           const_cast<sock_filter*>(compiled.program.data())};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return sys_error("prctl PR_SET_NO_NEW_PRIVS");
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) return sys_error("seccomp");
  return {};
}

// A directory with two socket files that something is bound to.
class RealKernel : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "sandboxd-filter-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    datagrams_ = bound(SOCK_DGRAM, "/datagrams");
    packets_ = bound(SOCK_SEQPACKET, "/packets");
    ASSERT_EQ(::listen(packets_.get(), 1), 0);
  }
  void TearDown() override {
    ::unlink((directory_ + "/datagrams").c_str());
    ::unlink((directory_ + "/packets").c_str());
    ::rmdir(directory_.c_str());
  }
  UniqueFd bound(int type, const std::string& name) {
    UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (directory_ + name).c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // Every attempt in one child; its errno for each row.
  std::vector<int> outcomes(const Compiled* compiled) {
    std::array<int, 2> pipe = {-1, -1};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      if (compiled != nullptr && !load(*compiled).ok()) ::_exit(1);
      for (const Row& row : kRows) {
        const int result = row.attempt(directory_);
        if (::write(pipe[1], &result, sizeof result) != sizeof result) ::_exit(2);
      }
      ::_exit(0);
    }
    ::close(pipe[1]);
    std::vector<int> all;
    for (int result = 0; ::read(pipe[0], &result, sizeof result) == sizeof result;) all.push_back(result);
    ::close(pipe[0]);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "the child ended early";
    return all;
  }
  std::string directory_{};
  UniqueFd datagrams_{};
  UniqueFd packets_{};
};

TEST_F(RealKernel, RefusesAndAllowsAsTheDefaultFilterSays) {
  const auto compiled = compile(shipped_filter("default"), host_arch());
  const std::vector<int> got = outcomes(compiled.get());
  ASSERT_EQ(got.size(), kRows.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(errno_name(got[i]), errno_name(kRows[i].filtered)) << kRows[i].name;
}

TEST_F(RealKernel, WouldNotRefuseWithoutTheFilter) {
  const std::vector<int> got = outcomes(nullptr);
  ASSERT_EQ(got.size(), kRows.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (kRows[i].unfiltered == kAny) continue;
    EXPECT_EQ(errno_name(got[i]), errno_name(kRows[i].unfiltered)) << kRows[i].name;
  }
}

// Exit status of a child that made one call of another ABI: its errno, or 0.
#if defined(__x86_64__)
int foreign_call(const Compiled* compiled, bool i386) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (compiled != nullptr && !load(*compiled).ok()) ::_exit(255);
    long result = 0;
    if (i386) {
      result = 20;  // getpid of i386
      asm volatile("int $0x80" : "+a"(result) : : "r8", "r9", "r10", "r11", "memory");
      ::_exit(result < 0 ? static_cast<int>(-result) : 0);
    }
    result = ::syscall(SYS_getpid | static_cast<long>(kX32Bit));
    ::_exit(result < 0 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

TEST(RealKernelAbi, RefusesI386) {
  if (foreign_call(nullptr, true) != 0) GTEST_SKIP() << "this kernel has no i386 calls";
  EXPECT_EQ(foreign_call(compile(shipped_filter("default"), host_arch()).get(), true), ENOSYS);
}

TEST(RealKernelAbi, RefusesX32) {
  EXPECT_EQ(foreign_call(compile(shipped_filter("default"), host_arch()).get(), false), ENOSYS);
}
#endif

TEST(RealKernelAbi, LoadsStrictToo) {
  const auto compiled = compile(shipped_filter("strict"), host_arch());
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(load(*compiled).ok() && ::socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? 0 : 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace sandboxd::filters
