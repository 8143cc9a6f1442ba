// Runs sandboxd-profilec, the only program that parses profiles and configuration, as an id of its own and without any
// capability, and takes its answer: a sealed memfd of one ProfileSet. Used by the launcher and by the standalone parent.
// The caller must have one thread, CAP_SETUID and CAP_SETGID. It blocks until `deadline`; a program that is late is killed.
// What it must never do: parse anything but the flat, sealed answer.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::wire {

inline constexpr std::size_t kMaxProfileSet = 8U << 20;
inline constexpr std::uint64_t kProfilecTimeUsec = 20'000'000;

struct LoadedProfiles {
  UniqueFd memfd{};  // sealed; may be handed on
  ProfileSet set{};
};

struct ProfilecRun {
  std::string program{};       // path of sandboxd-profilec; it and its directory must be root's
  std::string config{};        // empty: the defaults
  std::string prefix{};        // SANDBOXD_PREFIX
  std::uint32_t id = 0;        // uid and gid; not 0
  std::uint64_t deadline = 0;  // CLOCK_MONOTONIC, microseconds
};

// Error texts of profilec itself go to our stderr.
Result<LoadedProfiles> run_profilec(const ProfilecRun& run);

// Checks the seals, decodes, and compares every hash with what it is of. EPERM: not sealed; EPROTO: not a profile set.
Result<ProfileSet> read_profile_set(int memfd);

}  // namespace sandboxd::wire
