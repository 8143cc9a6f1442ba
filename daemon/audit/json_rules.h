// The JSON that the log holds: RFC 8785's form comes out of a sorted dump when keys are ASCII and numbers are integers below
// 2^53. Anything else is refused, not rounded: floats, greater numbers, double keys, non-ASCII keys, broken UTF-8, depth.
#pragma once

#include <optional>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace sandboxd::audit {

inline constexpr int kMaxDepth = 16;

[[nodiscard]] std::optional<nlohmann::json> parse_strict(std::string_view text);

}  // namespace sandboxd::audit
