// The jobs table: what is known of each job that lives, and how one is started. The first job is jail-init's own child. An
// exec'd job has a keeper between (keeper.cpp), a process of jail-init's id and memory to which everything is reparented that
// outlives the job, so that it is known whose it was.
// One entry is written by three: jail-init, the job up to its exec, the keeper. What crosses is in `Shared`.
#pragma once

#include <atomic>

#include <sys/resource.h>

#include "daemon/init/init.h"

namespace sandboxd::init {

// So many may be between their clone and their exec; each has a stack. The daemon starts fewer at once.
inline constexpr std::size_t kMaxPreparing = 16;
#if defined(SANDBOXD_INIT_WITH_LIBC)
inline constexpr std::size_t kJobStack = 256 * 1024;  // a sanitizer's frames
inline constexpr std::size_t kKeeperStack = 64 * 1024;
#else
inline constexpr std::size_t kJobStack = 16 * 1024;  // exec along PATH takes 4 KiB
inline constexpr std::size_t kKeeperStack = 4 * 1024;
#endif

enum class Stage : std::uint8_t {
  kFree,       // the entry is nobody's
  kPreparing,  // cloned; the id is taken and everything dropped on the way to kWaiting
  kWaiting,    // before its exec, for kGo
  kReleased,   // kGo was said, perhaps before it waits for it
  kRunning,    // its exec succeeded
  kEnding      // it failed or died before its exec; what it held is still to be taken back
};

struct Shared {
  std::atomic<int> pid{0};           // written by the job itself, first thing
  std::atomic<bool> execs{};         // nothing but execve(2) is left to do: end-of-file means now that it runs
  std::atomic<bool> unsafe{};        // the keeper is about to reap: the pid may be signalled no more
  std::atomic<bool> told_start{};    // kJobStarted was sent
  std::atomic<bool> keeper_tells{};  // before `exited`: the keeper itself says how it ended
  std::atomic<bool> exited{};        // status and usage are there
  std::atomic<bool> overrun{};       // what outlived it forks faster than the keeper kills
  std::atomic<int> fault{0};         // the keeper could not start it: -errno
  const char* fault_text = nullptr;  // before `fault`
  int status = 0;                    // before `exited`
  int survivors = 0;                 // before the keeper's end
  std::atomic<int> told_end{0};      // how many of kJobExited and kJobGone the keeper has sent
  rusage usage{};
};

struct Job {
  std::uint32_t number = 0;
  Stage stage = Stage::kFree;
  bool probe = false;     // a session's first: ends where another would exec
  bool told_off = false;  // we signalled it, so an end before its exec is an end and no failure
  bool killed = false;    // that signal was SIGKILL; to be sent again while it prepares
  bool failed = false;    // kJobFailed was sent: nothing more comes of it
  bool reported = false;  // kJobExited was sent
  const Plan* jail = nullptr;
  JobPlan plan{};
  Shared shared{};
  int keeper = 0;  // pid; 0: jail-init itself
  // -1 where there is none; new_job() sets them, so that the table is zeros and takes no room in the program's file.
  int stack = 0;                          // index while it prepares
  int sync = 0;                           // our end of the handshake
  int inner_sync = 0;                     // the job's, to be closed once it has it
  std::array<int, 3> stdio{};             // likewise
  int program = 0;                        // likewise
  const std::uint8_t* mapping = nullptr;  // of the exec plan
  std::size_t mapping_size = 0;
  std::size_t strings_size = 0;     // of the mapping that plan.argv is the start of
  std::uint64_t early_signals = 0;  // bit n - 1: signal n came before it had a process group
  std::uint64_t deadline_nsec = 0;
  std::uint64_t step_deadline_nsec = 0;  // while it prepares
  std::uint64_t nudge_nsec = 0;          // likewise: when it is woken next
};

// jobs.cpp
std::span<Job> jobs();  // up to the last entry that is in use
Job* find_job(std::uint32_t number);
Job* new_job();  // nullptr: kMaxJobs live
void free_job(Job& job);
void drop_inner(Job& job);                    // our copies of what the job has by now
void drop_prepared(Job& job);                 // its stack and its plan's memory too: it has left our memory
Outcome give_stack(Job& job);                 // -EAGAIN: kMaxPreparing
void* top_of(std::span<std::uint8_t> stack);  // for a child that starts on it
void* stack_top(const Job& job);
void* keeper_stack_top(const Job& job);
void fail_job(const State& state, Job& job, const char* step, const Outcome& why);

// stages.cpp: what the job's child, its keeper and the clock say.
void start_clock(Job& job);  // how long it may take to its next stage
void read_job_sync(State& state, Job& job);
void release_job(Job& job);
void kill_job(Job& job);
void signal_job(Job& job, int number);
void job_ended(State& state, Job& job);  // `exited` or `fault` is there
wire::InitEventRecord exit_record(const Job& job);
void collect_told(State& state);
bool child_ended(State& state, int pid, int status,
                 const rusage& usage);  // of jail-init itself; true: a job's or a keeper's
void check_job_times(State& state, std::uint64_t now);
std::uint64_t next_job_time();

// streams.cpp: stdio of the plan made as the job's id; the outer ends, if there are any, go to `outer`.
struct Streams {
  std::array<int, 3> outer{-1, -1, -1};
  std::size_t count = 0;
};
Outcome make_streams(Job& job, Streams& streams);
void close_streams(Streams& streams);

// job.cpp: the child's side; never returns.
void job_main(void* job);
void take_job_id(const Plan& plan, void (*fails)(void*, const char*, long, const char*), void* context);
// first_job.cpp: the last steps of the set-up.
Outcome start_first_job(State& state);
// exec.cpp: kExec. Takes the descriptors.
void exec_job(State& state, std::uint32_t number, int plan_fd, int program_fd);
// exec_plan.cpp. Counts first: argv and env are NULL until fill_exec_strings() was given room for `strings` pointers.
struct ExecCounts {
  std::uint32_t job = 0;
  std::size_t strings = 0;  // with the two NULLs
};
Outcome read_exec_plan(std::span<const std::uint8_t> bytes, JobPlan& plan, ExecCounts& counts);
void fill_exec_strings(std::span<const std::uint8_t> bytes, JobPlan& plan, char** room);
// keeper.cpp
Outcome start_kept(Job& job);
Outcome check_keeping();  // that the kernel tells a process its children
// signal_all.cpp
void signal_all(State& state, int number);
bool may_signal_all();                        // false: one waits already
bool signaller_runs();                        // one is on its way: what starts now may be hit by it
bool signaller_ended(State& state, int pid);  // true: it was that
void check_signaller(State& state, std::uint64_t now);
std::uint64_t next_signaller_time();

}  // namespace sandboxd::init
