// Names and beginnings of segments: what the writer and the verifier both need to know of the directory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "daemon/audit/scan.h"

namespace sandboxd::audit {

inline constexpr std::size_t kMaxSegment = 64U << 20;

[[nodiscard]] std::string segment_name(std::uint64_t first);
// The first index of each, in order. EBADMSG for a name that isn't one ("next", which the writer fills, is left out).
Result<std::vector<std::uint64_t>> list_segments(int directory);
// The position that the first record of a segment says it follows; nothing checks that until the segment before is read.
Result<Position> start_of(std::uint64_t first, std::string_view bytes);
// The request id, when this record is an intent of sandboxd's.
[[nodiscard]] std::optional<std::string> intent_of(const nlohmann::json& record);

}  // namespace sandboxd::audit
