// The set-up steps of jail-init, in order. The order is checked by the compiler, the name is what an operator reads.
//
// Why this order: non-dumpable before anything can look at us; capabilities down to the three that jobs need (SETUID and
// SETGID to give a job its id, KILL to signal it) before the workload's data is touched; no_new_privs before Landlock and
// the filter, which need it; the core limit before the filter, which forbids changing it; Landlock before the filter,
// which need not allow its calls; the recorder, where refused calls are to be told, before the filter that it answers for; the
// filter last.
#include <algorithm>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/landlock_abi.h"
#include "base/sys.h"
#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

Outcome be_undumpable(State&) {
  return {sys::raw(SYS_prctl, PR_SET_DUMPABLE, 0L, 0L, 0L, 0L), "prctl PR_SET_DUMPABLE"};
}

Outcome load_plan(State& state) { return read_plan(wire::kInitPlanFd, state.plan); }

constexpr std::uint32_t cap_bit(unsigned cap) { return 1U << cap; }

// The job drops everything; jail-init keeps what it needs to be a job's parent, in the jail's user namespace only.
Outcome keep_three_capabilities(State& state) {
  if (state.plan.keep_capabilities) return {};
  if (const long r = sys::raw(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L); r < 0)
    return {r, "clear ambient set"};
  constexpr std::uint32_t kKept = cap_bit(CAP_SETUID) | cap_bit(CAP_SETGID) | cap_bit(CAP_KILL);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {{kKept, kKept, 0}, {0, 0, 0}};
  if (const long r = sys::raw(SYS_capset, &header, &sets[0]); r < 0) return {r, "capset"};
  __user_cap_data_struct got[2] = {};
  if (const long r = sys::raw(SYS_capget, &header, &got[0]); r < 0) return {r, "capget"};
  const bool same = got[0].effective == kKept && got[0].permitted == kKept && got[0].inheritable == 0 &&
                    (got[1].effective | got[1].permitted | got[1].inheritable) == 0;
  return {same ? 0 : -EPERM, "capabilities read back differ"};
}

Outcome forbid_new_privs(State& state) {
  if (state.plan.keep_capabilities) return {};
  return {sys::raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L), "prctl PR_SET_NO_NEW_PRIVS"};
}

// 1, not 0: the kernel skips a core_pattern pipe helper only at exactly 1 (fs/coredump.c), and the filter keeps it there. Under a
// hard limit of 0 it is 0: the launcher has looked whether that is enough, and compares (base/core_limit.h).
Outcome forbid_core(State&) {
  rlimit limit{};
  if (const long r = sys::raw(SYS_prlimit64, 0, RLIMIT_CORE, nullptr, &limit); r < 0)
    return {r, "getrlimit RLIMIT_CORE"};
  limit.rlim_cur = limit.rlim_max = limit.rlim_max < 1 ? 0 : 1;
  return {sys::raw(SYS_prlimit64, 0, RLIMIT_CORE, &limit, nullptr), "setrlimit RLIMIT_CORE"};
}

// A signal that is ignored stays so over clone3 (CLONE_CLEAR_SIGHAND resets handlers only) and over exec. Whoever started us
// may ignore SIGPIPE, or SIGINT in the background of a shell: the job's signals must not depend on that, and with SIGCHLD
// ignored its exit status would be lost (wait(2)).
void default_signals() {
  struct KernelAction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    std::uint64_t mask;
  };
  constexpr KernelAction kDefault{};  // SIG_DFL is 0
  constexpr int kLast = 64;
  // EINVAL for SIGKILL and SIGSTOP, which nobody can ignore.
  for (int number = 1; number <= kLast; ++number) {
    sys::raw(SYS_rt_sigaction, number, &kDefault, nullptr, sizeof kDefault.mask);
  }
}

Outcome take_signals(State& state) {
  default_signals();
  std::uint64_t all = ~0ULL;
  if (const long r = sys::raw(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, sizeof all); r < 0)
    return {r, "rt_sigprocmask"};
  std::uint64_t child = 1ULL << (SIGCHLD - 1);
  const long fd = sys::raw(SYS_signalfd4, -1, &child, sizeof child, SFD_CLOEXEC | SFD_NONBLOCK);
  state.signal_fd = static_cast<int>(fd);
  return {fd, "signalfd"};
}

// A file takes only the rights that make sense for one, EINVAL else (landlock(7)).
constexpr std::uint64_t kFileRights = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                      LANDLOCK_ACCESS_FS_READ_FILE | landlock_abi::kTruncate | landlock_abi::kIoctlDev;

Outcome add_landlock_rule(int ruleset, const LandlockRule& row) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = row.no_symlinks ? RESOLVE_NO_SYMLINKS : 0;
  const long fd = sys::raw(SYS_openat2, AT_FDCWD, row.path, &how, sizeof how);
  if (fd < 0) return {fd, row.path};
  struct stat info {};
  long r = sys::raw(SYS_fstat, fd, &info);
  landlock_path_beneath_attr attr{};
  attr.allowed_access = S_ISDIR(info.st_mode) ? row.access : row.access & kFileRights;
  attr.parent_fd = static_cast<int>(fd);
  if (r >= 0) r = sys::raw(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
  sys::raw(SYS_close, fd);
  return {r, row.path};
}

Outcome restrict_by_landlock(State& state) {
  const Plan& plan = state.plan;
  struct {
    std::uint64_t fs, net, scoped;
  } attr{plan.landlock_fs, plan.landlock_net, plan.landlock_scoped};
  if ((attr.fs | attr.net | attr.scoped) == 0) return {};  // a nested jail on an old kernel
  // An older kernel takes a shorter struct; what it lacks is zero here, as the launcher asked its ABI.
  const std::size_t size = attr.scoped != 0 ? 24 : attr.net != 0 ? 16 : 8;
  const long ruleset = sys::raw(SYS_landlock_create_ruleset, &attr, size, 0);
  if (ruleset < 0) return {ruleset, "landlock_create_ruleset"};
  for (std::size_t i = 0; i < plan.landlock_count; ++i) {
    if (const Outcome rule = add_landlock_rule(static_cast<int>(ruleset), plan.landlock[i]); !rule.ok()) return rule;
  }
  for (std::size_t i = 0; i < plan.port_count; ++i) {
    const long r = sys::raw(SYS_landlock_add_rule, ruleset, landlock_abi::kRuleNetPort, &plan.ports[i], 0);
    if (r < 0) return {r, "landlock_add_rule for a port"};
  }
  const long r = sys::raw(SYS_landlock_restrict_self, ruleset, 0);
  sys::raw(SYS_close, ruleset);
  return {r, "landlock_restrict_self"};
}

Outcome load_filter(State& state) {
  if (state.plan.explain || state.plan.learn) return load_told_filter(state);
  const sock_fprog program{static_cast<unsigned short>(state.plan.filter_count),
                           const_cast<sock_filter*>(state.plan.filter)};
  return {sys::raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp SECCOMP_SET_MODE_FILTER"};
}

enum class Step : std::uint8_t {
  kUndumpable,
  kPlan,
  kCapabilities,
  kNoNewPrivs,
  kCoreLimit,
  kSignals,
  kLandlock,
  kLandlockProbe,
  kRecorder,
  kFilter,
  kJob
};
struct StepRow {
  Step id;
  const char* name;
  Outcome (*run)(State&);
};
constexpr std::array kSteps = {
    StepRow{Step::kUndumpable, "undumpable", be_undumpable},
    StepRow{Step::kPlan, "plan", load_plan},
    StepRow{Step::kCapabilities, "capabilities", keep_three_capabilities},
    StepRow{Step::kNoNewPrivs, "no-new-privs", forbid_new_privs},
    StepRow{Step::kCoreLimit, "core-limit", forbid_core},
    StepRow{Step::kSignals, "signals", take_signals},
    StepRow{Step::kLandlock, "landlock", restrict_by_landlock},
    StepRow{Step::kLandlockProbe, "landlock-probe", probe_landlock},
    StepRow{Step::kRecorder, "recorder", start_recorder},
    StepRow{Step::kFilter, "seccomp", load_filter},
    StepRow{Step::kJob, "job", start_first_job},
};
static_assert(std::ranges::is_sorted(kSteps, {}, &StepRow::id), "steps must run in enum order");

}  // namespace

void set_up(State& state) {
  for (const StepRow& step : kSteps) {
    if (const Outcome outcome = step.run(state); !outcome.ok()) give_up(step.name, outcome);
  }
}

}  // namespace sandboxd::init
