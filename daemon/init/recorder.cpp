// The recorder: where the plan asks that refused calls be told, the filter is loaded in another form, whose errno answers are
// SECCOMP_RET_USER_NOTIF, and this process answers: it works out from the filter as it is in the plan which errno that gives,
// tells sandboxd, and answers with exactly that. It reads no memory of a job: the kernel gives it the call's number and its
// arguments as numbers.
//
// Under a profile that learns, the answers that allow are SECCOMP_RET_USER_NOTIF too (but for those of kPlain), and it lets such a
// call go on (SECCOMP_USER_NOTIF_FLAG_CONTINUE), which decides nothing: the filter of the plan has allowed it already, by its
// number and arguments, which nobody can change any more. What learner.cpp reads of the job's memory beside is for people to look
// at, and may be another thing when the kernel reads it.
//
// A child of jail-init with its id and memory, like a keeper, so that no job can signal, stop or trace it. Under a filter of its
// own, of the calls below, and with two descriptors: the listener, which nobody else has, and the control socket. When it ends,
// the kernel gives ENOSYS to all calls that wait for it, jail-init's own too (seccomp_unotify(2)); jail-init hears of the end, and ends the
// jail. A copy of the listener that jail-init kept would let those calls wait for ever.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/bpf.h"
#include "base/sys.h"
#include "daemon/init/jobs.h"
#include "daemon/init/learner.h"

namespace sandboxd::init {
namespace {

constexpr std::uint64_t kReadyWithinNsec = 20'000'000'000;
constexpr time_t kReaderPatienceSec = 30;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kOfOneNumber = 4;  // told in a second: a loop around one call leaves room for others
constexpr int kMostParents = 64;
constexpr std::uint32_t kMostErrno = 4095;

// Names that Debian 12's header may lack (linux/seccomp.h of 6.6); the values are ABI.
constexpr std::uint64_t kSyncWakeUp = 1;
// From Linux 5.19 on: a call that was received is answered, whatever signals its caller gets meanwhile. Without, one that is
// interrupted is made again, or fails with EINTR as a slow call does.
constexpr unsigned long kWaitKillable = 1UL << 5;
constexpr unsigned long kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
constexpr unsigned long kSetFlags = _IOW('!', 4, std::uint64_t);

struct Told {
  std::int32_t number = -1;
  std::uint32_t times = 0;
};

struct Recorder {
  const State* state = nullptr;
  int pid = 0;
  int inner = -1;     // its end of a socket pair, over which it says that it is ready and hears of its listener
  int listener = -1;  // in the table that it shares with jail-init until then
  std::atomic<std::uint32_t> untold{0};
  std::uint64_t second = 0;
  std::uint32_t told = 0;
  std::array<Told, 64> of_number{};
};
constinit Recorder g_recorder{};
// The filter with its other answers; nothing of it is touched in a jail that doesn't ask.
constinit std::array<sock_filter, BPF_MAXINSNS> g_told{};
#if defined(SANDBOXD_INIT_WITH_LIBC)
constexpr std::size_t kStack = 256 * 1024;
#else
constexpr std::size_t kStack = 8 * 1024;
#endif
alignas(4096) constinit std::array<std::uint8_t, kStack> g_stack{};

// A kernel of later has a longer one, and is given only what it has said here.
union Notification {
  seccomp_notif notif;
  std::uint8_t room[512];
};

[[noreturn]] void end_recorder(int status) {
  for (;;) sys::raw(SYS_exit_group, status);
}

#if !defined(SANDBOXD_INIT_WITH_LIBC)
#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

long confine_recorder() {
  static constexpr std::array kCalls = {SYS_ioctl,  SYS_sendto,        SYS_read,       SYS_openat,     SYS_close,
                                        SYS_getsid, SYS_clock_gettime, SYS_exit_group, SYS_readlinkat, SYS_pread64};
  // The last two are for learning.
  constexpr std::size_t kMost = kCalls.size() + 5;
  const std::size_t count = kCalls.size() - (g_recorder.state->plan.learn ? 0 : 2);
  std::array<sock_filter, kMost> filter{};
  const auto allow = static_cast<std::uint8_t>(count);
  filter[0] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)};
  filter[1] = {BPF_JMP | BPF_JEQ | BPF_K, 0, static_cast<std::uint8_t>(allow + 1), kArch};
  filter[2] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)};
  for (std::size_t i = 0; i < count; ++i) {
    filter[3 + i] = {BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint8_t>(allow - i), 0,
                     static_cast<std::uint32_t>(kCalls[i])};
  }
  filter[count + 3] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS};
  filter[count + 4] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  const sock_fprog program{static_cast<unsigned short>(count + 5), filter.data()};
  return sys::raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

#endif

// Field 4 of /proc/PID/stat, behind the name in parentheses, which may hold anything; 0 where that can't be had.
int parent_of(int pid) {
  char path[32] = "/proc/";
  std::size_t at = 6;
  char digits[12];
  std::size_t count = 0;
  for (int left = pid; left > 0; left /= 10) digits[count++] = static_cast<char>('0' + left % 10);
  while (count > 0) path[at++] = digits[--count];
  copy_text(&path[at], sizeof path - at, "/stat");
  const long fd = sys::raw(SYS_openat, AT_FDCWD, &path[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[256];
  const long got = sys::raw(SYS_read, fd, &text[0], sizeof text);
  sys::raw(SYS_close, fd);
  long end = got - 1;
  while (end >= 0 && text[end] != ')') --end;
  if (end < 0) return 0;
  int parent = 0;
  for (long i = end + 4; i < got && text[i] >= '0' && text[i] <= '9'; ++i) parent = parent * 10 + (text[i] - '0');
  return parent;
}

std::uint32_t job_led_by(int pid) {
  for (const Job& job : jobs()) {
    if (job.stage == Stage::kFree) continue;
    if (job.shared.pid.load(std::memory_order_acquire) == pid || (job.keeper != 0 && job.keeper == pid))
      return job.number;
  }
  return 0;
}

// A hint, for people: who is its session's leader, else who of its ancestors is a job or a job's keeper. jail-init may change the
// table meanwhile.
std::uint32_t job_of(int pid) {
  if (g_recorder.state->plan.job.argv[0] != nullptr) return wire::kFirstJob;
  const auto leader = static_cast<int>(sys::raw(SYS_getsid, pid));
  if (leader > 0) {
    if (const std::uint32_t job = job_led_by(leader); job != 0) return job;
  }
  for (int i = 0; i < kMostParents && pid > 1; ++i) {
    if (const std::uint32_t job = job_led_by(pid); job != 0) return job;
    pid = parent_of(pid);
  }
  return 0;
}

bool may_tell(std::int32_t number) {
  Recorder& recorder = g_recorder;
  const std::uint64_t second = now_nsec() / kSecond;
  if (second != recorder.second) {
    recorder.second = second;
    recorder.told = 0;
    for (Told& one : recorder.of_number) one.times = 0;
  }
  Told& told = recorder.of_number[static_cast<std::uint32_t>(number) % recorder.of_number.size()];
  if (recorder.told >= wire::kDeniedPerSecond || (told.number == number && told.times >= kOfOneNumber)) return false;
  if (told.number != number) told = {number, 0};
  ++told.times;
  ++recorder.told;
  return true;
}

// False: there was no room.
bool send_denied(const wire::DeniedCall& call, int code, std::uint32_t job, std::uint32_t untold) {
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kDenied;
  record.code = code;
  record.job = job;
  record.value = static_cast<std::int32_t>(untold & 0x7FFFFFFF);
  __builtin_memcpy(&record.text[0], &call, sizeof call);
  return sys::raw(SYS_sendto, wire::kInitControlFd, &record, sizeof record, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0) ==
         sizeof record;
}

// Before the answer, so that sandboxd hears of a call before anything that its job does after it.
void tell(const seccomp_notif& notif, int code) {
  std::atomic<std::uint32_t>& untold = g_recorder.untold;
  if (!may_tell(notif.data.nr)) {
    untold.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  wire::DeniedCall call{notif.data.nr, notif.data.arch, {}};
  for (std::size_t i = 0; i < 6; ++i) call.args[i] = notif.data.args[i];
  const std::uint32_t before = untold.exchange(0, std::memory_order_relaxed);
  if (!send_denied(call, code, job_of(static_cast<int>(notif.pid)), before))
    untold.fetch_add(before + 1, std::memory_order_relaxed);
}

// What the filter would have answered. It was refused, so anything but an errno is a fault, and refused too.
int errno_of(std::uint32_t answer) {
  if ((answer & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO) return ENOSYS;
  const std::uint32_t code = answer & SECCOMP_RET_DATA;
  return static_cast<int>(code < kMostErrno ? code : kMostErrno);
}

// The kernel has one listener at most for a process (EBUSY), so a job that asks for one is told so, whatever the plan's filter says:
// of several filters that answer SECCOMP_RET_USER_NOTIF the newest is asked, so a job's listener could let go on what ours refuses.
bool asks_for_listener(const seccomp_data& data) {
  return data.nr == SYS_seccomp && (data.args[1] & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
}

void answer_one(int listener) {
  Notification received{};
  const long got = sys::raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_RECV, &received);
  if (got == -EINTR || got == -ENOENT) return;  // who made the call was killed meanwhile
  if (got < 0) end_recorder(1);
  const Plan& plan = g_recorder.state->plan;
  const std::uint32_t answer =
      run_filter({plan.filter, plan.filter_count}, received.notif.data).value_or(SECCOMP_RET_KILL_PROCESS);
  seccomp_notif_resp response{};
  response.id = received.notif.id;
  if (answer == SECCOMP_RET_ALLOW && asks_for_listener(received.notif.data)) {
    response.error = -EBUSY;
  } else if (answer == SECCOMP_RET_ALLOW && plan.learn) {
    if (!learn_call(received.notif)) end_recorder(1);
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else {
    const int code = errno_of(answer);
    if (plan.explain) tell(received.notif, code);
    response.error = -code;
  }
  const long sent = sys::raw(SYS_ioctl, listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
  if (sent < 0 && sent != -ENOENT && sent != -EINTR) end_recorder(1);
}

// A table of its own, with what it needs and no more.
long keep_descriptors(std::array<int, 3> kept) {
  if (const long r = sys::raw(SYS_unshare, CLONE_FILES); r < 0) return r;
  unsigned from = 3;  // below: /dev/null
  for (std::size_t i = 0; i <= kept.size(); ++i) {
    unsigned next = ~0U;
    for (const int fd : kept) {
      const auto number = static_cast<unsigned>(fd);
      if (number >= from && number < next) next = number;
    }
    if (next != from) {
      if (const long r = sys::raw(SYS_close_range, from, next == ~0U ? next : next - 1, 0U); r < 0) return r;
    }
    from = next + 1;
  }
  return 0;
}

// Both sides say one byte, in turns.
bool say(int inner) {
  const char byte = 1;
  return sys::raw(SYS_sendto, inner, &byte, 1, MSG_NOSIGNAL, nullptr, 0) == 1;
}

void recorder_main(void*) {
  const int inner = g_recorder.inner;
  char byte = 0;
  if (g_recorder.state->plan.learn && !be_learner(g_recorder.state->plan)) end_recorder(1);
  if (!say(inner) || sys::raw(SYS_read, inner, &byte, 1) != 1) end_recorder(1);
  const int listener = g_recorder.listener;
  if (keep_descriptors({wire::kInitControlFd, inner, listener}) < 0) end_recorder(1);
#if !defined(SANDBOXD_INIT_WITH_LIBC)
  // A sanitizer's run-time may call what it likes.
  if (confine_recorder() < 0) end_recorder(1);
#endif
  if (!say(inner)) end_recorder(1);
  sys::raw(SYS_close, inner);
  // From Linux 6.6 on; without, a round trip takes longer.
  sys::raw(SYS_ioctl, listener, kSetFlags, kSyncWakeUp);
  for (;;) answer_one(listener);
}

// What jail-init can't do without, or jobs do all the time: not told of, and in every profile that is learned (the filter file
// jail-init.json). jail-init waits, reads, tells and ends by these, whatever becomes of the recorder.
constexpr std::array kPlain = {SYS_read,         SYS_write, SYS_close, SYS_sendto, SYS_sendmsg,      SYS_recvmsg,
                               SYS_recvfrom,     SYS_ppoll, SYS_wait4, SYS_exit,   SYS_exit_group,   SYS_kill,
                               SYS_rt_sigreturn, SYS_futex, SYS_lseek, SYS_fstat,  SYS_clock_gettime};

// The answers that allow go to a tail that tells the plain from the others: behind the filter's own decision, so it widens nothing.
std::size_t add_learning(std::size_t count) {
  const std::size_t tail = count;
  if (tail + kPlain.size() + 3 > g_told.size()) return 0;
  for (std::size_t i = 0; i < tail; ++i) {
    sock_filter& row = g_told[i];
    if (row.code == (BPF_RET | BPF_K) && row.k == SECCOMP_RET_ALLOW)
      row = {BPF_JMP | BPF_JA, 0, 0, static_cast<std::uint32_t>(tail - i - 1)};
  }
  g_told[count++] = {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)};
  for (std::size_t i = 0; i < kPlain.size(); ++i) {
    g_told[count++] = {BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint8_t>(kPlain.size() - i), 0,
                       static_cast<std::uint32_t>(kPlain[i])};
  }
  g_told[count++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF};
  g_told[count++] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  return count;
}

// asks_for_listener(), as rows; the word of arguments[1] that is the lower on both machines.
constexpr std::array<sock_filter, 5> kListenerRows = {{
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
    {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_seccomp},
    {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, args) + 8},
    {BPF_JMP | BPF_JSET | BPF_K, 0, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER},
    {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF},
}};

// Its length; 0: too long.
std::size_t make_told_filter(const Plan& plan) {
  std::size_t count = 0;
  if (kListenerRows.size() + plan.filter_count > g_told.size()) return 0;
  for (const sock_filter& row : kListenerRows) g_told[count++] = row;
  for (std::size_t i = 0; i < plan.filter_count; ++i) {
    sock_filter& row = g_told[count++];
    row = plan.filter[i];
    const bool refuses = row.code == (BPF_RET | BPF_K) && (row.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
    if (refuses && plan.explain) row.k = SECCOMP_RET_USER_NOTIF;
  }
  return plan.learn ? add_learning(count) : count;
}

// False: it did not say so in time.
bool hears(int fd) {
  pollfd entry{fd, POLLIN, 0};
  const timespec patience{static_cast<time_t>(kReadyWithinNsec / kSecond), 0};
  long ready = -EINTR;
  while (ready == -EINTR) ready = sys::raw(SYS_ppoll, &entry, 1L, &patience, nullptr, 0L);
  char byte = 0;
  return ready == 1 && sys::raw(SYS_read, fd, &byte, 1) == 1;
}

}  // namespace

Outcome start_recorder(State& state) {
  if (!state.plan.explain && !state.plan.learn) return {};
  g_recorder.state = &state;
  // For what the recorder sends: a reader that makes no room ends the jail, as it does where jail-init sends (events.cpp).
  const timeval patience{kReaderPatienceSec, 0};
  if (const long r =
          sys::raw(SYS_setsockopt, wire::kInitControlFd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      r < 0)
    return {r, "setsockopt SO_SNDTIMEO"};
  int pair[2] = {-1, -1};
  if (const long r = sys::raw(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, &pair[0]); r < 0)
    return {r, "socketpair"};
  state.recorder_fd = pair[0];
  g_recorder.inner = pair[1];
  const long pid = sys::clone_on_stack(CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, top_of(g_stack), nullptr,
                                       recorder_main, nullptr);
  if (pid < 0) return {pid, "clone"};
  g_recorder.pid = static_cast<int>(pid);
  return {hears(state.recorder_fd) ? 0 : -ECHILD, "the recorder did not start"};
}

Outcome load_told_filter(State& state) {
  const std::size_t count = make_told_filter(state.plan);
  if (count == 0) return {-E2BIG, "the filter and what learning adds to it"};
  const sock_fprog program{static_cast<unsigned short>(count), g_told.data()};
  long listener = sys::raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags | kWaitKillable, &program);
  if (listener == -EINVAL) listener = sys::raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program);
  if (listener < 0) return {listener, "seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER"};
  g_recorder.listener = static_cast<int>(listener);
  // What is under the filter from here on are calls that a jail can't do without.
  const char go = 1;
  const bool taken = sys::raw(SYS_write, state.recorder_fd, &go, 1) == 1 && hears(state.recorder_fd);
  for (const int fd : {g_recorder.listener, g_recorder.inner, state.recorder_fd}) sys::raw(SYS_close, fd);
  state.recorder_fd = -1;
  return {taken ? 0 : -ECHILD, "hand the listener to the recorder"};
}

bool is_recorder(int pid) { return g_recorder.pid != 0 && g_recorder.pid == pid; }

void tell_untold() {
  const std::uint32_t untold = g_recorder.untold.exchange(0, std::memory_order_relaxed);
  if (untold != 0 && !send_denied({-1, 0, {}}, 0, 0, untold))
    g_recorder.untold.fetch_add(untold, std::memory_order_relaxed);
}

}  // namespace sandboxd::init
