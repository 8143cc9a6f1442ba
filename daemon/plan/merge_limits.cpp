#include "daemon/plan/merge_limits.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/limit_text.h"
#include "base/text.h"
#include "protocol/limits.h"

namespace sandboxd::plan {
namespace {

using protocol::AskedLimits;
using protocol::kAskedRows;

constexpr std::string_view kDefaultPreset = "default";
constexpr std::string_view kOwnFiles =
    "nothing: a quota would change the inodes of your own files; scratch_max and file_size_max bound what a jail can "
    "write";
constexpr std::string_view kNoDisk = "nothing: all that the jail can write lies in memory, and scratch_max bounds it";

std::string names_of(std::span<const wire::Preset> presets) {
  std::vector<std::string_view> names;
  for (const wire::Preset& preset : presets) names.push_back(preset.name);
  return fmt::format("one of: {}", fmt::join(names, ", "));
}

bool is_possible(const LimitRow& row, std::uint64_t value) {
  if (row.kind == LimitKind::kWeight) return value >= 1 && value <= 10'000;
  return value != 0 || none_of(row) == 0 || !row.zero_is_none;
}

// The asked values put over `limits`.
std::optional<std::variant<Denied, InvalidArgument>> put_asked(const AskedLimits& asked, const Limits& caps,
                                                               std::string_view path, Limits& limits) {
  for (std::size_t i = 0; i < kAskedRows.size(); ++i) {
    const LimitRow& row = kLimitRows[i];
    const auto& value = asked.*kAskedRows[i].member;
    if (!value) continue;
    if (!is_possible(row, *value))
      return InvalidArgument{fmt::format("{}/{}", path, row.name), fmt::format("{}", *value), expected_of(row)};
    if (is_wider(row, *value, caps.*row.member)) {
      return Denied{fmt::format("limits.{}", row.name),
                    fmt::format("at most {}, not {}", limit_text(row, caps.*row.member), limit_text(row, *value))};
    }
    limits.*row.member = *value;
  }
  return {};
}

LimitsOutcome outcome_of(std::variant<Denied, InvalidArgument> refusal) {
  if (auto* denied = std::get_if<Denied>(&refusal)) return std::move(*denied);
  return std::get<InvalidArgument>(std::move(refusal));
}

// What needs every byte to go by.
std::optional<InvalidArgument> check_streams(const protocol::JobSpec& spec, const Limits& limits) {
  if (spec.stdio != protocol::Stdio::kInherit) return {};
  const bool output = limits.output_max != 0;
  if (!output && limits.idle_time == 0) return {};
  const std::string_view name = output ? "output_max" : "idle_time";
  return InvalidArgument{"/parameters/spec/stdio", "inherit",
                         fmt::format("relay, pass or null beside {}: nobody sees what goes by otherwise", name)};
}

}  // namespace

LimitsOutcome merge_limits(const protocol::JobSpec& spec, const wire::Profile& profile,
                           std::span<const wire::Preset> presets) {
  const std::string_view name = spec.preset ? std::string_view(*spec.preset) : kDefaultPreset;
  const auto preset = std::ranges::find(presets, name, &wire::Preset::name);
  if (preset == presets.end()) return InvalidArgument{"/parameters/spec/preset", std::string(name), names_of(presets)};
  Limits limits = preset->limits;
  for (const LimitRow& row : kLimitRows) {
    if (is_wider(row, limits.*row.member, profile.limits.*row.member)) limits.*row.member = profile.limits.*row.member;
  }
  AskedLimits asked = spec.limits;
  if (asked.disk_max) {
    const bool writable = spec.workspace && spec.workspace->access == protocol::Access::kRw;
    return InvalidArgument{"/parameters/spec/limits/disk_max", fmt::format("{}", *asked.disk_max),
                           std::string(writable ? kOwnFiles : kNoDisk)};
  }
  if (spec.wall_time && asked.wall_time && *spec.wall_time != *asked.wall_time)
    return InvalidArgument{"/parameters/spec/wall_time", fmt::format("{}", *spec.wall_time),
                           "what limits.wall_time says, or one of the two alone"};
  if (spec.wall_time) asked.wall_time = spec.wall_time;
  if (auto refused = put_asked(asked, profile.limits, "/parameters/spec/limits", limits))
    return outcome_of(std::move(*refused));
  if (auto wrong = check_streams(spec, limits)) return std::move(*wrong);
  return limits;
}

LimitsOutcome update_limits(const AskedLimits& asked, const Limits& now, const wire::Profile& profile) {
  Limits limits = now;
  bool some = false;
  for (std::size_t i = 0; i < kAskedRows.size(); ++i) {
    const auto& value = asked.*kAskedRows[i].member;
    some = some || value.has_value();
    if (!value || !kLimitRows[i].controller.empty()) continue;
    return InvalidArgument{fmt::format("/parameters/limits/{}", kLimitRows[i].name), fmt::format("{}", *value),
                           "nothing: only what a cgroup holds can change while the jail lives"};
  }
  if (asked.disk_max || !some)
    return InvalidArgument{"/parameters/limits", asked.disk_max ? "disk_max" : "", "a limit that a cgroup holds"};
  if (auto refused = put_asked(asked, profile.limits, "/parameters/limits", limits))
    return outcome_of(std::move(*refused));
  return limits;
}

}  // namespace sandboxd::plan
