// A keeper: the parent of one exec'd job, with jail-init's id, memory and descriptors, so that no job can signal, stop or trace
// it. It is the job's subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): whatever the job leaves behind, by double fork, setsid or
// CLONE_PARENT, becomes a child of the keeper and of nobody else, and so is known as this job's. It waits for the job, kills
// what outlived it (or leaves it to PID 1) and ends with it.
// It writes to its own stack and to the job's `Shared` only.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/sys.h"
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

// Of this very task; the kernel lists what was reparented too (CONFIG_PROC_CHILDREN). Zombies are listed as well.
constexpr const char* kChildren = "/proc/thread-self/children";
constexpr std::uint64_t kStuckNsec = 2'000'000'000;     // nothing ended: what is left hangs in the kernel
constexpr std::uint64_t kOverrunNsec = 500'000'000;     // PID 1 is asked to hold everything meanwhile
constexpr std::uint64_t kForeverNsec = 10'000'000'000;  // something ends all the time: a fork bomb that outruns us

[[noreturn]] void end_keeper() {
  for (;;) sys::raw(SYS_exit_group, 0);
}

[[noreturn]] void keeper_fails(Job& job, long code, const char* text) {
  job.shared.fault_text = text;
  job.shared.fault.store(static_cast<int>(code), std::memory_order_release);
  end_keeper();
}

// Each child's pid to `each`; their number, or -errno.
long for_each_child(void (*each)(int pid)) {
  const long fd = sys::raw(SYS_openat, AT_FDCWD, kChildren, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  char buffer[512];
  long children = 0;
  int pid = 0;
  for (;;) {
    const long got = sys::raw(SYS_read, fd, &buffer[0], sizeof buffer);
    if (got <= 0) break;
    for (long i = 0; i < got; ++i) {
      const char c = buffer[i];
      if (c >= '0' && c <= '9') {
        pid = pid * 10 + (c - '0');
      } else if (pid != 0) {
        ++children;
        if (each != nullptr) each(pid);
        pid = 0;
      }
    }
  }
  sys::raw(SYS_close, fd);
  return children;
}

// How many ended and were reaped; `none_left` when there is no child any more. Not without end: a bomb whose processes end as
// fast as they are reaped would keep us from everything else.
int reap_ended(bool& none_left) {
  constexpr int kMostAtOnce = 128;
  int reaped = 0;
  for (; reaped < kMostAtOnce; ++reaped) {
    const long r = sys::raw(SYS_wait4, -1, nullptr, WNOHANG | __WALL, nullptr);
    none_left = r == -ECHILD;
    if (r <= 0) return reaped;
  }
  none_left = false;
  return reaped;
}

// Waits for the job; what is reparented meanwhile and ends is reaped. True when nothing outlived it.
bool await_job(Job& job) {
  Shared& shared = job.shared;
  const int pid = shared.pid.load(std::memory_order_acquire);
  for (;;) {
    siginfo_t info{};
    const long r = sys::raw(SYS_waitid, P_ALL, 0, &info, WEXITED | WNOWAIT | __WALL, nullptr);
    if (r == -EINTR) continue;
    if (r < 0) keeper_fails(job, r, "waitid");
    // From the reap on the number may be another's, so jail-init is told before.
    if (info.si_pid == pid) shared.unsafe.store(true, std::memory_order_seq_cst);
    int status = 0;
    rusage usage{};
    sys::raw(SYS_wait4, info.si_pid, &status, __WALL, &usage);
    if (info.si_pid != pid) continue;
    shared.status = status;
    shared.usage = usage;
    bool none_left = false;
    reap_ended(none_left);  // ended before the job did
    const bool plain = none_left && WIFEXITED(status) && shared.told_start.load(std::memory_order_acquire);
    shared.keeper_tells.store(plain, std::memory_order_relaxed);
    shared.exited.store(true, std::memory_order_release);
    return none_left;
  }
}

// Most jobs end by themselves and leave nothing: then sandboxd hears of it from here, one process's end and one waking sooner
// than by way of jail-init. Only where that has said before that the job runs, so that the order of events stays as it was.
// What can't be sent at once is left to jail-init, which waits for its reader.
void tell_end(Job& job) {
  tell_untold();
  wire::InitEventRecord record = exit_record(job);
  for (int i = 0; i < 2; ++i) {
    const long sent =
        sys::raw(SYS_sendto, wire::kInitControlFd, &record, sizeof record, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);
    if (sent != sizeof record) return;
    job.shared.told_end.store(i + 1, std::memory_order_release);
    record.event = wire::InitEvent::kJobGone;
    record.value = 0;
  }
}

// With its whole group at once: no fork slips through a group's signal, and a job's groups hold nothing but what is of the job,
// since a process joins groups of its own session only (setpgid(2)). The number is held by the child that we have not reaped.
void kill_one(int pid) {
  const long group = sys::raw(SYS_getpgid, pid);
  if (group > 1) sys::raw(SYS_kill, -group, SIGKILL);
  sys::raw(SYS_kill, pid, SIGKILL);
}

// A killed process's own children come to us next, so it goes round until there are none.
int kill_survivors(Job& job) {
  const std::uint64_t begun = now_nsec();
  std::uint64_t progress = begun;
  int reaped = 0;
  for (;;) {
    bool none_left = false;
    const int now_reaped = reap_ended(none_left);
    reaped += now_reaped;
    if (none_left) return reaped;
    const std::uint64_t now = now_nsec();
    if (now_reaped > 0) progress = now;
    if (now - begun > kOverrunNsec && !job.shared.overrun.exchange(true, std::memory_order_acq_rel))
      sys::raw(SYS_kill, 1, SIGCHLD);
    const long left = for_each_child(kill_one);
    if (left >= 0 && (now - progress > kStuckNsec || now - begun > kForeverNsec))
      return reaped + static_cast<int>(left);
    if (left < 0) return reaped;
    // SIGCHLD is blocked, so one that came since the last look is kept for this.
    const std::uint64_t child = 1ULL << (SIGCHLD - 1);
    const timespec patience{0, 50'000'000};
    sys::raw(SYS_rt_sigtimedwait, &child, nullptr, &patience, sizeof child);
  }
}

void keeper_main(void* argument) {
  auto& job = *static_cast<Job*>(argument);
  if (const long r = sys::raw(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L); r < 0)
    keeper_fails(job, r, "prctl PR_SET_CHILD_SUBREAPER");
  const long pid = sys::clone_on_stack(CLONE_VM | SIGCHLD, stack_top(job), nullptr, job_main, &job);
  if (pid < 0) keeper_fails(job, pid, "clone");
  job.shared.pid.store(static_cast<int>(pid), std::memory_order_release);
  const bool none_left = await_job(job);
  if (job.shared.keeper_tells.load(std::memory_order_relaxed)) tell_end(job);
  if (none_left) end_keeper();
  // PID 1 hears of our own end; here it is told of the job's, ahead of it.
  sys::raw(SYS_kill, 1, SIGCHLD);
  if (job.plan.keep_survivors) {
    const long kept = for_each_child(nullptr);
    job.shared.survivors = kept < 0 ? 0 : static_cast<int>(kept);
  } else {
    job.shared.survivors = kill_survivors(job);
  }
  end_keeper();
}

}  // namespace

Outcome check_keeping() {
  const long fd = sys::raw(SYS_openat, AT_FDCWD, kChildren, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) sys::raw(SYS_close, fd);
  return {fd, "open '/proc/thread-self/children' (CONFIG_PROC_CHILDREN)"};
}

Outcome start_kept(Job& job) {
  const long pid = sys::clone_on_stack(CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, keeper_stack_top(job), nullptr,
                                       keeper_main, &job);
  if (pid < 0) return {pid, "clone"};
  job.keeper = static_cast<int>(pid);
  return {};
}

}  // namespace sandboxd::init
