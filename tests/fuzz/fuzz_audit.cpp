// Recovery of the audit log from whatever lies on the disk. The input's first byte says how: as it is; as a damaged copy of a good
// segment (offset, byte pairs follow); as a detail that a record is made of. What is read as good must be made again as the
// very same bytes, and a record that is taken must be read back.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <nlohmann/json.hpp>

#include "daemon/audit/frame.h"
#include "daemon/audit/record.h"
#include "daemon/audit/scan.h"
#include "daemon/audit/segments.h"

namespace sandboxd::audit {
namespace {

// Commits of one and two records in turn.
std::string good_segment(int commits) {
  std::string all;
  Position end;
  for (int commit = 0; commit < commits; ++commit) {
    std::string batch;
    for (int i = 0; i <= commit % 2; ++i) {
      wire::AuditRecord record;
      record.action = "jail.exit";
      record.outcome = "ok";
      record.detail = R"({"argv":["a\nb"],"n":1})";
      const auto text =
          to_json(record, Source::kSandboxd, {end.records, end.last_leaf, {}, "2026-01-01T00:00:00.000000000Z"});
      append_record(batch, end.records, *text);
      end = {end.records + 1, leaf_hash(*text)};
    }
    append_commit(batch, end.records, batch.size(), end.last_leaf);
    all += batch;
  }
  return all;
}

// What the scan calls good, written again from the records alone.
void check_scan(const std::string& bytes) {
  std::uint64_t next = 0;
  std::string leaves;
  const Scan scan = scan_segment(bytes, {}, [&](std::uint64_t index, const nlohmann::json& record) {
    if (index != next++) std::abort();
    leaves = record.dump();
    static_cast<void>(intent_of(record));
  });
  if (scan.end.records != next || scan.end_offset > bytes.size()) std::abort();
  if (next > 0 && leaf_hash(leaves) != scan.end.last_leaf) std::abort();
  const Scan again = scan_segment(bytes.substr(0, scan.end_offset), {}, {});
  if (again.ending != Ending::kClean || !(again.end == scan.end)) std::abort();
  static_cast<void>(start_of(0, bytes));
}

void check_damaged(const std::uint8_t* data, std::size_t size) {
  static const std::string kGood = good_segment(4);
  std::string bytes = kGood;
  for (std::size_t i = 0; i + 2 < size; i += 3)
    bytes[(data[i] * 256U + data[i + 1]) % bytes.size()] = static_cast<char>(data[i + 2]);
  check_scan(bytes);
  const Scan scan = scan_segment(bytes, {}, {});
  if (bytes != kGood && scan.ending == Ending::kClean && scan.end_offset == kGood.size()) std::abort();
}

void check_record(std::string detail) {
  wire::AuditRecord record;
  record.action = "jail.exit";
  record.outcome = "ok";
  record.detail = std::move(detail);
  if (!check(record, Source::kSandboxd).ok()) return;
  const auto text = to_json(record, Source::kSandboxd, {0, {}, {}, "2026-01-01T00:00:00.000000000Z"});
  if (!text.ok()) return;
  std::string batch;
  append_record(batch, 0, *text);
  append_commit(batch, 1, batch.size(), leaf_hash(*text));
  const Scan scan = scan_segment(batch, {}, {});
  if (scan.ending != Ending::kClean || scan.end.records != 1) std::abort();
}

}  // namespace
}  // namespace sandboxd::audit

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: sandboxd::audit::check_scan(rest); break;
    case 1: sandboxd::audit::check_damaged(data + 1, size - 1); break;
    default: sandboxd::audit::check_record(rest); break;
  }
  return 0;
}
