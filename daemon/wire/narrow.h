// Does a plan narrow its profile? The launcher takes plans from a program that parses clients' bytes and may have been taken
// over: this check is what keeps every jail within a root-owned profile. It is pure, holds no state, and treats each member
// as hostile: enums may hold any value, text any bytes, sums may overflow. 0 as a limit means "none" and is the widest.
// What it must never do: repair a plan. Order that it relies on: tmpfs mounts in plan order, then `dirs`, then binds in plan order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "daemon/wire/launcher.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::wire {

// Bounds of a plan that no profile widens.
inline constexpr std::size_t kMaxTmpfs = 64;
inline constexpr std::size_t kMaxDirs = 256;
inline constexpr std::size_t kMaxArguments = 16384;  // argv and env, each
inline constexpr std::size_t kMaxArgument = 131071;  // bytes: the kernel's MAX_ARG_STRLEN less the NUL (execve(2))
inline constexpr std::size_t kMaxArgumentSum = 1U << 20;
inline constexpr std::size_t kMaxHostname = 64;  // HOST_NAME_MAX (sethostname(2))

// The first rule that a plan breaks.
struct Breach {
  std::string rule{};      // "network", "limits.nofile", "target" ...
  std::string value{};     // what the plan has, quoted for a message
  std::string allowed{};   // what would be allowed
  bool malformed = false;  // no profile would allow it: the request is wrong, not merely too wide

  bool operator==(const Breach&) const = default;
};

[[nodiscard]] std::optional<Breach> find_breach(const JailPlan& plan, const Profile& profile);
// The rules for limits alone, as an update of a live jail brings them.
[[nodiscard]] std::optional<Breach> find_limits_breach(const Limits& limits, const Profile& profile);
// The rules for a job alone, as an exec brings one: argv, env, workdir, stdio.
[[nodiscard]] std::optional<Breach> find_job_breach(const JobPlan& job);
// The same as the launcher's answer: step "narrow", denied.
[[nodiscard]] std::optional<Failed> check_narrows(const JailPlan& plan, const Profile& profile);

// RFC 1123: labels of letters, digits and inner hyphens, joined by dots; at most kMaxHostname bytes in all.
[[nodiscard]] bool is_hostname(std::string_view text);
// A name that passwd(5) can hold and that useradd(8) would take: no ':', no newline, at most 32 bytes.
[[nodiscard]] bool is_user_name(std::string_view text);

}  // namespace sandboxd::wire
