// kSignalAll: kill(-1) reaches every process whose id the sender may signal, and so, from PID 1, the keepers. So a child takes
// the job's id and sends it: from there it reaches what the jobs could reach themselves, in one call, without a list that
// would be old when it is used. A job may stop it or kill it before it has sent: it is woken, and as last resort killed; who
// must be sure uses kEnd.
//
// The same way everything is held while a keeper can't keep up with what it has to kill (a bomb whose processes each found a
// session, so that no group's signal has them all): a process that is stopped doesn't fork, and the kernel lets no fork slip
// through kill(-1). The other jobs stand still too, for the moment that it takes, and are told to go on.
#include <cerrno>
#include <csignal>

#include <linux/sched.h>

#include "base/sys.h"
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

constexpr std::uint64_t kNudgeNsec = 20'000'000;
constexpr int kMaxNudges = 100;
constexpr std::uint64_t kHoldAgainNsec = 100'000'000;

struct Signaller {
  const Plan* plan = nullptr;
  int number = 0;
  int pid = 0;          // 0: none runs
  int waiting = 0;      // the signal that came meanwhile
  int own_waiting = 0;  // our own SIGSTOP or SIGCONT: the later one counts
  bool holding = false;
  std::uint64_t hold_nsec = 0;  // when it is sent again, to what was told to go on by another
  std::uint64_t nudge_nsec = 0;
  int nudges = 0;
};
constinit Signaller g_signaller{};
alignas(16) constinit std::array<std::uint8_t, kKeeperStack> g_stack{};

void fails(void*, const char*, long, const char*) {
  for (;;) sys::raw(SYS_exit_group, 1);
}

void signaller_main(void* argument) {
  const auto& signaller = *static_cast<const Signaller*>(argument);
  take_job_id(*signaller.plan, fails, nullptr);
  sys::raw(SYS_kill, -1, signaller.number);
  for (;;) sys::raw(SYS_exit_group, 0);
}

// Of what waits, our own first. Where no process may be had now (the jail's are as many as it may have), again at the next nudge.
void send_next(State& state) {
  Signaller& signaller = g_signaller;
  int& next = signaller.own_waiting != 0 ? signaller.own_waiting : signaller.waiting;
  if (signaller.pid != 0 || next == 0) return;
  signaller.plan = &state.plan;
  signaller.number = next;
  signaller.nudges = 0;
  signaller.nudge_nsec = now_nsec() + kNudgeNsec;
  const long pid = sys::clone_on_stack(CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, top_of(g_stack), nullptr,
                                       signaller_main, &signaller);
  if (pid < 0) return;
  signaller.pid = static_cast<int>(pid);
  next = 0;
}

bool any_overrun() {
  for (const Job& job : jobs()) {
    if (job.stage != Stage::kFree && job.shared.overrun.load(std::memory_order_acquire)) return true;
  }
  return false;
}

void hold_or_let_go(std::uint64_t now) {
  Signaller& signaller = g_signaller;
  if (any_overrun()) {
    if (signaller.holding && now < signaller.hold_nsec) return;
    signaller.holding = true;
    signaller.hold_nsec = now + kHoldAgainNsec;
    signaller.own_waiting = SIGSTOP;
  } else if (signaller.holding) {
    signaller.holding = false;
    signaller.own_waiting = SIGCONT;
  }
}

}  // namespace

void signal_all(State& state, int number) {
  for (Job& job : jobs()) job.told_off = true;
  g_signaller.waiting = number;
  send_next(state);
}

bool may_signal_all() { return g_signaller.waiting == 0; }

bool signaller_runs() { return g_signaller.pid != 0; }

bool signaller_ended(State& state, int pid) {
  Signaller& signaller = g_signaller;
  if (signaller.pid != pid) return false;
  signaller.pid = 0;
  send_next(state);
  return true;
}

void check_signaller(State& state, std::uint64_t now) {
  hold_or_let_go(now);
  Signaller& signaller = g_signaller;
  send_next(state);
  if (signaller.pid == 0 || now < signaller.nudge_nsec) return;
  signaller.nudge_nsec = now + kNudgeNsec;
  sys::raw(SYS_kill, signaller.pid, ++signaller.nudges > kMaxNudges ? SIGKILL : SIGCONT);
}

std::uint64_t next_signaller_time() {
  const bool busy = g_signaller.pid != 0 || g_signaller.waiting != 0 || g_signaller.own_waiting != 0;
  const std::uint64_t nudge = busy ? g_signaller.nudge_nsec : 0;
  const std::uint64_t hold = g_signaller.holding ? g_signaller.hold_nsec : 0;
  return nudge == 0 || (hold != 0 && hold < nudge) ? hold : nudge;
}

}  // namespace sandboxd::init
