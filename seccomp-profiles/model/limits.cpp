#include "seccomp-profiles/model/limits.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/limit_text.h"
#include "base/text.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::filters {
namespace {

using Kind = JsonNode::Kind;

constexpr std::uint64_t kMaxCount = 1ULL << 30;
constexpr std::uint64_t kMostWeight = 10'000;
constexpr std::uint64_t kWhole =
    1U << 20;  // parts of the host are whole MiB: shown as such, and a multiple of any page
constexpr std::array<std::string_view, 3> kPresetKeys = {"name", "description", "limits"};

Result<std::uint64_t> cores_at(const Cursor& at) {
  const JsonNode& node = at.node();
  const bool text = node.kind == Kind::kText || node.kind == Kind::kFloat;
  const std::string written = node.kind == Kind::kUnsigned ? fmt::format("{}", node.number) : node.text;
  const auto cores = text || node.kind == Kind::kUnsigned ? parse_cores(written) : std::nullopt;
  if (!cores) return at.unexpected("cores, as 2, 0.5 or \"0.5\" (thousandths at most)");
  return *cores;
}

Result<std::uint64_t> value_at(const Cursor& at, const LimitRow& row, bool infinity) {
  if (infinity && at.node().kind == Kind::kText && at.node().text == "infinity") return none_of(row).value_or(0);
  std::uint64_t value = 0;
  switch (row.kind) {
    case LimitKind::kTime: {
      TRY_ASSIGN(value, time_at(at));
      break;
    }
    case LimitKind::kBytes: {
      TRY_ASSIGN(value, size_at(at));
      break;
    }
    case LimitKind::kCores: return cores_at(at);
    case LimitKind::kCount: return at.number(1, kMaxCount);
    case LimitKind::kWeight: return at.number(1, kMostWeight);
  }
  if (value == 0 && row.zero_is_none)
    return at.error(infinity ? "is 0; for no limit write \"infinity\"" : "is 0; it must be above 0");
  return value;
}

bool is_scratch(const LimitRow& row) { return row.member == &Limits::scratch_max || row.member == &Limits::inodes_max; }

template <class Read> Status read_rows(const Cursor& at, Limits& limits, Read read) {
  std::array<std::string_view, kLimitRows.size()> names{};
  std::ranges::transform(kLimitRows, names.begin(), &LimitRow::name);
  TRY(at.only_keys(names));
  for (const LimitRow& row : kLimitRows) {
    if (!at.has(row.name)) continue;
    TRY_ASSIGN(const Cursor value, at.member(row.name));
    TRY_ASSIGN(limits.*row.member, read(value, row));
  }
  return {};
}

Result<std::uint64_t> part_at(const Cursor& at, const LimitRow& row, const Host& host) {
  const bool half = at.node().kind == Kind::kText && at.node().text == "half";
  if (!half || row.controller != "memory") return value_at(at, row, none_of(row).has_value());
  const std::uint64_t bytes = host.memory / 2 / kWhole * kWhole;
  if (bytes == 0) return at.error("is 'half' of the host's memory, which is not known");
  return bytes;
}

Result<std::uint64_t> least_at(const Cursor& at, const LimitRow& row, const Host& host) {
  if (at.node().kind != Kind::kArray) return part_at(at, row, host);
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  if (items.empty()) return at.error("is empty; list values, the least of which counts");
  TRY_ASSIGN(std::uint64_t least, part_at(items.front(), row, host));
  for (const Cursor& item : items) {
    TRY_ASSIGN(const std::uint64_t value, part_at(item, row, host));
    if (is_wider(row, least, value)) least = value;
  }
  return least;
}

}  // namespace

Status read_caps(const Cursor& at, Limits& limits) {
  return read_rows(at, limits, [](const Cursor& value, const LimitRow& row) {
    return value_at(value, row, none_of(row).has_value() && !is_scratch(row));
  });
}

Status read_values(const Cursor& at, const Host& host, Limits& limits) {
  return read_rows(at, limits,
                   [&host](const Cursor& value, const LimitRow& row) { return least_at(value, row, host); });
}

Limits before_default() {
  Limits limits = no_limits();
  limits.cpu_weight = Limits().cpu_weight;
  return limits;
}

bool looks_like_preset(const Cursor& file) { return file.has("limits") && file.only_keys(kPresetKeys).ok(); }

Result<Preset> load_preset(std::string_view name, const SourceText& source, const Limits& base, const Host& host) {
  TRY_ASSIGN(const JsonNode root, parse_json(source.text, source.file));
  const Cursor file(root, source.file);
  TRY(file.only_keys(kPresetKeys));
  Preset preset;
  preset.file = source.file;
  TRY_ASSIGN(const Cursor name_at, file.member("name"));
  TRY_ASSIGN(preset.name, name_at.text());
  if (preset.name != name) return name_at.unexpected(fmt::format("'{}', the file's own name", name));
  TRY_ASSIGN(const Cursor description, file.member("description"));
  TRY_ASSIGN(preset.description, description.filled_text());
  TRY_ASSIGN(const Cursor limits, file.member("limits"));
  preset.limits = base;
  TRY(read_values(limits, host, preset.limits));
  for (const LimitRow& row : kLimitRows) {
    if (preset.limits.*row.member == 0 && row.zero_is_none && !none_of(row))
      return limits.error(fmt::format("limit '{}' is missing; add it", row.name));
  }
  return preset;
}

}  // namespace sandboxd::filters
