// The limits of a request (protocol/job.h) by the names of base/limits.h, in that table's order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/limits.h"
#include "protocol/job.h"

namespace sandboxd::protocol {

struct AskedRow {
  std::string_view name{};
  std::optional<std::uint64_t> AskedLimits::*member = nullptr;
};

inline constexpr std::array kAskedRows = {
    AskedRow{"memory_max", &AskedLimits::memory_max},
    AskedRow{"memory_high", &AskedLimits::memory_high},
    AskedRow{"memory_swap_max", &AskedLimits::memory_swap_max},
    AskedRow{"cpu_max", &AskedLimits::cpu_max},
    AskedRow{"cpu_weight", &AskedLimits::cpu_weight},
    AskedRow{"pids_max", &AskedLimits::pids_max},
    AskedRow{"io_max_rbps", &AskedLimits::io_max_rbps},
    AskedRow{"io_max_wbps", &AskedLimits::io_max_wbps},
    AskedRow{"io_max_riops", &AskedLimits::io_max_riops},
    AskedRow{"io_max_wiops", &AskedLimits::io_max_wiops},
    AskedRow{"nofile", &AskedLimits::nofile},
    AskedRow{"file_size_max", &AskedLimits::file_size_max},
    AskedRow{"scratch_max", &AskedLimits::scratch_max},
    AskedRow{"inodes_max", &AskedLimits::inodes_max},
    AskedRow{"output_max", &AskedLimits::output_max},
    AskedRow{"wall_time", &AskedLimits::wall_time},
    AskedRow{"cpu_time", &AskedLimits::cpu_time},
    AskedRow{"idle_time", &AskedLimits::idle_time},
};

consteval bool same_names() {
  if (kAskedRows.size() != kLimitRows.size()) return false;
  for (std::size_t i = 0; i < kAskedRows.size(); ++i) {
    if (kAskedRows[i].name != kLimitRows[i].name) return false;
  }
  return true;
}
static_assert(same_names());

}  // namespace sandboxd::protocol
