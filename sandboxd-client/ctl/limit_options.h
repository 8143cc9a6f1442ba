// The options that name limits: one for each row of base/limits.h ("--memory-max"), made from that table. "--timeout" is
// wall_time, and is with the options of a command.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "protocol/job.h"

namespace sandboxd::ctl {

class Options;

struct LimitOptions {
  std::array<std::optional<std::string>, kLimitRows.size()> values{};  // by row
  std::optional<std::string> disk_max{};
};

// kAll: of a jail's start. kLive: what can change while it lives.
enum class LimitSet : std::uint8_t { kAll, kLive };

void add_limit_options(Options& options, LimitOptions& wanted, LimitSet set);
Result<protocol::AskedLimits> limits_from_options(const LimitOptions& options);
// "memory_max" -> "--memory-max".
[[nodiscard]] std::string option_of(const LimitRow& row);

}  // namespace sandboxd::ctl
