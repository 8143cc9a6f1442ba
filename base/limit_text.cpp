#include "base/limit_text.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/text.h"

namespace sandboxd {
namespace {

constexpr std::string_view kInfinity = "infinity";
constexpr std::uint64_t kMostCores = 1U << 20;
constexpr std::uint64_t kMostCount = INT64_MAX;

struct Scale {
  std::string_view unit{};
  std::uint64_t factor = 1;
};
constexpr std::array kBytes = {Scale{"T", 1ULL << 40}, Scale{"G", 1ULL << 30}, Scale{"M", 1U << 20},
                               Scale{"K", 1U << 10}};
constexpr std::array kTimes = {Scale{"s", 1'000'000}, Scale{"ms", 1'000}};

template <std::size_t N>
std::string scaled(std::uint64_t value, const std::array<Scale, N>& scales, std::string_view last) {
  for (const Scale& scale : scales) {
    if (value != 0 && value % scale.factor == 0) return fmt::format("{}{}", value / scale.factor, scale.unit);
  }
  return fmt::format("{}{}", value, last);
}

std::string cores_text(std::uint64_t thousandths) {
  std::string text = fmt::format("{}.{:03}", thousandths / 1000, thousandths % 1000);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::optional<std::uint64_t> parse_value(LimitKind kind, std::string_view text) {
  switch (kind) {
    case LimitKind::kBytes: return parse_size(text);
    case LimitKind::kTime: return parse_timespan_usec(text);
    case LimitKind::kCount: return parse_uint(text, kMostCount);
    case LimitKind::kCores: return parse_cores(text);
    case LimitKind::kWeight: return parse_uint(text, 10'000);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> parse_cores(std::string_view text) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const auto whole = parse_uint(text.substr(0, point), kMostCores);
  if (!whole) return std::nullopt;
  std::uint64_t thousandths = *whole * 1000;
  if (point < text.size()) {
    const std::string_view places = text.substr(point + 1);
    if (places.empty() || places.size() > 3) return std::nullopt;
    std::uint64_t worth = 100;
    for (const char c : places) {
      if (c < '0' || c > '9') return std::nullopt;
      thousandths += worth * static_cast<std::uint64_t>(c - '0');
      worth /= 10;
    }
  }
  if (thousandths == 0) return std::nullopt;
  return thousandths;
}

std::optional<std::uint64_t> none_of(const LimitRow& row) {
  if (row.kind == LimitKind::kWeight || row.member == &Limits::nofile || row.member == &Limits::pids_max)
    return std::nullopt;
  return row.zero_is_none ? 0 : kNoLimit;
}

std::optional<std::uint64_t> parse_limit(const LimitRow& row, std::string_view text) {
  if (text == kInfinity) return none_of(row);
  const auto value = parse_value(row.kind, text);
  const bool zero = row.kind == LimitKind::kBytes && !row.zero_is_none;
  if (!value || (*value == 0 && !zero) || *value > INT64_MAX) return std::nullopt;
  return value;
}

std::string expected_of(const LimitRow& row) {
  std::string text;
  switch (row.kind) {
    case LimitKind::kBytes: text = "bytes, or a text as '512M' (K, M, G, T of 1024)"; break;
    case LimitKind::kTime: text = "seconds, or a text as '90s', '5min', '2h' (ms, s, min, h, d)"; break;
    case LimitKind::kCount: text = "a number from 1"; break;
    case LimitKind::kCores: text = "cores, as '2' or '0.5' (thousandths at most)"; break;
    case LimitKind::kWeight: text = "1 to 10000"; break;
  }
  return none_of(row) ? text + ", or 'infinity'" : text;
}

std::string limit_text(const LimitRow& row, std::uint64_t value) {
  if (none_of(row) == value) return std::string(kInfinity);
  switch (row.kind) {
    case LimitKind::kBytes: return scaled(value, kBytes, "");
    case LimitKind::kTime: return scaled(value, kTimes, "us");
    case LimitKind::kCores: return cores_text(value);
    case LimitKind::kCount:
    case LimitKind::kWeight: break;
  }
  return fmt::format("{}", value);
}

}  // namespace sandboxd
