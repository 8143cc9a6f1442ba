#include "daemon/audit/verify.h"

#include <cerrno>

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "daemon/audit/segments.h"

namespace sandboxd::audit {
namespace {

void note(Verification& result, Verdict verdict, std::uint64_t index, std::size_t offset, std::string problem) {
  result.verdict = verdict;
  result.bad_index = index;
  result.bad_offset = offset;
  result.problem = std::move(problem);
}

// False: nothing behind it can be good.
bool check_segment(Verification& result, std::uint64_t first, std::string_view bytes, bool newest) {
  Position start = result.end;
  if (result.segments == 0 && first != 0) {
    // Older ones were taken away as a whole: what is left can be checked from here on.
    const Result<Position> said = start_of(first, bytes);
    if (!said.ok()) return note(result, Verdict::kBad, first, 0, said.error().message()), false;
    start = *said;
  }
  if (start.records != first) {
    return note(result, Verdict::kBad, start.records, 0,
                fmt::format("the segment before it ends at record {}", start.records)),
           false;
  }
  const Scan scan = scan_segment(bytes, start, {});
  result.end = scan.end;
  ++result.segments;
  if (scan.ending == Ending::kClean) return true;
  const bool torn = scan.ending == Ending::kTorn && newest;
  note(result, torn ? Verdict::kUnfinished : Verdict::kBad, scan.bad_index, scan.bad_offset, scan.problem);
  return false;
}

}  // namespace

Result<Verification> verify(const std::string& directory) {
  const std::string path = directory + "/seg";
  const UniqueFd segments(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!segments) return sys_error("open {}", sandboxd::quoted(path));
  Result<std::vector<std::uint64_t>> firsts = list_segments(segments.get());
  Verification result;
  if (!firsts.ok() && firsts.error().code == EBADMSG) {
    note(result, Verdict::kBad, 0, 0, firsts.error().context);
    return result;
  }
  if (!firsts.ok()) return std::move(firsts).error();
  if (!firsts->empty()) result.first = firsts->front();
  for (const std::uint64_t first : *firsts) {
    result.segment = segment_name(first);
    TRY_ASSIGN(const std::string bytes, read_file(segments.get(), result.segment, kMaxSegment));
    if (!check_segment(result, first, bytes, first == firsts->back())) return result;
  }
  result.segment.clear();
  return result;
}

}  // namespace sandboxd::audit
