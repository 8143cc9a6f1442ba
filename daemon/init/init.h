// jail-init: PID 1 of a jail, parent of the workload, with an id of its own that the workload can neither signal, trace nor
// read. It obeys its control socket only, and ends the jail when that closes. No libc, no heap: every byte it needs is in
// the plan's mapping, in `State`, or in a job's stack.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <linux/filter.h>

#include "daemon/wire/init_control.h"
#include "daemon/wire/sync.h"

namespace sandboxd::init {

// Bounds on what a plan may hold; the pointers to argv and env are kept in static memory.
inline constexpr std::size_t kMaxStrings = 16384;
inline constexpr std::size_t kMaxRlimits = 16;
inline constexpr std::size_t kMaxLandlockRows = 256;

struct Rlimit {
  std::uint32_t resource;
  std::uint64_t soft, hard;
};
struct LandlockRule {
  const char* path;
  std::uint64_t access;
};

// The decoded plan: pointers into the mapping.
struct Plan {
  std::uint32_t job_uid = 0, job_gid = 0;
  std::uint64_t wall_time = 0;
  std::uint8_t stdio = 0;
  bool merge_stderr = false;
  std::uint16_t rows = 0, columns = 0;
  std::array<Rlimit, kMaxRlimits> rlimits{};
  std::size_t rlimit_count = 0;
  std::uint64_t landlock_fs = 0, landlock_net = 0, landlock_scoped = 0;
  std::array<LandlockRule, kMaxLandlockRows> landlock{};
  std::size_t landlock_count = 0;
  const sock_filter* filter = nullptr;
  std::size_t filter_count = 0;
  const char* workdir = nullptr;
  char** argv = nullptr;  // NULL-terminated
  char** env = nullptr;
};

// Zero, or -errno with what was tried in `text` (a literal).
struct Outcome {
  long code = 0;
  const char* text = "";
  constexpr bool ok() const { return code >= 0; }
};

struct State {
  Plan plan{};
  bool landlock_probe = false;
  int signal_fd = -1;
  int job_pid = -1;
  int job_sync = -1;  // our end of the first job's handshake; -1 once it has exec'd or failed
  bool job_started = false;
  bool released = false;                     // kGo has come
  std::uint64_t deadline_nsec = 0;           // CLOCK_MONOTONIC; 0: none
  std::array<int, 3> job_stdio{-1, -1, -1};  // the job's ends
};

// Into a fixed field of a record: cut where it is too long, always NUL-terminated.
inline void copy_text(char* to, std::size_t size, const char* from) {
  std::size_t i = 0;
  for (; i + 1 < size && from[i] != '\0'; ++i) to[i] = from[i];
  to[i] = '\0';
}

[[noreturn]] void run();

// steps.cpp: the table of set-up steps, in order.
void set_up(State& state);
// job.cpp
Outcome make_streams(State& state);
Outcome spawn_job(State& state);
// loop.cpp
[[noreturn]] void loop(State& state);
void send_event(const wire::InitEventRecord& record, std::span<const int> fds = {});
// Says why on the sync socket and exits: nothing of the workload has run.
[[noreturn]] void give_up(const char* step, const Outcome& why);
[[noreturn]] void end_jail();
// plan.cpp
Outcome read_plan(int fd, Plan& plan);

}  // namespace sandboxd::init
