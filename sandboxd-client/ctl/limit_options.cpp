#include "sandboxd-client/ctl/limit_options.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "base/limit_text.h"
#include "base/text.h"
#include "protocol/limits.h"
#include "sandboxd-client/ctl/options.h"

namespace sandboxd::ctl {
namespace {

struct Help {
  std::string_view name;
  const char* text;
};
constexpr std::array kHelps = {
    Help{"memory_max", "the most memory, page cache and scratch included; past it the kernel kills the whole jail"},
    Help{"memory_high", "memory past which the jail is slowed down"},
    Help{"memory_swap_max", "the most swap; 0 for none"},
    Help{"cpu_max", "the most processor time a second, over all processors: 2, 0.5"},
    Help{"cpu_weight", "the share against neighbours, 1 to 10000; 100 is usual"},
    Help{"pids_max", "the most processes and threads"},
    Help{"io_max_rbps", "the most bytes read a second from the disk under the workspace"},
    Help{"io_max_wbps", "the most bytes written a second to it"},
    Help{"io_max_riops", "the most reads a second from it"},
    Help{"io_max_wiops", "the most writes a second to it"},
    Help{"nofile", "the most files that a process may have open"},
    Help{"file_size_max", "the largest file that the job may write"},
    Help{"scratch_max", "the sum of the sizes of the jail's file systems in memory"},
    Help{"inodes_max", "the most files and directories in them"},
    Help{"output_max", "the most bytes of a job's output; past it the job is killed"},
    Help{"wall_time", ""},
    Help{"cpu_time", "kill the jail after so much processor time, of all its processes"},
    Help{"idle_time", "kill the jail after so long without output and without processor time"},
};

const char* type_of(LimitKind kind) {
  switch (kind) {
    case LimitKind::kBytes: return "SIZE";
    case LimitKind::kTime: return "TIME";
    case LimitKind::kCores: return "CORES";
    case LimitKind::kCount:
    case LimitKind::kWeight: break;
  }
  return "N";
}

}  // namespace

std::string option_of(const LimitRow& row) {
  std::string name = "--" + std::string(row.name);
  std::ranges::replace(name, '_', '-');
  return name;
}

void add_limit_options(Options& options, LimitOptions& wanted, LimitSet set) {
  static_assert(kHelps.size() == kLimitRows.size());
  for (std::size_t i = 0; i < kLimitRows.size(); ++i) {
    const LimitRow& row = kLimitRows[i];
    if (row.member == &Limits::wall_time || (set == LimitSet::kLive && row.controller.empty())) continue;
    const auto help = std::ranges::find(kHelps, row.name, &Help::name);
    options.text(option_of(row).c_str(), wanted.values.at(i), type_of(row.kind), help->text);
  }
  if (set == LimitSet::kAll)
    options.text("--disk-max", wanted.disk_max, "SIZE", "refused, with the reason: see LIMITS in sandboxctl(1)");
}

Result<protocol::AskedLimits> limits_from_options(const LimitOptions& options) {
  protocol::AskedLimits asked;
  for (std::size_t i = 0; i < kLimitRows.size(); ++i) {
    const auto& text = options.values.at(i);
    if (!text) continue;
    const auto value = parse_limit(kLimitRows[i], *text);
    if (!value)
      return make_error("{} {}: must be {}", option_of(kLimitRows[i]), sandboxd::quoted(*text),
                        expected_of(kLimitRows[i]));
    asked.*protocol::kAskedRows[i].member = *value;
  }
  if (!options.disk_max) return asked;
  asked.disk_max = parse_size(*options.disk_max);
  if (!asked.disk_max)
    return make_error("--disk-max {}: must be bytes, or a text as '512M'", sandboxd::quoted(*options.disk_max));
  return asked;
}

}  // namespace sandboxd::ctl
