// A job's way through its stages, by what its child says on the handshake socket, what its keeper says in `Shared`, and what
// the clock says.
//
// A job that is killed before its exec leaves its socket closed just as one that execs does; `Shared::execs` tells them apart.
// And it may be stopped there: from the moment it has its id another job can SIGSTOP it, again and again. So it is woken again
// and again, and when that doesn't help either it is killed.
#include <cerrno>
#include <csignal>

#include <sys/socket.h>
#include <sys/wait.h>

#include "base/sys.h"
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

constexpr std::uint64_t kStepTimeNsec =
    20'000'000'000;  // a file system that is slow to answer chdir or exec is waited for
constexpr std::uint64_t kNudgeNsec = 20'000'000;

void send_plain(const State& state, const Job& job, wire::InitEvent event, int value = 0) {
  wire::InitEventRecord record{};
  record.event = event;
  record.job = job.number;
  record.value = value;
  send_event(state, record);
}

std::uint64_t usec_of(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
}

void report_exit(const State& state, Job& job) {
  tell_untold();
  tell_counts(state);
  send_event(state, exit_record(job));
  job.reported = true;
  if (job.number == wire::kFirstJob) end_jail();  // the kernel kills the rest
}

// False when the number may be another process's by now.
bool send_signal(Job& job, bool group, int number) {
  const int pid = job.shared.pid.load(std::memory_order_acquire);
  if (pid <= 0 || job.shared.unsafe.load(std::memory_order_seq_cst)) return false;
  return sys::raw(SYS_kill, group ? -pid : pid, number) >= 0;
}

bool prepares(const Job& job) { return job.stage == Stage::kPreparing || job.stage == Stage::kReleased; }

// kReady: it has its id, and our copies of its descriptors. It may have been released before.
void job_ready(State& state, Job& job) {
  drop_inner(job);
  if (job.killed) {
    send_signal(job, false, SIGKILL);
    return;
  }
  for (int number = 1; number <= 64; ++number) {
    if ((job.early_signals >> (number - 1) & 1) != 0) send_signal(job, true, number);
  }
  job.early_signals = 0;
  if (job.stage == Stage::kPreparing) {
    job.stage = Stage::kWaiting;
    send_plain(state, job, wire::InitEvent::kJobReady);
  }
}

// Its end of the socket is closed, so it has left our memory: the kernel changes or drops that before it closes a descriptor,
// at an exec (begin_new_exec) as at an exit (do_exit).
void job_left(State& state, Job& job) {
  const bool runs = job.shared.execs.load(std::memory_order_acquire) && !job.failed;
  drop_inner(job);
  drop_prepared(job);
  sys::raw(SYS_close, job.sync);
  job.sync = -1;
  job.stage = runs ? Stage::kRunning : Stage::kEnding;
  if (!runs) return;
  send_plain(state, job, wire::InitEvent::kJobStarted, job.shared.pid.load(std::memory_order_acquire));
  job.shared.told_start.store(true, std::memory_order_release);
}

}  // namespace

wire::InitEventRecord exit_record(const Job& job) {
  const rusage& usage = job.shared.usage;
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kJobExited;
  record.job = job.number;
  record.value = job.shared.status;
  record.user_usec = usec_of(usage.ru_utime);
  record.system_usec = usec_of(usage.ru_stime);
  record.max_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return record;
}

void read_job_sync(State& state, Job& job) {
  wire::SetupFailure failure{};
  const long got = sys::raw(SYS_recvfrom, job.sync, &failure, sizeof failure, MSG_DONTWAIT, nullptr, nullptr);
  if (got == -EINTR || got == -EAGAIN) return;
  if (got == sizeof(wire::SyncRecord)) return job_ready(state, job);
  if (got == sizeof failure) {
    failure.step[sizeof failure.step - 1] = failure.text[sizeof failure.text - 1] = '\0';
    if (!job.failed && !job.killed) fail_job(state, job, failure.step, {-failure.code, failure.text});
    return;  // it exits: the end of the socket comes next
  }
  job_left(state, job);
}

void start_clock(Job& job) {
  const std::uint64_t now = now_nsec();
  job.step_deadline_nsec = now + kStepTimeNsec;
  job.nudge_nsec = now + kNudgeNsec;
}

void release_job(Job& job) {
  if (job.stage != Stage::kPreparing && job.stage != Stage::kWaiting) return;
  job.stage = Stage::kReleased;
  start_clock(job);
  job.deadline_nsec = deadline_in(job.plan.wall_time);
  const wire::SyncRecord go{wire::Sync::kGo, 0, 0};
  sys::raw(SYS_sendto, job.sync, &go, sizeof go, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);  // EPIPE: it was killed
}

void kill_job(Job& job) {
  job.killed = job.told_off = true;
  send_signal(job, false, SIGKILL);
}

void signal_job(Job& job, int number) {
  job.told_off = true;
  // The job leads its own process group (setsid), but not from its first moment.
  if (!send_signal(job, true, number)) job.early_signals |= 1ULL << (number - 1);
}

void job_ended(State& state, Job& job) {
  if (job.reported) return;
  if (const int fault = job.shared.fault.load(std::memory_order_acquire); fault < 0 && !job.failed)
    return fail_job(state, job, "keeper", {fault, job.shared.fault_text});
  if (!job.shared.exited.load(std::memory_order_acquire)) return;
  if (job.shared.keeper_tells.load(std::memory_order_relaxed)) return;  // it is about to; its own end comes next
  // What it said before its end comes first. Nobody else has its end of the socket once the others' are past their exec, so
  // no word is as good as the end.
  drop_inner(job);
  while (job.sync >= 0) {
    wire::SetupFailure peeked{};
    const long got =
        sys::raw(SYS_recvfrom, job.sync, &peeked, sizeof peeked, MSG_DONTWAIT | MSG_PEEK, nullptr, nullptr);
    if (got > 0) {
      read_job_sync(state, job);
    } else if (got != -EINTR) {
      job_left(state, job);
    }
  }
  if (job.failed || job.probe) return;
  if (job.stage == Stage::kRunning || job.told_off) return report_exit(state, job);
  fail_job(state, job, "exec", {-ECHILD, "the job was killed before its exec"});
}

bool child_ended(State& state, int pid, int status, const rusage& usage) {
  for (Job& job : jobs()) {
    if (job.stage == Stage::kFree) continue;
    if (job.keeper == 0 && job.shared.pid.load(std::memory_order_acquire) == pid) {
      job.shared.unsafe.store(true, std::memory_order_seq_cst);
      job.shared.status = status;
      job.shared.usage = usage;
      job.shared.exited.store(true, std::memory_order_release);
      job_ended(state, job);
      free_job(job);
      return true;
    }
    if (job.keeper != pid) continue;
    job.reported = job.reported || job.shared.told_end > 0;
    job.shared.keeper_tells.store(false, std::memory_order_relaxed);
    job_ended(state, job);
    // A keeper ends by itself, with its job reaped; anything else and nobody knows what is still running.
    if (status != 0 || (!job.reported && !job.failed)) end_jail();
    if (job.reported && job.shared.told_end < 2)
      send_plain(state, job, wire::InitEvent::kJobGone, job.shared.survivors);
    free_job(job);
    return true;
  }
  return false;
}

// sandboxd may know of an end that was not reaped yet, and take the job for gone: its entry is wanted. Such a keeper has
// nothing left to do but to say so, without waiting, and to exit; no job can stop it.
void collect_told(State& state) {
  for (Job& job : jobs()) {
    if (job.stage == Stage::kFree || job.keeper == 0 || job.shared.told_end.load(std::memory_order_acquire) < 2)
      continue;
    int status = 0;
    rusage usage{};
    long pid = -EINTR;
    while (pid == -EINTR) pid = sys::raw(SYS_wait4, job.keeper, &status, __WALL, &usage);
    if (pid > 0) child_ended(state, static_cast<int>(pid), status, usage);
  }
}

void check_job_times(State& state, std::uint64_t now) {
  for (Job& job : jobs()) {
    if (job.stage == Stage::kFree) continue;
    if (job.deadline_nsec != 0 && now >= job.deadline_nsec && !job.reported && !job.failed &&
        !job.shared.exited.load(std::memory_order_acquire)) {
      job.deadline_nsec = 0;
      send_plain(state, job, wire::InitEvent::kWallTime);
      kill_job(job);
    }
    if (!prepares(job)) continue;
    const bool late = now >= job.step_deadline_nsec;
    if (job.killed || job.failed || late) {
      if (!job.killed && !job.failed)
        fail_job(state, job, "exec", {-ETIMEDOUT, "the job was stopped, or its files did not answer, before its exec"});
      send_signal(job, false, SIGKILL);
    } else if (now >= job.nudge_nsec) {
      send_signal(job, false, SIGCONT);
    }
    // One that hangs in the kernel even so is not asked fifty times a second.
    if (now >= job.nudge_nsec) job.nudge_nsec = now + (late ? 50 * kNudgeNsec : kNudgeNsec);
  }
}

std::uint64_t next_job_time() {
  std::uint64_t next = 0;
  const auto sooner = [&next](std::uint64_t time) {
    if (time != 0 && (next == 0 || time < next)) next = time;
  };
  for (const Job& job : jobs()) {
    if (job.stage == Stage::kFree) continue;
    if (!job.reported && !job.failed) sooner(job.deadline_nsec);
    if (prepares(job)) sooner(job.nudge_nsec);
  }
  return next;
}

}  // namespace sandboxd::init
