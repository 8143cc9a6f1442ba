// How a launch child claims a client's descriptors from the broker, over broker-claim.sock (SOCK_SEQPACKET, 0600, root's):
// one connection a claim. The broker waits up to kClaimWait for a token that is on its way.
//
//   kClaim Claim  ->  kClaimant Claimant, then kClaimed Claimed + the client's descriptors
//                     or, in place of either, kClaimFailed Refused (wire/audit.h)
//
// kClaimant is what the broker's main process saw at accept(2), before a byte of the client was read (SO_PEERCRED,
// SO_PEERGROUPS); it is sent before the child that holds the client's connection gets this one. kClaimed is that child's word,
// and says nothing of ids: a child that its client has taken over can give away its own client's descriptors, as nobody else.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/wire/plan.h"

namespace sandboxd::wire {

enum class ClaimMessage : std::uint16_t { kClaim = 1, kClaimed = 101, kClaimFailed = 102, kClaimant = 103 };
inline constexpr std::uint64_t kClaimWaitUsec = 2'000'000;

struct Claim {
  Token token{};
  template <class A> void fields(A& a) { a(token); }
};

struct Claimant {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups{};
  bool admin = false;  // it came by broker-admin.sock: uid 0 may be mapped

  template <class A> void fields(A& a) {
    a(uid);
    a(gid);
    a(groups);
    a(admin);
  }
};

struct Claimed {
  // The last descriptor is the client's /proc/self/ns/mnt (the client is in another mount namespace).
  bool has_mount_ns = false;

  template <class A> void fields(A& a) { a(has_mount_ns); }
};

}  // namespace sandboxd::wire
