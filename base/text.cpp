#include "base/text.h"

#include <array>
#include <limits>

#include <fmt/core.h>

namespace sandboxd {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct Decoded {
  char32_t point = 0;
  std::size_t length = 0;  // 0: not well-formed
};

Decoded decode_one(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return {};
  char32_t point = first & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    point = (point << 6) | (byte(i) & 0x3FU);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (point < kLeast[length] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) return {};
  return {point, length};
}

// C0, DEL, C1, line separators and the bidirectional controls: they change what a terminal shows (CVE-2021-42574).
bool is_unsafe(char32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x2028 || point == 0x2029 || point == 0x061C ||
         point == 0x200E || point == 0x200F || (point >= 0x202A && point <= 0x202E) ||
         (point >= 0x2066 && point <= 0x2069) || point == 0xFEFF;
}

std::string escape_with(std::string_view text, bool quotes) {
  std::string out;
  out.reserve(text.size() + 2);
  for (std::size_t i = 0; i < text.size();) {
    const Decoded one = decode_one(text.substr(i));
    const std::size_t length = one.length == 0 ? 1 : one.length;
    const bool quote = quotes && (one.point == '\'' || one.point == '\\');
    if (one.length != 0 && !is_unsafe(one.point) && !quote) {
      out.append(text.substr(i, length));
    } else {
      for (std::size_t k = i; k < i + length; ++k) out += fmt::format("\\x{:02x}", static_cast<std::uint8_t>(text[k]));
    }
    i += length;
  }
  return out;
}

std::optional<std::uint64_t> scaled(std::string_view digits, std::uint64_t factor) {
  const auto number = parse_uint(digits, std::numeric_limits<std::int64_t>::max() / factor);
  if (!number) return std::nullopt;
  return *number * factor;
}

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};

std::optional<std::uint64_t> parse_with_units(std::string_view text, std::span<const Unit> units) {
  const std::size_t end = text.find_first_not_of("0123456789");
  const std::string_view digits = text.substr(0, end);
  const std::string_view suffix = end == std::string_view::npos ? std::string_view() : text.substr(end);
  for (const Unit& unit : units) {
    if (unit.suffix == suffix) return scaled(digits, unit.factor);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_uint(std::string_view text, std::uint64_t most) {
  if (text.empty() || text.size() > 20 || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    if (__builtin_mul_overflow(number, std::uint64_t{10}, &number)) return std::nullopt;
    if (__builtin_add_overflow(number, static_cast<std::uint64_t>(c - '0'), &number)) return std::nullopt;
  }
  if (number > most) return std::nullopt;
  return number;
}

std::string quoted(std::string_view text) {
  std::string out = escape_with(text, true);
  out.insert(out.begin(), '\'');
  out += '\'';
  return out;
}
std::string escaped(std::string_view text) { return escape_with(text, false); }

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const Decoded one = decode_one(text.substr(i));
    if (one.length == 0) return false;
    i += one.length;
  }
  return true;
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = (group << 8) | (i + k < bytes.size() ? static_cast<std::uint8_t>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k > bytes.size() - i ? '=' : kBase64[(group >> (18 - 6 * k)) & 63U];
    }
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t pad = 0;
  while (pad < 2 && pad < text.size() && text[text.size() - 1 - pad] == '=') ++pad;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  unsigned have = 0;
  for (const char c : text.substr(0, text.size() - pad)) {
    const std::size_t value = kBase64.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>((bits >> have) & 0xFFU);
    }
  }
  if ((bits & ((1U << have) - 1)) != 0) return std::nullopt;
  return out;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    out += kHexDigits[byte >> 4];
    out += kHexDigits[byte & 15];
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const std::size_t high = kHexDigits.find(text[i]);
    const std::size_t low = kHexDigits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  static constexpr std::array kUnits = {Unit{"", 1},           Unit{"B", 1},          Unit{"K", 1ULL << 10},
                                        Unit{"M", 1ULL << 20}, Unit{"G", 1ULL << 30}, Unit{"T", 1ULL << 40}};
  return parse_with_units(text, kUnits);
}

std::optional<std::uint64_t> parse_timespan_usec(std::string_view text) {
  static constexpr std::array kUnits = {
      Unit{"", 1'000'000},   Unit{"s", 1'000'000},    Unit{"ms", 1'000},          Unit{"us", 1},
      Unit{"m", 60'000'000}, Unit{"min", 60'000'000}, Unit{"h", 3'600'000'000UL}, Unit{"d", 86'400'000'000UL}};
  return parse_with_units(text, kUnits);
}

}  // namespace sandboxd
