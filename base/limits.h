// The limits of a jail, and one table of them: profiles, presets, requests, flags, the plan, the cgroup and reports go by its
// rows, so that a limit has one name and one meaning. Names are cgroup v2's (Linux: admin-guide/cgroup-v2.rst) and
// systemd.resource-control(5)'s, in lower case. Units: bytes, microseconds, thousandths of a core, counts.
// 0 means "none", but for rows that say otherwise (LimitRow::zero_is_none); a jail without a nofile or pids_max is none.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sandboxd {

// Where 0 is a limit (memory_swap_max), this is none. On the wire as everywhere.
inline constexpr std::uint64_t kNoLimit = UINT64_MAX;

struct Limits {
  std::uint64_t wall_time = 0;        // of the jail; an exec's is of its job
  std::uint64_t nofile = 4096;        // RLIMIT_NOFILE, each process
  std::uint64_t file_size_max = 0;    // RLIMIT_FSIZE, each file
  std::uint64_t pids_max = 512;       // processes and threads of the whole jail
  std::uint64_t scratch_max = 0;      // the sum of the tmpfs sizes
  std::uint64_t inodes_max = 0;       // the sum of the tmpfs inodes
  std::uint64_t memory_max = 0;       // page cache and tmpfs included
  std::uint64_t memory_high = 0;      // above it the jail is slowed down, not killed
  std::uint64_t memory_swap_max = 0;  // kNoLimit: none
  std::uint64_t cpu_max = 0;          // thousandths of a core, over all processors
  std::uint64_t cpu_weight = 100;     // 1 to 10000, against neighbours
  std::uint64_t cpu_time = 0;         // user and system, the whole tree
  std::uint64_t idle_time = 0;        // without output and without processor time
  std::uint64_t output_max = 0;       // standard output and error of one job together
  std::uint64_t io_max_rbps = 0;      // bytes a second, on the whole disk under the workspace
  std::uint64_t io_max_wbps = 0;
  std::uint64_t io_max_riops = 0;  // operations a second
  std::uint64_t io_max_wiops = 0;

  template <class A> void fields(A& a) {
    a(wall_time);
    a(nofile);
    a(file_size_max);
    a(pids_max);
    a(scratch_max);
    a(inodes_max);
    a(memory_max);
    a(memory_high);
    a(memory_swap_max);
    a(cpu_max);
    a(cpu_weight);
    a(cpu_time);
    a(idle_time);
    a(output_max);
    a(io_max_rbps);
    a(io_max_wbps);
    a(io_max_riops);
    a(io_max_wiops);
  }
  bool operator==(const Limits&) const = default;
};

// What a cap that says nothing allows.
constexpr Limits no_limits() {
  Limits none;
  none.nofile = none.pids_max = 0;
  none.memory_swap_max = kNoLimit;
  none.cpu_weight = 10'000;
  return none;
}

enum class LimitKind : std::uint8_t {
  kBytes,  // "512M": a number, or text with K, M, G, T (of 1024)
  kTime,   // "90s"
  kCount,
  kCores,   // "0.5": thousandths are kept
  kWeight,  // 1 to 10000
};

struct LimitRow {
  std::string_view name{};
  std::uint64_t Limits::*member = nullptr;
  LimitKind kind = LimitKind::kCount;
  bool zero_is_none = true;       // else none is kNoLimit, or there is no none
  std::string_view controller{};  // of cgroup v2; empty: enforced by other means, on every host
  std::string_view group{};       // what "unenforced_limits" calls it; empty: can't be gone without
};

// In the order in which they are shown.
inline constexpr std::array kLimitRows = {
    LimitRow{"memory_max", &Limits::memory_max, LimitKind::kBytes, true, "memory", "memory_max"},
    LimitRow{"memory_high", &Limits::memory_high, LimitKind::kBytes, true, "memory", "memory_high"},
    LimitRow{"memory_swap_max", &Limits::memory_swap_max, LimitKind::kBytes, false, "memory", "memory_swap_max"},
    LimitRow{"cpu_max", &Limits::cpu_max, LimitKind::kCores, true, "cpu", "cpu_max"},
    LimitRow{"cpu_weight", &Limits::cpu_weight, LimitKind::kWeight, false, "cpu", "cpu_weight"},
    LimitRow{"pids_max", &Limits::pids_max, LimitKind::kCount, true, "pids", "pids_max"},
    LimitRow{"io_max_rbps", &Limits::io_max_rbps, LimitKind::kBytes, true, "io", "io_max"},
    LimitRow{"io_max_wbps", &Limits::io_max_wbps, LimitKind::kBytes, true, "io", "io_max"},
    LimitRow{"io_max_riops", &Limits::io_max_riops, LimitKind::kCount, true, "io", "io_max"},
    LimitRow{"io_max_wiops", &Limits::io_max_wiops, LimitKind::kCount, true, "io", "io_max"},
    LimitRow{"nofile", &Limits::nofile, LimitKind::kCount},
    LimitRow{"file_size_max", &Limits::file_size_max, LimitKind::kBytes},
    LimitRow{"scratch_max", &Limits::scratch_max, LimitKind::kBytes},
    LimitRow{"inodes_max", &Limits::inodes_max, LimitKind::kCount},
    LimitRow{"output_max", &Limits::output_max, LimitKind::kBytes},
    LimitRow{"wall_time", &Limits::wall_time, LimitKind::kTime},
    LimitRow{"cpu_time", &Limits::cpu_time, LimitKind::kTime},
    LimitRow{"idle_time", &Limits::idle_time, LimitKind::kTime},
};

constexpr const LimitRow* find_limit(std::string_view name) {
  for (const LimitRow& row : kLimitRows) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace sandboxd
