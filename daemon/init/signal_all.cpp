// kSignalAll: kill(-1) reaches every process whose id the sender may signal, and so, from PID 1, the keepers. So a child takes
// the job's id and sends it: from there it reaches what the jobs could reach themselves, in one call, without a list that
// would be old when it is used. A job may stop it or kill it before it has sent: it is woken, and as last resort killed; who
// must be sure uses kEnd.
#include <cerrno>
#include <csignal>

#include <linux/sched.h>

#include "base/sys.h"
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

constexpr std::uint64_t kNudgeNsec = 20'000'000;
constexpr int kMaxNudges = 100;

struct Signaller {
  const Plan* plan = nullptr;
  int number = 0;
  int pid = 0;                // 0: none runs
  std::uint64_t waiting = 0;  // signals that came meanwhile, a bit each
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

}  // namespace

void signal_all(State& state, int number) {
  Signaller& signaller = g_signaller;
  if (signaller.pid != 0) {
    signaller.waiting |= 1ULL << (number - 1);
    return;
  }
  for (Job& job : jobs()) job.told_off = true;
  signaller.plan = &state.plan;
  signaller.number = number;
  signaller.nudges = 0;
  signaller.nudge_nsec = now_nsec() + kNudgeNsec;
  const long pid = sys::clone_on_stack(CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, g_stack.data() + g_stack.size(),
                                       nullptr, signaller_main, &signaller);
  // No process may be had: nothing that was asked for is left undone silently.
  if (pid < 0) end_jail();
  signaller.pid = static_cast<int>(pid);
}

bool signaller_ended(State& state, int pid) {
  Signaller& signaller = g_signaller;
  if (signaller.pid != pid) return false;
  signaller.pid = 0;
  if (signaller.waiting == 0) return true;
  const int next = __builtin_ctzll(signaller.waiting);
  signaller.waiting &= ~(1ULL << next);
  signal_all(state, next + 1);
  return true;
}

void nudge_signaller(std::uint64_t now) {
  Signaller& signaller = g_signaller;
  if (signaller.pid == 0 || now < signaller.nudge_nsec) return;
  signaller.nudge_nsec = now + kNudgeNsec;
  sys::raw(SYS_kill, signaller.pid, ++signaller.nudges > kMaxNudges ? SIGKILL : SIGCONT);
}

std::uint64_t next_signaller_time() { return g_signaller.pid == 0 ? 0 : g_signaller.nudge_nsec; }

}  // namespace sandboxd::init
