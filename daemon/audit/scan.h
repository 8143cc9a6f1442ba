// Reads one segment from its bytes, without a system call: every frame is made anew from what it says and compared, every
// record's chain, index and canonical form checked. The same code recovers a log and verifies one. Any bytes may come in.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/sha256.h"

namespace sandboxd::audit {

// Where a log stands: how many records it has, and the last one's leaf hash.
struct Position {
  std::uint64_t records = 0;
  Sha256Digest last_leaf{};
  bool operator==(const Position&) const = default;
};

enum class Ending : std::uint8_t {
  kClean,   // the last commit, then nothing or zeros
  kTorn,    // after the last commit lies less than a whole one: its writer was stopped, and nobody has its ack
  kBroken,  // something that was written whole has been changed, or the records don't follow on
};

struct Scan {
  Position end{};  // after the last good commit
  std::size_t end_offset = 0;
  Ending ending = Ending::kClean;
  std::size_t tail_end = 0;     // kTorn: the bytes from end_offset to here
  std::uint64_t bad_index = 0;  // kBroken: the record, and where it is
  std::size_t bad_offset = 0;
  std::string problem{};  // kTorn, kBroken: what is wrong there
};

using RecordVisitor = std::function<void(std::uint64_t index, const nlohmann::json& record)>;

// `start`: the position that the segment's first record must follow. `visit` (may be empty) sees committed records only.
[[nodiscard]] Scan scan_segment(std::string_view bytes, const Position& start, const RecordVisitor& visit);

}  // namespace sandboxd::audit
