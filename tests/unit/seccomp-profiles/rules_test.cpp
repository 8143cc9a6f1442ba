// What the shipped filters promise, written down apart from them: call by call, in numbers, on both architectures.
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "tests/unit/seccomp-profiles/shipped.h"

namespace sandboxd::filters {
namespace {

constexpr std::uint64_t kHigh = 1ULL << 32;
constexpr int kAllowed = 0;

struct Promise {
  std::string call;
  Args args;
  int error;  // kAllowed, or the errno
};

// Both `default` and `strict`. An aarch64 kernel lacks some: those rows are x86-64's.
const std::vector<Promise> kBoth = {
    // E26: no namespaces
    {"clone", {0x10000000}, EPERM},
    {"clone", {0x10000011}, EPERM},
    {"clone", {0x40000000 | kHigh}, EPERM},
    {"clone", {0x00020000}, EPERM},
    {"clone", {0x02000000}, EPERM},
    {"clone", {0x04000000}, EPERM},
    {"clone", {0x08000000}, EPERM},
    {"clone", {0x20000000}, EPERM},
    {"clone", {0x7E020011}, EPERM},
    {"clone", {0x01200011}, kAllowed},  // fork by glibc
    {"clone", {0x003D0F00}, kAllowed},  // pthread_create
    {"clone", {0x00200111}, kAllowed},  // CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD: a job of jail-init
    {"clone", {0x80}, kAllowed},        // a signal number, not CLONE_NEWTIME
    {"clone3", {}, ENOSYS},
    {"unshare", {0}, EPERM},
    {"unshare", {0x10000000}, EPERM},
    {"setns", {3, 0}, EPERM},
    // E27, E35: other processes, the kernel
    {"ptrace", {0}, EPERM},
    {"process_vm_readv", {}, EPERM},
    {"process_vm_writev", {}, EPERM},
    {"kcmp", {}, EPERM},
    {"pidfd_getfd", {}, EPERM},
    {"process_madvise", {}, EPERM},
    {"bpf", {}, EPERM},
    {"perf_event_open", {}, EPERM},
    {"userfaultfd", {}, EPERM},
    {"lookup_dcookie", {}, EPERM},
    {"open_by_handle_at", {}, EPERM},
    {"name_to_handle_at", {}, EPERM},
    {"kexec_load", {}, EPERM},
    {"kexec_file_load", {}, EPERM},
    {"init_module", {}, EPERM},
    {"finit_module", {}, EPERM},
    {"delete_module", {}, EPERM},
    {"reboot", {}, EPERM},
    {"swapon", {}, EPERM},
    {"swapoff", {}, EPERM},
    {"quotactl", {}, EPERM},
    {"quotactl_fd", {}, EPERM},
    {"syslog", {}, EPERM},
    {"acct", {}, EPERM},
    {"settimeofday", {}, EPERM},
    {"clock_settime", {}, EPERM},
    {"adjtimex", {}, EPERM},
    {"clock_adjtime", {}, EPERM},
    {"vmsplice", {}, EPERM},
    {"memfd_secret", {}, ENOSYS},
    {"fanotify_init", {}, EPERM},
    {"move_pages", {}, EPERM},
    {"migrate_pages", {}, EPERM},
    {"sethostname", {}, EPERM},
    {"pidfd_open", {}, kAllowed},
    {"pidfd_send_signal", {}, kAllowed},
    // E28: keyrings
    {"add_key", {}, EPERM},
    {"keyctl", {}, EPERM},
    {"request_key", {}, EPERM},
    // E14, E35: mounts
    {"mount", {}, EPERM},
    {"umount2", {}, EPERM},
    {"pivot_root", {}, EPERM},
    {"chroot", {}, EPERM},
    {"open_tree", {}, EPERM},
    {"move_mount", {}, EPERM},
    {"fsopen", {}, EPERM},
    {"fsconfig", {}, EPERM},
    {"fsmount", {}, EPERM},
    {"fspick", {}, EPERM},
    {"mount_setattr", {}, EPERM},
    {"open_tree_attr", {}, EPERM},
    {"statmount", {}, ENOSYS},
    {"listmount", {}, ENOSYS},
    // E31, E33
    {"io_uring_setup", {}, ENOSYS},
    {"io_uring_enter", {}, ENOSYS},
    {"io_uring_register", {}, ENOSYS},
    {"openat2", {}, ENOSYS},
    {"fchmodat2", {}, ENOSYS},
    {"faccessat2", {}, kAllowed},
    {"statx", {}, kAllowed},
    {"rseq", {}, kAllowed},
    {"getrandom", {}, kAllowed},
    // E29: devices
    {"mknodat", {0, 0, 0020600}, EPERM},
    {"mknodat", {0, 0, 0060600}, EPERM},
    {"mknodat", {0, 0, 0020600 | kHigh}, EPERM},
    // E32: the kernel reads 32 bits of an ioctl's number
    {"ioctl", {0, 0x5412}, EPERM},
    {"ioctl", {0, 0x5412 | kHigh}, EPERM},
    {"ioctl", {0, 0x541C}, EPERM},
    {"ioctl", {0, 0x541C | 7 * kHigh}, EPERM},
    {"ioctl", {0, 0x5423}, EPERM},
    {"ioctl", {0, 0x5423 | kHigh}, EPERM},
    {"ioctl", {0, 0x5401}, kAllowed},
    {"ioctl", {0, 0x5413}, kAllowed},
    // E34: families
    {"socket", {38, 5, 0}, EAFNOSUPPORT},
    {"socket", {40, 1, 0}, EAFNOSUPPORT},
    {"socket", {17, 3, 3}, EAFNOSUPPORT},
    {"socket", {15, 3, 2}, EAFNOSUPPORT},
    {"socket", {33, 2, 0}, EAFNOSUPPORT},
    {"socket", {30, 1, 0}, EAFNOSUPPORT},
    {"socket", {44, 3, 0}, EAFNOSUPPORT},
    {"socket", {29, 3, 1}, EAFNOSUPPORT},
    {"socket", {31, 3, 1}, EAFNOSUPPORT},
    {"socket", {43, 1, 0}, EAFNOSUPPORT},
    {"socket", {0, 1, 0}, EAFNOSUPPORT},
    {"socket", {16, 3, 6}, EAFNOSUPPORT},
    {"socket", {16, 3, 9}, EAFNOSUPPORT},
    {"socket", {16, 3, 12}, EAFNOSUPPORT},
    {"socket", {16, 3, 15}, EAFNOSUPPORT},
    {"socket", {38 | kHigh, 5, 0}, EAFNOSUPPORT},
    // E68: unix sockets, and the datagram pair that can be connected again
    {"socket", {1, 1, 0}, EAFNOSUPPORT},
    {"socket", {1 | kHigh, 1, 0}, EAFNOSUPPORT},
    {"socket", {1, 2, 0}, EAFNOSUPPORT},
    {"socketpair", {1, 1, 0}, kAllowed},
    {"socketpair", {1, 1 | SOCK_CLOEXEC | SOCK_NONBLOCK, 0}, kAllowed},
    {"socketpair", {1, 5, 0}, kAllowed},
    {"socketpair", {1, 2, 0}, ESOCKTNOSUPPORT},
    {"socketpair", {1, 2 | kHigh, 0}, ESOCKTNOSUPPORT},
    {"socketpair", {1, 2 | SOCK_CLOEXEC, 0}, ESOCKTNOSUPPORT},
    {"socketpair", {1, 3, 0}, ESOCKTNOSUPPORT},
    // kernel TLS
    {"setsockopt", {3, 6, 31}, ENOENT},
    {"setsockopt", {3, 6 | kHigh, 31 | kHigh}, ENOENT},
    {"setsockopt", {3, 6, 1}, kAllowed},
    {"setsockopt", {3, 1, 31}, kAllowed},
    // E35: personality, prctl
    {"personality", {0}, kAllowed},
    {"personality", {0xFFFFFFFF}, kAllowed},
    {"personality", {UINT64_MAX}, kAllowed},
    {"personality", {0x0040000}, EPERM},
    {"personality", {0x0400000}, EPERM},
    {"personality", {8}, EPERM},
    {"prctl", {35}, EPERM},
    {"prctl", {35 | kHigh}, EPERM},
    {"prctl", {62}, EPERM},
    {"prctl", {38, 1}, kAllowed},
    {"prctl", {15}, kAllowed},
    {"prctl", {4}, kAllowed},
    {"prctl", {24}, kAllowed},
    {"prctl", {47}, kAllowed},
    {"prctl", {28}, kAllowed},
    {"prctl", {1}, kAllowed},
    // E36: a filter of one's own is fine, a listener is not
    {"seccomp", {1, 0}, kAllowed},
    {"seccomp", {1, 1}, kAllowed},
    {"seccomp", {1, 8}, EPERM},
    {"seccomp", {1, 9 | kHigh}, EPERM},
    // E64: setuid and setgid bits
    {"fchmod", {3, 04755}, EPERM},
    {"fchmod", {3, 02755}, EPERM},
    {"fchmod", {3, 04755 | kHigh}, EPERM},
    {"fchmod", {3, 01777}, kAllowed},
    {"fchmodat", {0, 0, 06755}, EPERM},
    {"fchmodat", {0, 0, 0755}, kAllowed},
    {"mkdirat", {0, 0, 02755}, EPERM},
    {"mkdirat", {0, 0, 0755}, kAllowed},
    {"mknodat", {0, 0, 0104755}, EPERM},
    {"openat", {0, 0, 0101, 04755}, EPERM},
    {"openat", {0, 0, 0101, 02644}, EPERM},
    {"openat", {0, 0, 020200002, 04755}, EPERM},
    {"openat", {0, 0, 020040002, 04755}, EPERM},
    {"openat", {0, 0, 0101 | kHigh, 04755 | kHigh}, EPERM},
    {"openat", {0, 0, 0, 04755}, kAllowed},
    {"openat", {0, 0, 0101, 0644}, kAllowed},
    {"openat", {0, 0, 0101, 0xFFFF0000000001A4}, kAllowed},
    // E80: RLIMIT_CORE
    {"setrlimit", {4}, EINVAL},
    {"setrlimit", {4 | kHigh}, EINVAL},
    {"setrlimit", {7}, kAllowed},
    {"prlimit64", {0, 4, 1}, EINVAL},
    {"prlimit64", {0, 4, kHigh}, EINVAL},
    {"prlimit64", {0, 4 | kHigh, 1}, EINVAL},
    {"prlimit64", {0, 4, 0}, kAllowed},
    {"prlimit64", {0, 7, 1}, kAllowed},
    {"prlimit64", {9, 3, 0}, kAllowed},
    // E85: the host's huge pages
    {"mmap", {0, 4096, 3, 0x40022}, ENOMEM},
    {"mmap", {0, 4096, 3, 0x40022 | kHigh}, ENOMEM},
    {"mmap", {0, 4096, 3, 0x54040022}, ENOMEM},
    {"mmap", {0, 4096, 3, 0x22}, kAllowed},
    {"memfd_create", {0, 4}, EINVAL},
    {"memfd_create", {0, 0x54000005}, EINVAL},
    // E86: leases
    {"fcntl", {3, 1024, 1}, EINVAL},
    {"fcntl", {3, 1024 | kHigh, 1}, EINVAL},
    {"fcntl", {3, 1025}, kAllowed},
    // what jail-init does for a job
    {"setresuid", {}, kAllowed},
    {"setresgid", {}, kAllowed},
    {"setgroups", {}, kAllowed},
    {"capset", {}, kAllowed},
    {"setsid", {}, kAllowed},
    {"dup3", {}, kAllowed},
    {"close_range", {}, kAllowed},
    {"rt_sigprocmask", {}, kAllowed},
    {"wait4", {}, kAllowed},
    {"waitid", {}, kAllowed},
    {"signalfd4", {}, kAllowed},
    {"ppoll", {}, kAllowed},
    {"sendmsg", {}, kAllowed},
    {"recvmsg", {}, kAllowed},
    {"pipe2", {}, kAllowed},
    {"chdir", {}, kAllowed},
    {"execve", {}, kAllowed},
    {"execveat", {}, kAllowed},
    {"kill", {}, kAllowed},
    {"exit_group", {}, kAllowed},
    {"mmap", {}, kAllowed},
    {"munmap", {}, kAllowed},
    {"futex", {}, kAllowed},
    {"clock_gettime", {}, kAllowed},
    {"fcntl", {}, kAllowed},
    {"fcntl", {3, 1033}, kAllowed},
    {"fcntl", {3, 1036}, EINVAL},
    {"fcntl", {3, 1038 | 1ULL << 32}, EINVAL},
    {"io_setup", {}, ENOSYS},
    {"io_submit", {}, ENOSYS},
};

const std::vector<Promise> kBothX86 = {
    {"chmod", {0, 04755}, EPERM},
    {"chmod", {0, 0755}, kAllowed},
    {"creat", {0, 04755}, EPERM},
    {"creat", {0, 0644}, kAllowed},
    {"mkdir", {0, 02755}, EPERM},
    {"mkdir", {0, 0755}, kAllowed},
    {"mknod", {0, 0104755}, EPERM},
    {"mknod", {0, 0020600}, EPERM},
    {"mknod", {0, 0060600}, EPERM},
    {"open", {0, 0101, 04755}, EPERM},
    {"open", {0, 020200002, 02755}, EPERM},
    {"open", {0, 0, 06777}, kAllowed},
    {"open", {0, 0101, 0644}, kAllowed},
    {"modify_ldt", {}, EPERM},
    {"iopl", {}, EPERM},
    {"ioperm", {}, EPERM},
    {"fork", {}, kAllowed},
    {"vfork", {}, kAllowed},
    {"dup2", {}, kAllowed},
    {"poll", {}, kAllowed},
    {"arch_prctl", {0x1002}, kAllowed},
    {"stat", {}, kAllowed},
    {"uselib", {}, ENOSYS},
    {"_sysctl", {}, ENOSYS},
    {"sysfs", {}, ENOSYS},
    {"ustat", {}, ENOSYS},
};

const std::vector<Promise> kDefaultOnly = {
    {"socket", {2, 1, 0}, kAllowed},
    {"socket", {10, 2 | SOCK_CLOEXEC, 17}, kAllowed},
    {"socket", {2, 1, 6}, kAllowed},
    {"socket", {2, 3, 1}, EPROTONOSUPPORT},
    {"socket", {2, 1, 262}, EPROTONOSUPPORT},
    {"socket", {2, 1, 256}, EPROTONOSUPPORT},
    {"socket", {2, 5, 0}, EPROTONOSUPPORT},
    {"socket", {2, 6, 0}, EPROTONOSUPPORT},
    {"socket", {2, 1, 132}, EPROTONOSUPPORT},
    {"socket", {2, 2, 1}, EPROTONOSUPPORT},
    {"socket", {16, 3, 0}, kAllowed},
    {"socket", {16, 2, 0}, kAllowed},
    {"connect", {}, kAllowed},
    {"accept4", {}, kAllowed},
    {"memfd_create", {}, kAllowed},
    {"inotify_init1", {}, kAllowed},
    {"shmget", {}, kAllowed},
    {"mq_open", {}, kAllowed},
    {"fchownat", {}, kAllowed},
    {"setxattr", {}, kAllowed},
    {"mknodat", {0, 0, 0010644}, kAllowed},
    {"mknodat", {0, 0, 0100644}, kAllowed},
    {"sched_setaffinity", {}, kAllowed},
    {"prctl", {0xABCD}, kAllowed},
    {"landlock_create_ruleset", {}, kAllowed},
    {"copy_file_range", {}, kAllowed},
};

const std::vector<Promise> kStrictOnly = {
    {"fcntl", {3, 1026}, EINVAL},
    {"socket", {2, 1, 0}, EAFNOSUPPORT},
    {"socket", {16, 3, 0}, EAFNOSUPPORT},
    {"socket", {10, 2, 0}, EAFNOSUPPORT},
    {"connect", {}, EPERM},
    {"bind", {}, EPERM},
    {"accept4", {}, EPERM},
    {"memfd_create", {}, ENOSYS},
    {"inotify_init1", {}, ENOSYS},
    {"shmget", {}, ENOSYS},
    {"mq_open", {}, ENOSYS},
    {"fchownat", {}, EPERM},
    {"setxattr", {}, EOPNOTSUPP},
    {"getxattr", {}, EOPNOTSUPP},
    {"mknodat", {0, 0, 0010644}, EPERM},
    {"sched_setaffinity", {}, EPERM},
    {"sched_getaffinity", {}, kAllowed},
    {"prctl", {0xABCD}, EINVAL},
    {"prctl", {36}, kAllowed},
    {"splice", {}, ENOSYS},
    {"tee", {}, ENOSYS},
    {"sync", {}, ENOSYS},
    {"fsync", {}, kAllowed},
    {"sendfile", {}, kAllowed},
};

void expect_promises(const Compiled& compiled, const std::vector<Promise>& promises) {
  for (const Promise& promise : promises) {
    const std::uint32_t wanted =
        promise.error == kAllowed ? std::uint32_t{SECCOMP_RET_ALLOW} : ret_errno(promise.error);
    EXPECT_EQ(compiled.run(number_of(compiled.bound.arch, promise.call), promise.args), wanted)
        << to_text(compiled.bound.arch) << " " << promise.call << " " << testing::PrintToString(promise.args);
  }
}

class EachArch : public testing::TestWithParam<Arch> {};
INSTANTIATE_TEST_SUITE_P(All, EachArch, testing::ValuesIn(kArchs),
                         [](const auto& arch) { return std::string(to_text(arch.param)); });

TEST_P(EachArch, DefaultKeepsItsPromises) {
  const auto compiled = compile(shipped_filter("default"), GetParam());
  expect_promises(*compiled, kBoth);
  expect_promises(*compiled, kDefaultOnly);
  if (GetParam() == Arch::kX86_64) expect_promises(*compiled, kBothX86);
}

TEST_P(EachArch, StrictKeepsItsPromises) {
  const auto compiled = compile(shipped_filter("strict"), GetParam());
  expect_promises(*compiled, kBoth);
  expect_promises(*compiled, kStrictOnly);
  if (GetParam() == Arch::kX86_64) expect_promises(*compiled, kBothX86);
}

// Both filters of the language runtimes; W^X in one of them.
const std::vector<Promise> kLanguage = {
    {"socket", {2, 1, 0}, kAllowed},  {"socket", {1, 1, 0}, EAFNOSUPPORT},
    {"connect", {}, kAllowed},        {"shmget", {}, ENOSYS},
    {"mq_open", {}, ENOSYS},          {"mbind", {}, ENOSYS},
    {"execveat", {}, kAllowed},       {"memfd_create", {}, kAllowed},
    {"eventfd2", {}, kAllowed},       {"timer_create", {}, kAllowed},
    {"pkey_alloc", {}, kAllowed},     {"mprotect", {0, 4096, 5}, kAllowed},
    {"mmap", {0, 4096, 3}, kAllowed}, {"mmap", {0, 4096, 5}, kAllowed},
};

TEST_P(EachArch, LanguageFiltersKeepTheirPromises) {
  for (const std::string name : {"language", "language-wx"}) {
    const auto compiled = compile(shipped_filter(name), GetParam());
    expect_promises(*compiled, kLanguage);
    const int error = name == "language-wx" ? EACCES : kAllowed;
    expect_promises(*compiled, {{"mmap", {0, 4096, 7}, error},
                                {"mmap", {0, 4096, 6}, error},
                                {"mprotect", {0, 4096, 7}, error},
                                {"mprotect", {0, 4096, 0x01000006}, error},
                                {"pkey_mprotect", {0, 4096, 7, 1}, error}});
  }
}

TEST_P(EachArch, UnixSocketsFollowTheProfile) {
  const auto any = compile(shipped_filter("default"), GetParam(), "any");
  expect_promises(*any, {{"socket", {1, 1, 0}, kAllowed},
                         {"socket", {1, 2, 0}, kAllowed},
                         {"socketpair", {1, 2, 0}, kAllowed},
                         {"socketpair", {30, 1, 0}, EAFNOSUPPORT},
                         {"socket", {40, 1, 0}, EAFNOSUPPORT}});
}

TEST_P(EachArch, StrictAllowsNothingThatDefaultRefuses) {
  const auto strict = compile(shipped_filter("strict"), GetParam());
  const auto wide = compile(shipped_filter("default"), GetParam());
  for (std::uint32_t number = 0; number < 600; ++number) {
    for (const std::uint64_t value : {0ULL, 1ULL, 2ULL, 4ULL, 06755ULL, 0x10000000ULL, 0xFFFFFFFFULL}) {
      const Args args = {value, value, value, value, value, value};
      if (strict->run(number, args) != SECCOMP_RET_ALLOW) continue;
      EXPECT_EQ(wide->run(number, args), SECCOMP_RET_ALLOW) << number;
    }
  }
}

// A refusal by kill would end programs that only try (limits of language runtimes were measured: none survives it).
TEST_P(EachArch, NothingKills) {
  for (const std::string& name : shipped_filters()) {
    const auto compiled = compile(shipped_filter(name), GetParam());
    for (const sock_filter& one : compiled->program) {
      if (one.code != (BPF_RET | BPF_K)) continue;
      EXPECT_TRUE(one.k == SECCOMP_RET_ALLOW || (one.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO);
    }
  }
}

TEST_P(EachArch, DefaultAllowsMostCalls) {
  const auto compiled = compile(shipped_filter("default"), GetParam());
  int allowed = 0;
  for (const auto& [number, call] : compiled->bound.calls) {
    if (compiled->run(number, {}) == SECCOMP_RET_ALLOW) ++allowed;
  }
  EXPECT_GT(allowed, GetParam() == Arch::kX86_64 ? 280 : 240);
}

}  // namespace
}  // namespace sandboxd::filters
