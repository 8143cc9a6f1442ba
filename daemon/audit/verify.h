// Verifies a whole audit directory, read-only, as it lies on the disk: also a copy, also while it is written. Every frame, every
// record's canonical form, index and chain, the names of segments, and that one follows on the other.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "daemon/audit/scan.h"

namespace sandboxd::audit {

enum class Verdict : std::uint8_t {
  kGood = 0,
  kBad = 1,         // something that was written whole has been changed, moved or taken away
  kUnfinished = 2,  // the newest segment ends in less than a whole commit, or torn ends wait to be recorded
};

struct Verification {
  Verdict verdict = Verdict::kGood;
  Position end{};           // what is good
  std::uint64_t first = 0;  // the oldest record that is there
  std::size_t segments = 0;
  std::string segment{};  // the rest: of the first thing that is not good
  std::uint64_t bad_index = 0;
  std::size_t bad_offset = 0;
  std::string problem{};
};

// An error when it can't be read; what is in it is the verdict's business.
Result<Verification> verify(const std::string& directory);

}  // namespace sandboxd::audit
