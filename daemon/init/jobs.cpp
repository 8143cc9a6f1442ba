#include "daemon/init/jobs.h"

#include <cerrno>

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include "base/sys.h"

namespace sandboxd::init {
namespace {

// Never touched, a page of these costs nothing; entries are taken from the front.
constinit std::array<Job, wire::kMaxJobs> g_jobs{};
constinit std::size_t g_end = 0;   // one past the last entry in use
constinit std::size_t g_peak = 0;  // the highest that g_end was since memory was given back
// The last one is the first job's: a session's probe may be on it still when the first execs come.
constexpr std::size_t kStacks = kMaxPreparing + 1;
alignas(4096) constinit std::array<std::array<std::uint8_t, kJobStack>, kStacks> g_stacks{};
alignas(4096) constinit std::array<std::array<std::uint8_t, kKeeperStack>, wire::kMaxJobs> g_keeper_stacks{};
constinit std::array<bool, kStacks> g_stack_taken{};

std::size_t index_of(const Job& job) { return static_cast<std::size_t>(&job - g_jobs.data()); }

void close_one(int& fd) {
  if (fd >= 0) sys::raw(SYS_close, fd);
  fd = -1;
}

void unmap(Job& job) {
  if (job.mapping != nullptr) sys::raw(SYS_munmap, job.mapping, job.mapping_size);
  if (job.strings_size != 0) sys::raw(SYS_munmap, job.plan.argv, job.strings_size);
  job.mapping = nullptr;
  job.strings_size = 0;
}

}  // namespace

std::span<Job> jobs() { return {g_jobs.data(), g_end}; }

Job* find_job(std::uint32_t number) {
  for (Job& job : jobs()) {
    if (job.stage != Stage::kFree && job.number == number) return &job;
  }
  return nullptr;
}

Job* new_job() {
  for (std::size_t i = 0; i < g_jobs.size(); ++i) {
    if (g_jobs[i].stage != Stage::kFree) continue;
    if (i >= g_end) g_end = i + 1;
    if (g_end > g_peak) g_peak = g_end;
    Job& job = g_jobs[i];
    // Field by field, since an atomic is not assigned to: what one job leaves must not be read as another's.
    job.shared.pid = 0;
    job.shared.execs = job.shared.unsafe = job.shared.exited = job.shared.overrun = false;
    job.shared.told_start = job.shared.keeper_tells = false;
    job.shared.fault = 0;
    job.shared.status = job.shared.survivors = 0;
    job.shared.told_end = 0;
    job.probe = job.told_off = job.killed = job.failed = job.reported = false;
    job.keeper = 0;
    job.stack = job.sync = job.inner_sync = job.program = -1;
    job.stdio = {-1, -1, -1};
    job.early_signals = 0;
    job.deadline_nsec = job.step_deadline_nsec = job.nudge_nsec = 0;
    job.stage = Stage::kPreparing;
    return &job;
  }
  return nullptr;
}

void free_job(Job& job) {
  drop_inner(job);
  drop_prepared(job);
  close_one(job.sync);
  job.stage = Stage::kFree;
  while (g_end > 0 && g_jobs[g_end - 1].stage == Stage::kFree) --g_end;
  // What many jobs at once had touched is given back; the first entries are used again and again.
  constexpr std::size_t kKept = 4;
  if (g_end > kKept || g_peak <= kKept) return;
  sys::raw(SYS_madvise, &g_keeper_stacks[kKept], sizeof g_keeper_stacks - kKept * kKeeperStack, MADV_DONTNEED);
  g_peak = 0;
}

void drop_inner(Job& job) {
  close_one(job.inner_sync);
  close_one(job.program);
  if (job.stdio[1] == job.stdio[0]) job.stdio[1] = -1;
  if (job.stdio[2] == job.stdio[0] || job.stdio[2] == job.stdio[1]) job.stdio[2] = -1;
  for (int& fd : job.stdio) close_one(fd);
}

void drop_prepared(Job& job) {
  if (job.stack >= 0) g_stack_taken[static_cast<std::size_t>(job.stack)] = false;
  job.stack = -1;
  unmap(job);
}

Outcome give_stack(Job& job) {
  const bool first = job.number == wire::kFirstJob;
  for (std::size_t i = first ? kMaxPreparing : 0; i < (first ? kStacks : kMaxPreparing); ++i) {
    if (g_stack_taken[i]) continue;
    g_stack_taken[i] = true;
    job.stack = static_cast<int>(i);
    return {};
  }
  return {-EAGAIN, "too many jobs are being started"};
}

// A child that execs or exits leaves its frames as they were, and AddressSanitizer would hold them against the next one.
void* top_of(std::span<std::uint8_t> stack) {
  ASAN_UNPOISON_MEMORY_REGION(stack.data(), stack.size());
  return stack.data() + stack.size();
}

void* stack_top(const Job& job) { return top_of(g_stacks[static_cast<std::size_t>(job.stack)]); }

void* keeper_stack_top(const Job& job) { return top_of(g_keeper_stacks[index_of(job)]); }

void fail_job(const State& state, Job& job, const char* step, const Outcome& why) {
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kJobFailed;
  record.job = job.number;
  record.code = static_cast<std::int32_t>(-why.code);
  copy_text(record.step, sizeof record.step, step);
  copy_text(record.text, sizeof record.text, why.text);
  send_event(state, record);
  if (job.number == wire::kFirstJob) end_jail();
  job.failed = true;
}

}  // namespace sandboxd::init
