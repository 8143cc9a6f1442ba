// Torn ends of segments, moved aside and never deleted. Until a record in the log tells of it, a file here is called pending:
// a stop at any moment leaves either the torn end where it was, or a pending file, and both are found at the next start.
//
//   <segment's first index, hex16>-<offset, hex8>.torn[.pending]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sandboxd::audit {

struct Aside {
  std::string name{};    // without ".pending"
  std::string detail{};  // of the record that tells of it: a JSON object
};

// On stable storage when it returns.
Status set_aside(int directory, std::uint64_t segment, std::size_t offset, std::string_view tail);
Result<std::vector<Aside>> list_pending(int directory);
Status mark_recorded(int directory, const std::string& name);

}  // namespace sandboxd::audit
