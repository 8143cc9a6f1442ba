// What sandboxd and the launcher say to each other, over launcher.sock (SOCK_SEQPACKET, 0600, sandboxd's). Requests are
// answered in any order; Header::id matches them. Types and bodies:
//
//   kStart    JailPlan       ->  kStarted Started + descriptors (StartedFd order)   | kFailed Failed
//   kInspect  NumberRequest  ->  kInspected Readback                                | kFailed      (of a live jail)
//   kList     NumberRequest  ->  kListed NumberList: the numbers whose cgroups exist (number is ignored)
//   kUpdate   UpdateRequest  ->  kUpdated Readback: what the cgroup's files say now   | kFailed     (limits of a live jail)
//   kKill     NumberRequest  ->  kDone Done: cgroup.kill was written                | kFailed
//   kRemove   NumberRequest  ->  kDone: processes reaped, cgroup gone, number free  | kFailed EBUSY: something is still there
//   kProfiles NumberRequest  ->  kProfileSet Done + one sealed memfd (wire/profile_set.h), also sent unasked (id 0) after SIGHUP
//
// A request names a jail by number only; no pid, path or descriptor is taken from sandboxd.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/wire/plan.h"

namespace sandboxd::wire {

enum class LauncherMessage : std::uint16_t {
  kStart = 1,
  kInspect = 2,
  kList = 3,
  kKill = 4,
  kRemove = 5,
  kProfiles = 6,
  kUpdate = 7,
  kStarted = 101,
  kInspected = 102,
  kListed = 103,
  kDone = 104,
  kFailed = 105,
  kProfileSet = 106,
  kUpdated = 107,
};

struct NumberRequest {
  std::uint32_t number = 0;
  template <class A> void fields(A& a) { a(number); }
};
struct NumberList {
  std::vector<std::uint32_t> numbers{};
  template <class A> void fields(A& a) { a(numbers); }
};
struct Done {
  std::uint32_t number = 0;
  template <class A> void fields(A& a) { a(number); }
};

// Why a request was refused or a set-up failed. `step` is what an operator reads: "narrow", "claim", "audit", "cgroup",
// "network", "workspace", "clone", "id-maps", a set-up step's name, "read-back", "exec".
struct Failed {
  std::string step{};
  std::int32_t code = 0;  // errno; 0 where none applies
  std::string detail{};
  bool denied = false;  // the plan is wider than its profile, or a file isn't the caller's: a Denied, not a SetupFailed
  template <class A> void fields(A& a) {
    a(step);
    a(code);
    a(detail);
    a(denied);
  }
  bool operator==(const Failed&) const = default;
};

// One thing read back from the kernel: what it is, what the plan wants, what is in force.
struct Fact {
  std::string name{};  // "seccomp", "no_new_privs", "cap_eff", "ns.net", "mount:/usr", "cgroup" ...
  std::string value{};
  template <class A> void fields(A& a) {
    a(name);
    a(value);
  }
  bool operator==(const Fact&) const = default;
};

struct Readback {
  std::vector<Fact> facts{};
  template <class A> void fields(A& a) { a(facts); }
  bool operator==(const Readback&) const = default;
};

// The limits that a cgroup enforces (base/limits.h, rows with a controller) are set anew; the others stay as they were. They must
// narrow the profile that the jail was started with, whose hash the cgroup carries (xattr trusted.sandboxd.profile).
struct UpdateRequest {
  std::uint32_t number = 0;
  std::string request{};  // as JailPlan::request
  Limits limits{};
  template <class A> void fields(A& a) {
    a(number);
    a(request);
    a(limits);
  }
};

// Which mechanism holds a limit: "cgroup memory.max", "RLIMIT_NPROC", "tmpfs size".
struct Enforced {
  std::string limit{};
  std::string by{};
  template <class A> void fields(A& a) {
    a(limit);
    a(by);
  }
  bool operator==(const Enforced&) const = default;
};

struct Started {
  std::uint32_t number = 0;
  std::int32_t init_pid = 0;      // in the host's pid namespace; for showing only
  std::uint32_t broker_uid = 0;   // whose files these are; 4294967295 without a token
  std::uint64_t audit_index = 0;  // of the launcher's jail.launch record
  Sha256Digest plan_hash{};
  Readback readback{};
  std::vector<Enforced> enforced{};
  std::vector<std::string>
      unenforced{};               // asked for, not to be had here, and listed in the configuration's unenforced_limits
  std::uint32_t descriptors = 0;  // bits of StartedFd: which descriptors come with it, in that order
  template <class A> void fields(A& a) {
    a(number);
    a(init_pid);
    a(broker_uid);
    a(audit_index);
    a(plan_hash);
    a(readback);
    a(enforced);
    a(unenforced);
    a(descriptors);
  }
};
// Descriptors that come with kStarted, in this order; those from kCgroupEvents on are read-only. The first kStartedFdsAlways are
// always there, the others where the host has the controller (Started::descriptors says which).
enum class StartedFd : std::uint8_t {
  kPidfd = 0,
  kControl,
  kCgroupKill,
  kCgroupFreeze,
  kCgroupEvents,
  kCpuStat,
  kMemoryEvents,
  kMemoryCurrent,
  kMemoryPeak,
  kMemoryPressure,
  kCpuPressure,
  kIoPressure,
  kIoStat,
  kPidsEvents,
  kPidsCurrent,
  kPidsPeak,
};
inline constexpr std::size_t kStartedFdsAlways = 6;
inline constexpr std::size_t kStartedFds = 16;

// Makes `fds` kStartedFds long, each at its StartedFd's place, absent ones empty. False when they are not what the bits say.
bool place_descriptors(std::uint32_t bits, std::vector<UniqueFd>& fds);

}  // namespace sandboxd::wire
