// What sandboxd and the launcher say to each other, over launcher.sock (SOCK_SEQPACKET, 0600, sandboxd's). Requests are
// answered in any order; Header::id matches them. Types and bodies:
//
//   kStart    JailPlan       ->  kStarted Started + descriptors (StartedFd order)   | kFailed Failed
//   kInspect  NumberRequest  ->  kInspected Readback                                | kFailed      (of a live jail)
//   kList     NumberRequest  ->  kListed NumberList: the numbers whose cgroups exist (number is ignored)
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

#include "daemon/wire/plan.h"

namespace sandboxd::wire {

enum class LauncherMessage : std::uint16_t {
  kStart = 1,
  kInspect = 2,
  kList = 3,
  kKill = 4,
  kRemove = 5,
  kProfiles = 6,
  kStarted = 101,
  kInspected = 102,
  kListed = 103,
  kDone = 104,
  kFailed = 105,
  kProfileSet = 106,
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

struct Started {
  std::uint32_t number = 0;
  std::int32_t init_pid = 0;      // in the host's pid namespace; for showing only
  std::uint32_t broker_uid = 0;   // whose files these are; 4294967295 without a token
  std::uint64_t audit_index = 0;  // of the launcher's jail.launch record
  Sha256Digest plan_hash{};
  Readback readback{};
  template <class A> void fields(A& a) {
    a(number);
    a(init_pid);
    a(broker_uid);
    a(audit_index);
    a(plan_hash);
    a(readback);
  }
};
// Order of the descriptors that come with kStarted. kStat.. are read-only.
enum class StartedFd : std::uint8_t {
  kPidfd = 0,
  kControl = 1,
  kCgroupKill = 2,
  kCgroupFreeze = 3,
  kCgroupEvents = 4,
  kCpuStat = 5
};
inline constexpr std::size_t kStartedFds = 6;

}  // namespace sandboxd::wire
