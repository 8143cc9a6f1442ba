// The loop of PID 1: commands, children, handshakes, deadlines. It waits for nothing else.
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
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

// PID 1 reaps whatever is reparented to it.
void reap(State& state) {
  signalfd_siginfo drained{};
  while (sys::raw(SYS_read, state.signal_fd, &drained, sizeof drained) > 0) {
  }
  for (Job& job : jobs()) {
    if (job.stage != Stage::kFree && job.keeper != 0) job_ended(state, job);
  }
  for (;;) {
    int status = 0;
    rusage usage{};
    const long pid = sys::raw(SYS_wait4, -1, &status, WNOHANG | __WALL, &usage);
    if (pid == -EINTR) continue;
    if (pid <= 0) return;
    if (child_ended(state, static_cast<int>(pid), status, usage)) continue;
    // Without it nobody answers what the filter refuses.
    if (is_recorder(static_cast<int>(pid))) end_jail();
    signaller_ended(state, static_cast<int>(pid));
  }
}

void read_sync(State& state) {
  wire::SyncRecord record{};
  const long got = sys::raw(SYS_read, wire::kInitSyncFd, &record, sizeof record);
  if (got == -EINTR) return;
  Job* first = find_job(wire::kFirstJob);
  if (got != sizeof record || record.what != wire::Sync::kGo || first == nullptr) end_jail();
  sys::raw(SYS_close, wire::kInitSyncFd);
  // Up to here the jail dies with its launcher; from here on it outlives one that is restarted.
  if (sys::raw(SYS_prctl, PR_SET_PDEATHSIG, 0L, 0L, 0L, 0L) < 0) end_jail();
  state.released = true;
  state.deadline_nsec = deadline_in(state.plan.job.wall_time);
  release_job(*first);
}

struct Received {
  wire::InitCommandRecord command{};
  std::array<int, 2> fds{-1, -1};
  std::size_t count = 0;
};

// False: nothing came. Anything that is not our protocol ends the jail.
bool receive(Received& received) {
  iovec part{&received.command, sizeof received.command};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 2)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = &control[0];
  header.msg_controllen = sizeof control;
  const long got = sys::raw(SYS_recvmsg, wire::kInitControlFd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got == -EINTR || got == -EAGAIN) return false;
  if (got != sizeof received.command || (header.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0) end_jail();
  const cmsghdr* c = CMSG_FIRSTHDR(&header);
  if (c == nullptr) return true;
  if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) end_jail();
  received.count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  __builtin_memcpy(received.fds.data(), CMSG_DATA(c), received.count * sizeof(int));
  return true;
}

void obey_of_job(const wire::InitCommandRecord& command) {
  Job* job = find_job(command.job);
  if (job == nullptr || job->probe) return;  // its end has crossed the command
  switch (command.command) {
    case wire::InitCommand::kSignal:
      if (command.value > 0 && command.value < 65) signal_job(*job, command.value);
      return;
    case wire::InitCommand::kRelease:
      if (command.job != wire::kFirstJob) release_job(*job);
      return;
    default: return kill_job(*job);
  }
}

bool next_is_exec() {
  wire::InitCommandRecord command{};
  const long got =
      sys::raw(SYS_recvfrom, wire::kInitControlFd, &command, sizeof command, MSG_PEEK | MSG_DONTWAIT, nullptr, nullptr);
  return got == sizeof command && command.command == wire::InitCommand::kExec;
}

void read_control(State& state) {
  // A job that was asked for after a signal to all is not one of those that it was meant for.
  state.exec_waits = signaller_runs() && next_is_exec();
  if (state.exec_waits) return;
  Received received{};
  if (!receive(received)) return;
  const wire::InitCommandRecord& command = received.command;
  // Descriptors come with kExec and only there; sandboxd has this socket's other end from the go on.
  const bool exec = command.command == wire::InitCommand::kExec;
  if (exec != (received.count > 0) || !state.released) end_jail();
  switch (command.command) {
    case wire::InitCommand::kExec: return exec_job(state, command.job, received.fds[0], received.fds[1]);
    case wire::InitCommand::kSignalAll:
      if (command.value > 0 && command.value < 65) signal_all(state, command.value);
      return;
    case wire::InitCommand::kSignal:
    case wire::InitCommand::kRelease:
    case wire::InitCommand::kKillJob: return obey_of_job(command);
    case wire::InitCommand::kLook: return tell_full(state);
    case wire::InitCommand::kEnd: break;
  }
  end_jail();
}

void check_times(State& state) {
  const std::uint64_t now = now_nsec();
  if (state.deadline_nsec != 0 && now >= state.deadline_nsec) {
    wire::InitEventRecord record{};
    record.event = wire::InitEvent::kWallTime;
    send_event(state, record);
    end_jail();
  }
  check_job_times(state, now);
  check_signaller(state, now);
}

// The next time that check_times() has something to do; 0: never.
std::uint64_t next_time(const State& state) {
  std::uint64_t next = state.deadline_nsec;
  for (const std::uint64_t time : {next_job_time(), next_signaller_time()}) {
    if (time != 0 && (next == 0 || time < next)) next = time;
  }
  return next;
}

long wait_for(pollfd* entries, long count, std::uint64_t until) {
  timespec left{};
  if (until != 0) {
    const std::uint64_t now = now_nsec();
    const std::uint64_t wait = now >= until ? 0 : until - now;
    left = {static_cast<time_t>(wait / 1'000'000'000), static_cast<long>(wait % 1'000'000'000)};
  }
  return sys::raw(SYS_ppoll, entries, count, until != 0 ? &left : nullptr, nullptr, 0L);
}

void turn(State& state) {
  constexpr std::size_t kFixed = 3;
  // A job that has left its stack and holds its socket no more is not among them, so there are never more.
  constexpr std::size_t kMost = kFixed + kMaxPreparing + 1;
  std::array<pollfd, kMost> entries{};
  std::array<Job*, kMost> of{};
  const bool hears = may_signal_all() && !(state.exec_waits && signaller_runs());
  entries[0] = {hears ? wire::kInitControlFd : -1, POLLIN, 0};
  entries[1] = {state.signal_fd, POLLIN, 0};
  entries[2] = {state.released ? -1 : wire::kInitSyncFd, POLLIN, 0};
  std::size_t count = kFixed;
  for (Job& job : jobs()) {
    if (job.stage == Stage::kFree || job.sync < 0 || !state.released || count == entries.size()) continue;
    of[count] = &job;
    entries[count++] = {job.sync, POLLIN, 0};
  }
  const long ready = wait_for(entries.data(), static_cast<long>(count), next_time(state));
  if (ready < 0 && ready != -EINTR) end_jail();
  if (entries[2].revents != 0) read_sync(state);
  for (std::size_t i = kFixed; i < count; ++i) {
    if (entries[i].revents != 0) read_job_sync(state, *of[i]);
  }
  if (entries[1].revents != 0) reap(state);
  if (entries[0].revents != 0) read_control(state);
  check_times(state);
}

}  // namespace

std::uint64_t now_nsec() {
  timespec now{};
  sys::raw(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t deadline_in(std::uint64_t usec) {
  constexpr std::uint64_t kMostUsec = ~0ULL / 4000;
  return usec == 0 || usec > kMostUsec ? 0 : now_nsec() + usec * 1000;
}

void loop(State& state) {
  const wire::SyncRecord ready{wire::Sync::kReady, static_cast<std::uint8_t>(state.landlock_probe ? 1 : 0), 0};
  if (sys::raw(SYS_write, wire::kInitSyncFd, &ready, sizeof ready) != sizeof ready) end_jail();
  for (;;) turn(state);
}

void run() {
  static constinit State state{};
  set_up(state);
  loop(state);
}

}  // namespace sandboxd::init
