// jail-init: PID 1 of a jail, parent of the workload, with an id of its own that the workload can neither signal, trace nor
// read. It obeys its control socket only, and ends the jail when that closes. No libc, no heap: every byte it needs is in
// the plan's mapping, in `State`, in the jobs table (jobs.h), or in a child's stack.
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
inline constexpr std::size_t kMaxLandlockRows = 512;
inline constexpr std::size_t kMaxTmpfs = 64;  // bits of InitEventRecord::full

struct Rlimit {
  std::uint32_t resource;
  std::uint64_t soft, hard;
};
// As the kernel has it: struct landlock_net_port_attr, which Debian 12's header lacks.
struct LandlockPort {
  std::uint64_t access;
  std::uint64_t port;
};
struct LandlockRule {
  const char* path;
  std::uint64_t access;
  bool no_symlinks;
};

// What a job is given, decoded: pointers into the plan's mapping and NULL-terminated arrays of them.
struct JobPlan {
  std::uint64_t wall_time = 0;  // microseconds; 0: none
  std::uint8_t stdio = 0;
  bool merge_stderr = false;
  bool keep_survivors = false;
  bool program = false;
  std::uint16_t rows = 0, columns = 0;
  std::array<Rlimit, kMaxRlimits> rlimits{};
  std::size_t rlimit_count = 0;
  const char* workdir = nullptr;
  char** argv = nullptr;  // argv[0] is NULL for a session's probe
  char** env = nullptr;
};

// The decoded plan of the jail.
struct Plan {
  std::uint32_t job_uid = 0, job_gid = 0;
  std::array<LandlockRule, kMaxLandlockRows> landlock{};
  std::size_t landlock_count = 0;
  std::array<LandlockPort, kMaxLandlockRows> ports{};
  std::size_t port_count = 0;
  std::uint64_t landlock_fs = 0, landlock_net = 0, landlock_scoped = 0;
  bool explain = false;  // what the filter refuses is told to sandboxd (recorder.cpp)
  bool learn = false;    // what it allows, too (learner.cpp)
#if defined(SANDBOXD_FAULT)
  bool keep_capabilities = false;
#else
  static constexpr bool keep_capabilities = false;  // NOLINT(readability-identifier-naming): a member elsewhere
#endif
  const sock_filter* filter = nullptr;
  std::size_t filter_count = 0;
  std::array<const char*, kMaxTmpfs> tmpfs{};
  std::size_t tmpfs_count = 0;
  JobPlan job{};  // of the first job; its wall_time is the jail's, its rlimits are those of every job
};

// Zero, or -errno with what was tried in `text` (a literal, or text of the plan).
struct Outcome {
  long code = 0;
  const char* text = "";
  constexpr bool ok() const { return code >= 0; }
};

struct State {
  Plan plan{};
  bool landlock_probe = false;
  bool released = false;    // kGo has come
  bool exec_waits = false;  // a command, unread, for what a signal to all is not to hit
  int signal_fd = -1;
  int recorder_fd = -1;             // until the recorder has its listener
  std::uint64_t deadline_nsec = 0;  // the jail's; CLOCK_MONOTONIC; 0: none
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
// landlock_probe.cpp: tries what the plan's rules forbid, and says what was not refused.
Outcome probe_landlock(State& state);
// loop.cpp
[[noreturn]] void loop(State& state);
std::uint64_t now_nsec();
std::uint64_t deadline_in(std::uint64_t usec);  // 0 for 0, which means never, and for more than the clock can count
// events.cpp
void send_event(const State& state, const wire::InitEventRecord& record, std::span<const int> fds = {});
// Says why on the sync socket and exits: nothing of the workload has run.
[[noreturn]] void give_up(const char* step, const Outcome& why);
[[noreturn]] void end_jail();
// scratch.cpp: kLook.
void tell_full(const State& state);
// recorder.cpp
Outcome start_recorder(State& state);  // before the filter
Outcome load_told_filter(State& state);
bool is_recorder(int pid);
void tell_untold();                    // how many refused calls nobody was told of
void tell_counts(const State& state);  // learner.cpp: how often what was told of was seen
// plan.cpp
Outcome read_plan(int fd, Plan& plan);

}  // namespace sandboxd::init
