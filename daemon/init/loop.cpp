#include <cerrno>
#include <csignal>

#include <linux/prctl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/sys.h"
#include "daemon/init/init.h"

namespace sandboxd::init {
namespace {

std::uint64_t now_nsec() {
  timespec now{};
  sys::raw(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t usec_of(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
}

void report_exit(int status, const rusage& usage) {
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kJobExited;
  record.value = status;
  record.user_usec = usec_of(usage.ru_utime);
  record.system_usec = usec_of(usage.ru_stime);
  record.max_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  send_event(record);
}

// PID 1 reaps whatever is reparented to it; the job's own end ends the jail (its exit makes the kernel kill the rest).
void reap(State& state) {
  signalfd_siginfo drained{};
  while (sys::raw(SYS_read, state.signal_fd, &drained, sizeof drained) > 0) {
  }
  for (;;) {
    int status = 0;
    rusage usage{};
    const long pid = sys::raw(SYS_wait4, -1, &status, WNOHANG | __WALL, &usage);
    if (pid == -EINTR) continue;
    if (pid <= 0) return;
    if (pid != state.job_pid) continue;
    state.job_pid = -1;
    if (state.job_started) {
      report_exit(status, usage);
      end_jail();
    }
  }
}

// The job's end of this socket closes at its exec (CLOEXEC): end-of-file means that it runs.
void read_job_sync(State& state) {
  wire::SetupFailure failure{};
  const long got = sys::raw(SYS_read, state.job_sync, &failure, sizeof failure);
  if (got == -EINTR || got == -EAGAIN) return;
  sys::raw(SYS_close, state.job_sync);
  state.job_sync = -1;
  wire::InitEventRecord record{};
  if (got == sizeof failure) {
    record.event = wire::InitEvent::kJobFailed;
    record.code = failure.code;
    copy_text(record.step, sizeof record.step, failure.step);
    copy_text(record.text, sizeof record.text, failure.text);
    send_event(record);
    end_jail();
  }
  state.job_started = true;
  record.event = wire::InitEvent::kJobStarted;
  record.value = state.job_pid;
  send_event(record);
  reap(state);  // it may have ended before we knew that it ran
}

void read_sync(State& state) {
  wire::SyncRecord record{};
  const long got = sys::raw(SYS_read, wire::kInitSyncFd, &record, sizeof record);
  if (got == -EINTR) return;
  if (got != sizeof record || record.what != wire::Sync::kGo || state.job_sync < 0) end_jail();
  sys::raw(SYS_close, wire::kInitSyncFd);
  // Up to here the jail dies with its launcher; from here on it outlives one that is restarted.
  if (sys::raw(SYS_prctl, PR_SET_PDEATHSIG, 0L, 0L, 0L, 0L) < 0) end_jail();
  state.released = true;
  if (state.plan.wall_time != 0) state.deadline_nsec = now_nsec() + state.plan.wall_time * 1000;
  const wire::SyncRecord go{wire::Sync::kGo, 0, 0};
  sys::raw(SYS_write, state.job_sync, &go, sizeof go);
}

void read_control(State& state) {
  wire::InitCommandRecord command{};
  const long got = sys::raw(SYS_recvfrom, wire::kInitControlFd, &command, sizeof command, 0, nullptr, nullptr);
  if (got == -EINTR || got == -EAGAIN) return;
  if (got != sizeof command) end_jail();  // closed, or not our protocol
  switch (command.command) {
    case wire::InitCommand::kSignal:
      // The job leads its own process group (setsid).
      if (state.job_pid > 0 && command.value > 0 && command.value < 65)
        sys::raw(SYS_kill, -state.job_pid, command.value);
      return;
    case wire::InitCommand::kSignalAll:
      if (command.value > 0 && command.value < 65) sys::raw(SYS_kill, -1, command.value);
      return;
    case wire::InitCommand::kExec:
    case wire::InitCommand::kRelease:
    case wire::InitCommand::kKillJob:
    case wire::InitCommand::kEnd: break;
  }
  end_jail();
}

void check_deadline(State& state) {
  if (state.deadline_nsec == 0 || now_nsec() < state.deadline_nsec) return;
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kWallTime;
  send_event(record);
  end_jail();
}

}  // namespace

void send_event(const wire::InitEventRecord& record, std::span<const int> fds) {
  iovec part{const_cast<wire::InitEventRecord*>(&record), sizeof record};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 3)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = &control[0];
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    __builtin_memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  // A socket whose reader is gone or does not read ends the jail: an event that is lost would be a verdict that is wrong.
  const long sent = sys::raw(SYS_sendmsg, wire::kInitControlFd, &header, MSG_NOSIGNAL);
  if (sent != sizeof record) end_jail();
}

void end_jail() {
  // The last act of a PID 1: the kernel kills everything else in its pid namespace (pid_namespaces(7)).
  for (;;) sys::raw(SYS_exit_group, 0);
}

void give_up(const char* step, const Outcome& why) {
  wire::SetupFailure failure{};
  failure.code = static_cast<std::int32_t>(-why.code);
  copy_text(failure.step, sizeof failure.step, step);
  copy_text(failure.text, sizeof failure.text, why.text);
  sys::raw(SYS_write, wire::kInitSyncFd, &failure, sizeof failure);
  end_jail();
}

void loop(State& state) {
  const wire::SyncRecord ready{wire::Sync::kReady, static_cast<std::uint8_t>(state.landlock_probe ? 1 : 0), 0};
  if (sys::raw(SYS_write, wire::kInitSyncFd, &ready, sizeof ready) != sizeof ready) end_jail();
  for (;;) {
    pollfd entries[4] = {{wire::kInitControlFd, POLLIN, 0},
                         {state.signal_fd, POLLIN, 0},
                         {state.released ? -1 : wire::kInitSyncFd, POLLIN, 0},
                         {state.released ? state.job_sync : -1, POLLIN, 0}};
    timespec left{};
    if (state.deadline_nsec != 0) {
      const std::uint64_t now = now_nsec();
      const std::uint64_t wait = now >= state.deadline_nsec ? 0 : state.deadline_nsec - now;
      left = {static_cast<time_t>(wait / 1'000'000'000), static_cast<long>(wait % 1'000'000'000)};
    }
    const long ready_count =
        sys::raw(SYS_ppoll, &entries[0], 4L, state.deadline_nsec != 0 ? &left : nullptr, nullptr, 0L);
    if (ready_count < 0 && ready_count != -EINTR) end_jail();
    if (entries[2].revents != 0) read_sync(state);
    if (entries[3].revents != 0) read_job_sync(state);
    if (entries[1].revents != 0) reap(state);
    if (entries[0].revents != 0) read_control(state);
    check_deadline(state);
  }
}

void run() {
  static constinit State state{};
  set_up(state);
  loop(state);
}

}  // namespace sandboxd::init
