#include "daemon/audit/scan.h"

#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/audit/frame.h"
#include "daemon/audit/json_rules.h"

namespace sandboxd::audit {
namespace {

using nlohmann::json;

// Why a line or a batch is not good; empty when it is.
using Problem = std::string;

class Batch {
 public:
  Batch(std::string_view bytes, const Position& start) : rest_(bytes), end_(start) {}

  // Reads records up to and with a commit line.
  Problem read() {
    while (!rest_.starts_with("C ")) {
      if (Problem problem = read_record(); !problem.empty()) return problem;
      if (size_ > kMaxBatch) return "a batch of more than the most bytes";
    }
    return read_commit();
  }

  [[nodiscard]] const Position& end() const { return end_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const std::vector<json>& records() const { return records_; }

 private:
  Problem read_record() {
    if (!rest_.starts_with("R ")) return "neither a record nor a commit";
    const std::size_t line_end = rest_.substr(0, kRecordPrefix + kMaxRecord + 1).find('\n');
    if (line_end == std::string_view::npos || line_end < kRecordPrefix) return "a line without its end";
    const std::string_view text = rest_.substr(kRecordPrefix, line_end - kRecordPrefix);
    std::string again;
    append_record(again, end_.records, text);
    if (again != rest_.substr(0, line_end + 1)) return "the frame is not that of this index and text";
    if (Problem problem = check_text(text); !problem.empty()) return problem;
    end_.last_leaf = leaf_hash(text);
    ++end_.records;
    take(line_end + 1);
    return {};
  }

  Problem check_text(std::string_view text) {
    std::optional<json> record = parse_strict(text);
    if (!record || !record->is_object()) return "the record is no JSON object of the log's rules";
    if (record->dump() != text) return "the record is not in its canonical form";
    if (record->value("prev_hash", json()) != hex(end_.last_leaf))
      return "the record does not follow on the one before it";
    if (record->value("seq", json()) != end_.records) return "the record is in another place than it says";
    records_.push_back(std::move(*record));
    return {};
  }

  Problem read_commit() {
    if (records_.empty()) return "a commit of nothing";
    std::string again;
    append_commit(again, end_.records, size_, end_.last_leaf);
    if (again != rest_.substr(0, kCommitLine)) return "the commit does not match its records";
    take(kCommitLine);
    return {};
  }

  void take(std::size_t bytes) {
    rest_.remove_prefix(bytes);
    size_ += bytes;
  }

  std::string_view rest_;
  Position end_;
  std::size_t size_ = 0;
  std::vector<json> records_;
};

// Without the zeros at the end, of which a segment is full: block by block.
std::size_t used_size(std::string_view bytes) {
  static constexpr std::array<char, 4096> kZeros{};
  std::size_t size = bytes.size();
  while (size >= kZeros.size() && std::memcmp(bytes.data() + size - kZeros.size(), kZeros.data(), kZeros.size()) == 0) {
    size -= kZeros.size();
  }
  return bytes.substr(0, size).find_last_not_of('\0') + 1;  // npos + 1 is 0
}

// A sector that did not reach the disk reads as the zeros that were there. `offset`: of `tail` in the file.
bool has_lost_sector(std::string_view tail, std::size_t offset) {
  constexpr std::size_t kSector = 512;
  for (std::size_t at = 0; at < tail.size();) {
    const std::string_view sector = tail.substr(at, kSector - (offset + at) % kSector);
    if (sector.find_first_not_of('\0') == std::string_view::npos) return true;
    at += sector.size();
  }
  return false;
}

// Whole records, then less than a line: its writer was stopped. Anything behind a line that is no record was written whole.
bool is_cut_off(std::string_view tail) {
  while (!tail.empty()) {
    const std::size_t line_end = tail.find('\n');
    if (line_end == std::string_view::npos) return true;
    if (!tail.starts_with("R ")) return false;
    tail.remove_prefix(line_end + 1);
  }
  return true;
}

// Torn is only what one commit, never acknowledged, may have left; wrong text is something else.
Ending ending_of(std::string_view tail, std::size_t offset) {
  const std::size_t commit = tail.find("\nC ");
  const bool more = commit != std::string_view::npos && tail.size() > commit + 1 + kCommitLine;
  if (tail.size() > kMaxBatch + kCommitLine || more) return Ending::kBroken;
  return has_lost_sector(tail, offset) || is_cut_off(tail) ? Ending::kTorn : Ending::kBroken;
}

}  // namespace

Scan scan_segment(std::string_view bytes, const Position& start, const RecordVisitor& visit) {
  Scan scan;
  scan.end = start;
  const std::size_t used = used_size(bytes);
  while (scan.end_offset < used) {
    Batch batch(bytes.substr(scan.end_offset, used - scan.end_offset), scan.end);
    scan.problem = batch.read();
    if (!scan.problem.empty()) {
      scan.tail_end = used;
      scan.bad_index = batch.end().records;
      scan.bad_offset = scan.end_offset + batch.size();
      scan.ending = ending_of(bytes.substr(scan.end_offset, used - scan.end_offset), scan.end_offset);
      return scan;
    }
    for (std::size_t i = 0; visit && i < batch.records().size(); ++i) visit(scan.end.records + i, batch.records()[i]);
    scan.end = batch.end();
    scan.end_offset += batch.size();
  }
  return scan;
}

}  // namespace sandboxd::audit
