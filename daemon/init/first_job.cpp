// The first job, as the last steps of the set-up: what goes wrong up to its wait is the set-up's failure. Where the plan has no
// argv it is a probe: the launch child reads back from it what a job of this session holds.
#include <cerrno>

#include <linux/sched.h>
#include <sys/socket.h>

#include <csignal>

#include "base/sys.h"
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

// Ready means: its id, no capability, before its exec.
Outcome await_ready(Job& job) {
  wire::SetupFailure buffer{};
  const long got = sys::raw(SYS_read, job.sync, &buffer, sizeof buffer);
  if (got == sizeof(wire::SyncRecord)) {
    job.stage = Stage::kWaiting;
    return {};
  }
  if (got == sizeof buffer) {
    sys::raw(SYS_write, wire::kInitSyncFd, &buffer, sizeof buffer);
    end_jail();
  }
  return {got < 0 ? got : -ECHILD, "the first job ended before it was ready"};
}

void send_streams(const State& state, Streams& streams) {
  if (streams.count == 0) return;
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kStreams;
  record.job = wire::kFirstJob;
  send_event(state, record, std::span<const int>(streams.outer).first(streams.count));
  close_streams(streams);
}

}  // namespace

Outcome start_first_job(State& state) {
  Job& job = *new_job();
  job.number = wire::kFirstJob;
  job.jail = &state.plan;
  job.plan = state.plan.job;
  job.plan.rlimit_count = 0;  // the jail's: every job has them
  job.plan.wall_time = 0;     // the jail's, too
  job.probe = job.plan.argv[0] == nullptr;
  Streams streams{};
  if (const Outcome made = make_streams(job, streams); !made.ok()) return made;
  send_streams(state, streams);
  int pair[2] = {-1, -1};
  if (const long r = sys::raw(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, &pair[0]); r < 0)
    return {r, "socketpair"};
  job.sync = pair[0];
  job.inner_sync = pair[1];
  if (const Outcome given = give_stack(job); !given.ok()) return given;
  const long pid = sys::clone_on_stack(CLONE_VM | SIGCHLD, stack_top(job), nullptr, job_main, &job);
  if (pid < 0) return {pid, "clone"};
  job.shared.pid.store(static_cast<int>(pid), std::memory_order_release);
  // The child has its own by now (clone(2) copies descriptors), and our copy would hide its end. The number stays: the child
  // reads it here.
  sys::raw(SYS_close, job.inner_sync);
  const Outcome ready = await_ready(job);
  job.inner_sync = -1;
  drop_inner(job);
  return ready;
}

}  // namespace sandboxd::init
