#include "archive/block.h"

#include <algorithm>
#include <cstring>

namespace sandboxd::archive {
namespace {

struct Field {
  std::size_t at, size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12}, kSum{148, 8},
    kLink{157, 100}, kMagic{257, 8}, kPrefix{345, 155};
constexpr std::size_t kTypeAt = 156;
constexpr std::string_view kUstar(
    "ustar\0"
    "00",
    8);
constexpr std::string_view kGnu("ustar  \0", 8);

std::string_view field(const Block& block, Field which) { return {block.data() + which.at, which.size}; }

std::string_view text(const Block& block, Field which) {
  const std::string_view all = field(block, which);
  return all.substr(0, all.find('\0'));
}

// Octal digits with spaces before and a space or NUL after them; or, as GNU tar has it, big-endian binary after a set bit.
std::optional<std::uint64_t> number(std::string_view digits) {
  if (static_cast<unsigned char>(digits.front()) == 0x80) {
    std::uint64_t value = 0;
    for (const char c : digits.substr(1)) {
      if (value >> 55 != 0) return {};
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  while (!digits.empty() && digits.front() == ' ') digits.remove_prefix(1);
  std::uint64_t value = 0;
  while (!digits.empty() && digits.front() >= '0' && digits.front() <= '7') {
    value = value * 8 + static_cast<std::uint64_t>(digits.front() - '0');
    digits.remove_prefix(1);
  }
  const bool ended = digits.find_first_not_of(std::string_view(" \0", 2)) == std::string_view::npos;
  return ended ? std::optional(value) : std::nullopt;
}

std::uint64_t sum_of(const Block& block) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const bool in_sum = i >= kSum.at && i < kSum.at + kSum.size;
    sum += in_sum ? ' ' : static_cast<unsigned char>(block[i]);
  }
  return sum;
}

bool put_text(Block& block, Field which, std::string_view value) {
  if (value.size() > which.size) return false;
  std::copy(value.begin(), value.end(), block.begin() + static_cast<std::ptrdiff_t>(which.at));
  return true;
}

bool put_number(Block& block, Field which, std::uint64_t value) {
  for (std::size_t i = which.size - 1; i-- > 0; value /= 8) block[which.at + i] = static_cast<char>('0' + value % 8);
  return value == 0;
}

// Where a long name can be cut so that both halves fit.
std::optional<std::size_t> cut_of(std::string_view name) {
  for (std::size_t at = name.find('/'); at != std::string_view::npos; at = name.find('/', at + 1)) {
    if (at > kPrefix.size) return {};
    if (at > 0 && name.size() - at - 1 <= kName.size && at + 1 < name.size()) return at;
  }
  return {};
}

bool put_name(Block& block, std::string_view name) {
  if (name.size() <= kName.size) return put_text(block, kName, name);
  const auto cut = cut_of(name);
  return cut && put_text(block, kPrefix, name.substr(0, *cut)) && put_text(block, kName, name.substr(*cut + 1));
}

}  // namespace

bool is_zero(const Block& block) {
  return std::ranges::all_of(block, [](char c) { return c == 0; });
}

std::optional<BlockFields> parse_block(const Block& block) {
  const std::string_view magic = field(block, kMagic);
  if (magic != kUstar && magic != kGnu) return {};
  if (number(field(block, kSum)) != sum_of(block)) return {};
  const auto mode = number(field(block, kMode));
  const auto size = number(field(block, kSize));
  // A time before 1970 is no reason to refuse a file.
  const bool negative = static_cast<unsigned char>(block[kMtime.at]) == 0xff;
  const auto mtime = negative ? std::uint64_t{0} : number(field(block, kMtime));
  if (!mode || !size || !mtime) return {};
  BlockFields fields;
  fields.mode = *mode;
  fields.size = *size;
  fields.mtime = static_cast<std::int64_t>(std::min<std::uint64_t>(*mtime, INT64_MAX));
  fields.type = block[kTypeAt] == '\0' ? '0' : block[kTypeAt];
  fields.name = text(block, kName);
  fields.link = text(block, kLink);
  const std::string_view prefix = magic == kUstar ? text(block, kPrefix) : std::string_view();
  if (!prefix.empty()) fields.name = std::string(prefix) + "/" + fields.name;
  return fields;
}

std::optional<Block> make_block(const BlockFields& fields) {
  Block block{};
  bool fits = put_name(block, fields.name) && put_text(block, kLink, fields.link);
  fits = fits && put_number(block, kMode, fields.mode) && put_number(block, kSize, fields.size);
  fits = fits && put_number(block, kMtime, static_cast<std::uint64_t>(std::max<std::int64_t>(fields.mtime, 0)));
  if (!fits) return {};
  put_number(block, kUid, 0);
  put_number(block, kGid, 0);
  put_text(block, kMagic, kUstar);
  block[kTypeAt] = fields.type;
  put_number(block, {kSum.at, kSum.size - 1}, sum_of(block));
  block[kSum.at + kSum.size - 1] = ' ';
  return block;
}

}  // namespace sandboxd::archive
