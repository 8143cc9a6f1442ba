#include "archive/tar_reader.h"

#include <algorithm>

#include "base/text.h"

namespace sandboxd::archive {
namespace {

constexpr std::size_t kMaxPax = 64U << 10;
constexpr std::size_t kMaxTrailer = 1U << 20;  // tar programs fill their last record, of 10 KiB unless told otherwise

std::uint64_t padding_of(std::uint64_t size) { return (kBlock - size % kBlock) % kBlock; }

// "12.5", "-3": seconds, the fraction is dropped; nothing that isn't a time.
std::optional<std::int64_t> seconds(std::string_view text) {
  if (text.starts_with('-')) return 0;
  const auto whole = parse_uint(text.substr(0, text.find('.')), INT64_MAX);
  return whole ? std::optional(static_cast<std::int64_t>(*whole)) : std::nullopt;
}

// One "LENGTH KEY=VALUE\n" of a pax header, taken off its front. Length counts all of it.
struct Record {
  std::string_view key, value;
};
std::optional<Record> take_front(std::string_view& records) {
  const std::size_t space = records.find(' ');
  if (space == std::string_view::npos || space > 6) return {};
  const auto length = parse_uint(records.substr(0, space), records.size());
  if (!length || *length < space + 4) return {};
  const std::string_view body = records.substr(space + 1, *length - space - 1);
  const std::size_t equals = body.find('=');
  if (equals == std::string_view::npos || equals == 0 || body.back() != '\n') return {};
  records.remove_prefix(*length);
  return Record{body.substr(0, equals), body.substr(equals + 1, body.size() - equals - 2)};
}

}  // namespace

Error TarReader::malformed(std::string_view what) {
  return refuse(trouble_, "format", name_, "not a tar stream that we read: {}", what);
}

Status TarReader::fill(std::span<char> into) {
  while (!into.empty()) {
    TRY_ASSIGN(const std::size_t got, source_.read(into));
    if (got == 0) return malformed("it ends in the middle");
    into = into.subspan(got);
  }
  return {};
}

Result<std::size_t> TarReader::read(std::span<char> into) {
  if (left_ == 0) return std::size_t{0};
  into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_)));
  TRY_ASSIGN(const std::size_t got, source_.read(into));
  if (got == 0) return malformed("it ends in the middle");
  left_ -= got;
  return got;
}

Status TarReader::skip_content() {
  std::array<char, 16U << 10> dropped;
  while (left_ > 0) TRY(read(dropped));
  TRY(fill(std::span(dropped).first(static_cast<std::size_t>(padding_))));
  padding_ = 0;
  return {};
}

Result<std::string> TarReader::content(std::uint64_t size, std::size_t most) {
  if (size > most) return malformed("an extension header is too long");
  std::string text(static_cast<std::size_t>(size) + padding_of(size), '\0');
  TRY(fill(text));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

// After the first block of zeros.
Status TarReader::end_of_stream() {
  Block block{};
  TRY(fill(block));
  if (!is_zero(block)) return malformed("one block of zeros, and then more");
  ended_ = true;
  for (std::size_t seen = 0; seen <= kMaxTrailer;) {
    TRY_ASSIGN(const std::size_t got, source_.read(block));
    if (got == 0) return {};
    if (std::any_of(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(got), [](char c) { return c != 0; }))
      return malformed("something follows its end");
    seen += got;
  }
  return malformed("it goes on after its end");
}

Status TarReader::count() {
  if (++entries_ <= limits_.entries) return {};
  return refuse(trouble_, "entries", name_, "more than {} entries", limits_.entries);
}

Status TarReader::take_record(std::string_view key, std::string_view value, bool global, Said& said) {
  if (key.starts_with("GNU.sparse.")) return refuse(trouble_, "type", name_, "a sparse file");
  const bool ours = key == "path" || key == "linkpath" || key == "size";
  if (ours && global) return malformed("a global header that names or measures entries");
  if (key == "path") {
    said.name = value;
  } else if (key == "linkpath") {
    said.link = value;
  } else if (key == "size") {
    said.size = parse_uint(value, INT64_MAX);
    if (!said.size) return malformed("a size that is no number");
  } else if (key == "mtime" && !global) {
    said.mtime = seconds(value);
    if (!said.mtime) return malformed("a time that is no number");
  }
  return {};  // owners, access times, extended attributes ...: not ours to set
}

Status TarReader::take_pax(std::string_view records, bool global, Said& said) {
  while (!records.empty()) {
    const auto record = take_front(records);
    if (!record) return malformed("a pax header that is none");
    TRY(take_record(record->key, record->value, global, said));
  }
  return {};
}

Status TarReader::take_extension(const BlockFields& fields, Said& said) {
  if (fields.type == 'g') {
    TRY(count());
    TRY_ASSIGN(const std::string records, content(fields.size, kMaxPax));
    return take_pax(records, true, said);
  }
  if (fields.type == 'x') {
    if (std::exchange(said.pax, true)) return malformed("two headers for one entry");
    TRY_ASSIGN(const std::string records, content(fields.size, kMaxPax));
    return take_pax(records, false, said);
  }
  std::optional<std::string>& place = fields.type == 'L' ? said.name : said.link;
  if (place) return malformed("two names for one entry");
  TRY_ASSIGN(std::string name, content(fields.size, kMaxName + 1));
  if (name.ends_with('\0')) name.pop_back();
  place = std::move(name);
  return {};
}

Result<bool> TarReader::next_header(Said& said, BlockFields& fields) {
  for (;;) {
    Block block{};
    TRY(fill(block));
    if (is_zero(block)) {
      if (said.pax || said.name || said.link) return malformed("a header without its entry");
      TRY(end_of_stream());
      return false;
    }
    auto parsed = parse_block(block);
    if (!parsed) return malformed("a header that is none, or of an old form");
    fields = std::move(*parsed);
    if (std::string_view("gxLK").find(fields.type) == std::string_view::npos) return true;
    TRY(take_extension(fields, said));
  }
}

Status TarReader::put_type(char type, Entry& entry) {
  switch (type) {
    case '0':
    case '7': entry.type = EntryType::kFile; return {};
    case '1': entry.type = EntryType::kHardLink; return {};
    case '2': entry.type = EntryType::kSymlink; return {};
    case '3':
    case '4': return refuse(trouble_, "type", entry.name, "a device node");
    case '5': entry.type = EntryType::kDirectory; return {};
    case '6': return refuse(trouble_, "type", entry.name, "a FIFO");
    case 'S': return refuse(trouble_, "type", entry.name, "a sparse file");
    default: return refuse(trouble_, "type", entry.name, "neither file, directory nor link");
  }
}

Status TarReader::check(Entry& entry) {
  if (!is_good_name(entry.name))
    return refuse(trouble_, "name", entry.name, "a name that is absolute, leads upwards, or is none");
  if (depth_of(entry.name) > limits_.depth)
    return refuse(trouble_, "depth", entry.name, "more than {} directories deep", limits_.depth);
  if (entry.type != EntryType::kFile && entry.size != 0) return malformed("a size for what has no content");
  if (entry.type == EntryType::kSymlink && !stays_inside(entry.name, entry.link, left_out_))
    return refuse(trouble_, "link", entry.name, "a symlink that could lead out, to {}", quoted(entry.link));
  if (entry.type == EntryType::kHardLink && !is_good_name(entry.link))
    return refuse(trouble_, "link", entry.name, "a hard link out, to {}", quoted(entry.link));
  if (entry.size > limits_.size || totals_.bytes > limits_.size - entry.size)
    return refuse(trouble_, "size", entry.name, "more than {} bytes in all", limits_.size);
  return {};
}

Result<bool> TarReader::next(Entry& entry) {
  if (ended_) return false;
  TRY(skip_content());
  for (;;) {
    Said said;
    BlockFields fields;
    TRY_ASSIGN(const bool more, next_header(said, fields));
    if (!more) return false;
    entry = {};
    const std::string full = said.name ? std::move(*said.name) : std::move(fields.name);
    entry.name = tidy_name(full);
    name_ = entry.name;
    TRY(put_type(fields.type, entry));
    TRY(count());
    if (entry.type != EntryType::kDirectory && full.ends_with('/')) return malformed("a file with a directory's name");
    entry.mode = static_cast<std::uint32_t>(fields.mode & 0777);
    entry.mtime = said.mtime.value_or(fields.mtime);
    entry.size = said.size.value_or(fields.size);
    if (entry.name.empty() && entry.type == EntryType::kDirectory && entry.size == 0 && !full.empty()) continue;
    if (entry.type == EntryType::kSymlink || entry.type == EntryType::kHardLink)
      entry.link = said.link ? std::move(*said.link) : std::move(fields.link);
    if (entry.type == EntryType::kHardLink) entry.link = std::string(tidy_name(entry.link));
    TRY(check(entry));
    break;
  }
  left_ = entry.size;
  padding_ = padding_of(entry.size);
  totals_.bytes += entry.size;
  totals_.files += entry.type == EntryType::kDirectory ? 0 : 1;
  return true;
}

}  // namespace sandboxd::archive
