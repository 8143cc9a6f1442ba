// Which limits a jail gets: what the request says, else what its preset says (which has what `default` says where it is silent),
// and the profile caps both. Pure. A preset's value is cut to the cap; a request's own above it is Denied, with limit, value and
// cap.
#pragma once

#include <span>
#include <variant>

#include "daemon/plan/make_plan.h"

namespace sandboxd::plan {

using LimitsOutcome = std::variant<Limits, Denied, InvalidArgument>;

[[nodiscard]] LimitsOutcome merge_limits(const protocol::JobSpec& spec, const wire::Profile& profile,
                                         std::span<const wire::Preset> presets);
// New values for a live jail, over those that it has; rows of a cgroup alone.
[[nodiscard]] LimitsOutcome update_limits(const protocol::AskedLimits& asked, const Limits& now,
                                          const wire::Profile& profile);

}  // namespace sandboxd::plan
