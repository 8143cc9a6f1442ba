// sandboxd.json: the host's choices. Unknown keys are errors, and a missing key has the default of wire::Config. Pure.
#pragma once

#include <string_view>

#include "base/result.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::profilec {

inline constexpr std::string_view kDefaultConfigPath = "/etc/sandboxd/sandboxd.json";
inline constexpr std::string_view kDefaultProfileFolder = "/etc/sandboxd/profiles.d";

// `file` is for messages.
Result<wire::Config> parse_config(std::string_view text, std::string_view file);

}  // namespace sandboxd::profilec
