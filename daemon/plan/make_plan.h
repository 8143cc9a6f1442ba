// From what a client asks for, and the root-owned profile, to the plan that the launcher executes. Pure: no system call, no
// clock, no state; the same arguments give the same plan. What it returns always passes wire::check_narrows, which the
// launcher repeats. A request that no profile would allow is InvalidArgument, one that this profile forbids is Denied.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"
#include "protocol/job.h"

namespace sandboxd::plan {

// What the request itself doesn't say.
struct Context {
  std::uint32_t uid = 0;  // the client's, from the kernel
  std::uint32_t gid = 0;
  std::string user_name{};  // of uid, if the host knows one
  std::uint32_t number = 0;
  std::string jail{};
  std::string request{};
  bool session = false;  // a jail without a first job
  std::span<const wire::Preset> presets{};
  std::vector<std::uint32_t> groups{};  // supplementary ones
  std::uint64_t nofile_most = 0;        // what the launcher can give; 0: not known
  bool admin = false;                   // came by admin.sock: may use every profile
};

struct Denied {
  std::string rule{}, allowed{};
  bool operator==(const Denied&) const = default;
};
// `path`: a JSON pointer (RFC 6901) into the call.
struct InvalidArgument {
  std::string path{}, value{}, expected{};
  bool operator==(const InvalidArgument&) const = default;
};
using Outcome = std::variant<wire::JailPlan, Denied, InvalidArgument>;

[[nodiscard]] Outcome make_plan(const protocol::JobSpec& spec, const wire::Profile& profile, const Context& context);

}  // namespace sandboxd::plan
