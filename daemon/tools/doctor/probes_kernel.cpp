#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <utility>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/socket.h"
#include "daemon/tools/doctor/child.h"
#include "daemon/tools/doctor/doctor.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace sandboxd::doctor {
namespace {

constexpr std::uint64_t kJailNamespaces =
    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

Outcome from(const Status& status, const Context& context, std::string detail = {}) {
  if (status.ok()) return offered(std::move(detail));
  const int code = status.error().code;
  // The launcher does it as root; that this user may not, says nothing about that.
  const bool rights = code == EPERM || code == EACCES || code == ENOSPC;
  return rights && !context.is_root ? unknown("not for this user: " + status.error().message())
                                    : missing(status.error().message());
}

Outcome architecture(const Context&) {
  utsname name{};
  if (::uname(&name) < 0) return unknown(sys_error("uname").message());
  const std::string machine = name.machine;
  return machine == "x86_64" || machine == "aarch64" ? offered(machine)
                                                     : missing(machine + ": there is no filter for it");
}

Outcome namespaces(const Context& context) {
  return from(in_child({.flags = kJailNamespaces | CLONE_CLEAR_SIGHAND}), context);
}

Outcome network_namespace(const Context& context) {
  return from(in_child({.flags = CLONE_NEWNET | (context.is_root ? 0U : std::uint64_t{CLONE_NEWUSER})}), context);
}

Outcome id_ranges(const Context& context) {
  if (!context.is_root) return unknown("can be tried as root only");
  const auto prepare = [](int pid, int) { return map_ids(pid, 0, kPoolFirst, kIdsPerJail); };
  const auto body = [] {
    if (::setresgid(kJobOffset, kJobOffset, kJobOffset) < 0) return Status(sys_error("setresgid"));
    return ::setresuid(kJobOffset, kJobOffset, kJobOffset) < 0 ? Status(sys_error("setresuid")) : Status();
  };
  return from(in_child({.flags = CLONE_NEWUSER, .prepare = prepare, .body = body}), context);
}

// What each level of the ABI added (landlock(7)).
constexpr std::array<std::string_view, 8> kLandlockLevels = {
    "",          "files",         "renames between directories",  "truncation",
    "TCP ports", "device ioctls", "abstract sockets and signals", "audit of denials"};

Outcome landlock(const Context&) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 1) return missing(sys_error("landlock_create_ruleset").message());
  std::string has, lacks;
  for (std::size_t level = 1; level < kLandlockLevels.size(); ++level) {
    std::string& list = static_cast<std::size_t>(abi) >= level ? has : lacks;
    list += fmt::format("{}{}", list.empty() ? "" : ", ", kLandlockLevels.at(level));
  }
  // The words of a profile's "optional" (sandboxd-profile(5)).
  std::string unenforced;
  for (const auto& [rule, needed] : {std::pair{"truncate", 3}, {"tcp", 4}, {"ioctl", 5}, {"scopes", 6}}) {
    if (abi < needed) unenforced += fmt::format("{}{}", unenforced.empty() ? "" : ", ", rule);
  }
  if (!unenforced.empty())
    lacks += fmt::format("; unenforced where a profile has them as optional, refused else: {}", unenforced);
  return offered(fmt::format("ABI {}: {}{}", abi, has, lacks.empty() ? "" : "; not yet: " + lacks));
}

// Loads a filter that makes getppid fail, and sees it fail.
Status load_filter() {
  constexpr std::uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS, kEqual = BPF_JMP | BPF_JEQ | BPF_K,
                          kReturn = BPF_RET | BPF_K;
  std::array<sock_filter, 4> program = {{
      {kLoad, 0, 0, offsetof(seccomp_data, nr)},
      {kEqual, 0, 1, SYS_getppid},
      {kReturn, 0, 0, SECCOMP_RET_ERRNO | ENOTTY},
      {kReturn, 0, 0, SECCOMP_RET_ALLOW},
  }};
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return sys_error("prctl PR_SET_NO_NEW_PRIVS");
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0) return sys_error("seccomp");
  if (::syscall(SYS_getppid) >= 0 || errno != ENOTTY) return make_error("the filter is loaded and does nothing");
  return {};
}

Outcome seccomp_filter(const Context& context) { return from(in_child({.body = load_filter}), context); }

Outcome seccomp_action(std::uint32_t action) {
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) return offered();
  return missing(sys_error("seccomp SECCOMP_GET_ACTION_AVAIL").message());
}

Outcome seccomp_kill(const Context&) { return seccomp_action(SECCOMP_RET_KILL_PROCESS); }
Outcome seccomp_notify(const Context&) { return seccomp_action(SECCOMP_RET_USER_NOTIF); }

Outcome seccomp_tsync(const Context&) {
  // A flag that the kernel knows gets as far as the missing program (seccomp(2)).
  ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, nullptr);
  return errno == EFAULT ? offered() : missing(sys_error("seccomp SECCOMP_FILTER_FLAG_TSYNC").message());
}

Outcome close_range_cloexec(const Context&) {
  const long done = ::syscall(SYS_close_range, ~0U - 1, ~0U, CLOSE_RANGE_CLOEXEC);
  return done == 0 ? offered() : missing(sys_error("close_range").message());
}

Outcome pidfd(const Context&) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!fd) return missing(sys_error("pidfd_open").message());
  return ::syscall(SYS_pidfd_send_signal, fd.get(), 0, nullptr, 0) == 0
             ? offered()
             : missing(sys_error("pidfd_send_signal").message());
}

Outcome openat2_in_root(const Context&) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how)));
  return fd ? offered() : missing(sys_error("openat2").message());
}

Outcome sealed_memory(const Context&) {
  const Result<UniqueFd> made = sealed_memfd("doctor", {});
  return made.ok() ? offered() : missing(made.error().message());
}

Outcome peer_groups_option(const Context&) {
  const auto pair = socket_pair(SOCK_STREAM);
  if (!pair.ok()) return unknown(pair.error().message());
  const auto groups = peer_groups(pair->first.get());
  return groups.ok() ? offered() : missing(groups.error().message());
}

Outcome peer_pidfd(const Context&) {
  const auto pair = socket_pair(SOCK_STREAM);
  if (!pair.ok()) return unknown(pair.error().message());
  int fd = -1;
  socklen_t size = sizeof fd;
  if (::getsockopt(pair->first.get(), SOL_SOCKET, SO_PEERPIDFD, &fd, &size) < 0)
    return missing(sys_error("getsockopt SO_PEERPIDFD").message());
  const UniqueFd owned(fd);
  return offered();
}

constexpr std::array kProbes = {
    Probe{"architecture", "a processor that there are filters for", Need::kRequired, "every jail", architecture},
    Probe{"namespaces", "user, pid, mount, ipc, uts and cgroup namespaces by one clone3", Need::kRequired, "every jail",
          namespaces},
    Probe{"network-namespace", "network namespaces", Need::kRequired, "every jail but those with --network=host",
          network_namespace},
    Probe{"id-ranges", "maps of id ranges from the pool", Need::kRequired, "every jail", id_ranges},
    Probe{"landlock", "Landlock", Need::kRequired, "every jail", landlock},
    Probe{"seccomp", "seccomp filters", Need::kRequired, "every jail", seccomp_filter},
    Probe{"seccomp-kill", "killing the process that makes a refused system call", Need::kRequired, "every jail",
          seccomp_kill},
    Probe{"seccomp-notify", "system calls decided by another process", Need::kOptional, "profiles that learn",
          seccomp_notify},
    Probe{"seccomp-tsync", "filters for all threads at once", Need::kOptional,
          "nothing yet: our programs load theirs with one thread", seccomp_tsync},
    Probe{"close-range", "close_range with CLOSE_RANGE_CLOEXEC", Need::kRequired, "every jail", close_range_cloexec},
    Probe{"pidfd", "processes by descriptor", Need::kRequired, "every jail", pidfd},
    Probe{"openat2", "openat2 with RESOLVE_IN_ROOT", Need::kRequired, "every jail", openat2_in_root},
    Probe{"memfd-seals", "sealed memory between our programs", Need::kRequired, "every program", sealed_memory},
    Probe{"peer-groups", "a client's groups from its socket (SO_PEERGROUPS)", Need::kRequired, "every client",
          peer_groups_option},
    Probe{"peer-pidfd", "a client's process from its socket (SO_PEERPIDFD)", Need::kOptional,
          "naming a client's process in records without doubt: a process id may be reused", peer_pidfd},
};

}  // namespace

const std::span<const Probe> kKernelProbes = kProbes;

}  // namespace sandboxd::doctor
