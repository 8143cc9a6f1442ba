// What a cgroup's statistics say (Linux: admin-guide/cgroup-v2.rst, accounting/psi.rst). The parsers take a file's whole text,
// pass over what they don't know, and leave at 0 what is not there: later kernels add lines, and a host without a controller
// lacks some. Times are microseconds, sizes bytes. EPROTO for text that has another shape.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sandboxd::cgroups {

struct CpuStat {
  std::uint64_t usage = 0;  // user and system
  std::uint64_t user = 0;
  std::uint64_t system = 0;
  std::uint64_t periods = 0;  // of cpu.max; 0 without the controller
  std::uint64_t throttled_periods = 0;
  std::uint64_t throttled = 0;  // time, summed over processors
};
struct MemoryEvents {
  std::uint64_t high = 0;
  std::uint64_t max = 0;
  std::uint64_t oom = 0;             // the limit was reached, and nothing could be reclaimed
  std::uint64_t oom_kill = 0;        // processes killed for it
  std::uint64_t oom_group_kill = 0;  // times that all were
};
struct IoStat {
  std::uint64_t read_bytes = 0;
  std::uint64_t written_bytes = 0;
  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
};
// Averages are hundredths of a percent: 12.34 % is 1234.
struct PressureLine {
  std::uint32_t avg10 = 0;
  std::uint32_t avg60 = 0;
  std::uint32_t avg300 = 0;
  std::uint64_t total = 0;
};
struct Pressure {
  PressureLine some{};
  PressureLine full{};
};

Result<CpuStat> parse_cpu_stat(std::string_view text);
Result<MemoryEvents> parse_memory_events(std::string_view text);
Result<std::uint64_t> parse_pids_events(std::string_view text);  // forks that pids.max refused
// The sum over all devices. One that stands on another (dm, md) is counted beside it, as the kernel does.
Result<IoStat> parse_io_stat(std::string_view text);
Result<Pressure> parse_pressure(std::string_view text);
// memory.current, memory.peak, pids.current, pids.peak; "max" is UINT64_MAX.
Result<std::uint64_t> parse_amount(std::string_view text);
// The whole text of a file that stays open: a cgroup's file is made anew when it is read from its beginning.
Result<std::string> reread(int fd);

}  // namespace sandboxd::cgroups
