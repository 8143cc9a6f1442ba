#include "archive/tar_writer.h"

#include "archive/block.h"
#include "base/text.h"

namespace sandboxd::archive {
namespace {

constexpr std::size_t kPending = 64U << 10;
constexpr std::string_view kStandIn = "@PaxHeader";  // what a program that knows no pax would call it

char type_letter(EntryType type) {
  switch (type) {
    case EntryType::kFile: return '0';
    case EntryType::kHardLink: return '1';
    case EntryType::kSymlink: return '2';
    case EntryType::kDirectory: return '5';
  }
  return '0';
}

// "LENGTH KEY=VALUE\n", where the length counts its own digits.
std::string record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + std::to_string(rest).size();
  length = rest + std::to_string(length).size();
  return fmt::format("{} {}={}\n", length, key, value);
}

}  // namespace

Status TarWriter::flush() {
  TRY(sink_.write(pending_));
  pending_.clear();
  return {};
}

Status TarWriter::put(std::string_view bytes) {
  if (pending_.size() + bytes.size() > kPending) TRY(flush());
  if (bytes.size() > kPending) return sink_.write(bytes);
  pending_.append(bytes);
  return {};
}

Status TarWriter::put_pax(const std::string& records) {
  const auto block = make_block({.name = std::string(kStandIn), .mode = 0644, .size = records.size(), .type = 'x'});
  TRY(put({block->data(), block->size()}));
  TRY(put(records));
  return put(std::string((kBlock - records.size() % kBlock) % kBlock, '\0'));
}

Status TarWriter::add(const Entry& entry) {
  if (left_ != 0) return make_error("an entry's content is not complete");
  BlockFields fields{.name = entry.name,
                     .link = entry.link,
                     .mode = entry.mode,
                     .size = entry.size,
                     .mtime = entry.mtime,
                     .type = type_letter(entry.type)};
  if (entry.type == EntryType::kDirectory) fields.name += '/';
  auto block = make_block(fields);
  if (!block) {
    // pax headers are UTF-8 unless they say otherwise, and what says so comes first.
    std::string records;
    if (!is_utf8(fields.name) || !is_utf8(fields.link)) records = record("hdrcharset", "BINARY");
    records += record("path", fields.name);
    if (!fields.link.empty()) records += record("linkpath", fields.link);
    records += record("size", std::to_string(fields.size));
    records += record("mtime", std::to_string(std::max<std::int64_t>(fields.mtime, 0)));
    TRY(put_pax(records));
    fields.name = kStandIn;
    fields.link.clear();
    fields.size = 0;
    fields.mtime = 0;
    block = make_block(fields);
  }
  TRY(put({block->data(), block->size()}));
  left_ = entry.type == EntryType::kFile ? entry.size : 0;
  padding_ = (kBlock - left_ % kBlock) % kBlock;
  return {};
}

Status TarWriter::data(std::string_view bytes) {
  if (bytes.size() > left_) return make_error("more content than the entry's size");
  TRY(put(bytes));
  left_ -= bytes.size();
  if (left_ == 0) TRY(put(std::string(static_cast<std::size_t>(std::exchange(padding_, 0)), '\0')));
  return {};
}

Status TarWriter::finish() {
  if (left_ != 0) return make_error("an entry's content is not complete");
  TRY(put(std::string(2 * kBlock, '\0')));
  return flush();
}

}  // namespace sandboxd::archive
