// A plan and what its profile allows, as JSON for people and programs (`sandboxctl explain`). Pure. Bytes that are not UTF-8
// are {"b64": ...}. The token and the filter's bytes are left out: neither is for showing.
#pragma once

#include <string>
#include <string_view>

#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::plan {

[[nodiscard]] std::string explain(const wire::JailPlan& plan, const wire::Profile& profile,
                                  std::string_view preset = "default");
// One profile as a JSON object: what a jail of it gets at most.
[[nodiscard]] std::string profile_json(const wire::Profile& profile);

}  // namespace sandboxd::plan
