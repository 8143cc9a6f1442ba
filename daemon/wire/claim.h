// How a launch child claims a client's descriptors from the broker, over broker-claim.sock (SOCK_SEQPACKET, 0600, root's):
// one connection a claim. The broker waits up to kClaimWait for a token that is on its way.
//
//   kClaim Claim  ->  kClaimed Claimed + the client's descriptors  |  kClaimFailed Refused (wire/audit.h)
//
// The answer comes from the child of the broker that holds that client's connection; its ids are the kernel's
// (SO_PEERCRED, SO_PEERGROUPS).
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/wire/plan.h"

namespace sandboxd::wire {

enum class ClaimMessage : std::uint16_t { kClaim = 1, kClaimed = 101, kClaimFailed = 102 };
inline constexpr std::uint64_t kClaimWaitUsec = 2'000'000;

struct Claim {
  Token token{};
  template <class A> void fields(A& a) { a(token); }
};

struct Claimed {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups{};
  bool admin = false;  // it came by broker-admin.sock: uid 0 may be mapped
  bool has_mount_ns =
      false;  // the last descriptor is the client's /proc/self/ns/mnt (the client is in another mount namespace)

  template <class A> void fields(A& a) {
    a(uid);
    a(gid);
    a(groups);
    a(admin);
    a(has_mount_ns);
  }
};

}  // namespace sandboxd::wire
