// The jobs: a job is a CLONE_VM child of jail-init that takes the job's id, drops everything and execs. Not vfork: another
// job that loops kill(-1, SIGSTOP) could stop a vfork child between setresuid and exec, and jail-init would wait in D
// state for ever, deaf to its socket and its deadline. The child shares our memory, so it writes to its own stack only.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "daemon/init/init.h"
#include "daemon/wire/plan.h"

namespace sandboxd::init {
namespace {

constexpr std::size_t kStackSize = 64 * 1024;
alignas(16) constinit std::array<std::uint8_t, kStackSize> g_stack{};

struct JobArgs {
  const Plan* plan;
  std::array<int, 3> stdio;
  int sync;
};
constinit JobArgs g_job{};

[[noreturn]] void job_fails(int sync, const char* step, long code, const char* text) {
  wire::SetupFailure failure{};
  failure.code = static_cast<std::int32_t>(-code);
  copy_text(failure.step, sizeof failure.step, step);
  copy_text(failure.text, sizeof failure.text, text);
  sys::raw(SYS_write, sync, &failure, sizeof failure);
  for (;;) sys::raw(SYS_exit_group, 127);
}

// execvp(3)'s search: a name without '/' is looked for along the job's PATH; EACCES is remembered, the rest goes on.
long exec_along_path(const Plan& plan) {
  const char* name = plan.argv[0];
  for (const char* c = name; *c != '\0'; ++c) {
    if (*c == '/') return sys::raw(SYS_execve, name, plan.argv, plan.env);
  }
  const char* path = "/usr/local/bin:/usr/bin:/bin";
  for (char** e = plan.env; *e != nullptr; ++e) {
    const char* v = *e;
    if (v[0] == 'P' && v[1] == 'A' && v[2] == 'T' && v[3] == 'H' && v[4] == '=') path = v + 5;
  }
  long result = -ENOENT;
  char candidate[4096];
  while (*name != '\0') {
    std::size_t at = 0;
    while (*path != '\0' && *path != ':' && at + 1 < sizeof candidate) candidate[at++] = *path++;
    while (*path != '\0' && *path != ':') ++path;
    const bool usable = at > 0 && candidate[0] == '/';  // an empty or relative part would mean the working directory
    candidate[at++] = '/';
    std::size_t i = 0;
    for (; name[i] != '\0' && at + 1 < sizeof candidate; ++i) candidate[at++] = name[i];
    candidate[at] = '\0';
    if (usable && name[i] == '\0') {
      const long r = sys::raw(SYS_execve, &candidate[0], plan.argv, plan.env);
      if (r != -ENOENT && r != -ENOTDIR && r != -EACCES) return r;
      if (r == -EACCES) result = r;
    }
    if (*path == '\0') break;
    ++path;
  }
  return result;
}

void take_stdio(const JobArgs& job) {
  // The ends may be any number above 2 here, so none is overwritten before it is used.
  for (int i = 0; i < 3; ++i) {
    if (const long r = sys::raw(SYS_dup3, job.stdio[static_cast<std::size_t>(i)], i, 0); r < 0)
      job_fails(job.sync, "stdio", r, "dup3");
  }
}

void take_limits(const JobArgs& job) {
  for (std::size_t i = 0; i < job.plan->rlimit_count; ++i) {
    const Rlimit& row = job.plan->rlimits[i];
    const rlimit limit{row.soft, row.hard};
    if (const long r = sys::raw(SYS_prlimit64, 0, row.resource, &limit, nullptr); r < 0)
      job_fails(job.sync, "limits", r, "setrlimit");
  }
}

// The job's id, no group, no capability. NO_SETUID_FIXUP is locked, so that the capset is what drops them.
void take_id(const JobArgs& job) {
  const std::uint32_t uid = job.plan->job_uid;
  const std::uint32_t gid = job.plan->job_gid;
  if (const long r = sys::raw(SYS_setgroups, 0L, nullptr); r < 0) job_fails(job.sync, "ids", r, "setgroups");
  if (const long r = sys::raw(SYS_setresgid, gid, gid, gid); r < 0) job_fails(job.sync, "ids", r, "setresgid");
  if (const long r = sys::raw(SYS_setresuid, uid, uid, uid); r < 0) job_fails(job.sync, "ids", r, "setresuid");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (const long r = sys::raw(SYS_capset, &header, &none[0]); r < 0) job_fails(job.sync, "capabilities", r, "capset");
}

void job_main(void* argument) {
  const auto& job = *static_cast<const JobArgs*>(argument);
  if (const long r = sys::raw(SYS_setsid); r < 0) job_fails(job.sync, "session", r, "setsid");
  take_stdio(job);
  take_limits(job);
  const int sync = 3;
  if (job.sync != sync) {
    if (const long r = sys::raw(SYS_dup3, job.sync, sync, O_CLOEXEC); r < 0) job_fails(job.sync, "stdio", r, "dup3");
  }
  if (const long r = sys::raw(SYS_close_range, 4U, ~0U, 0U); r < 0) job_fails(sync, "close-range", r, "close_range");
  take_id({job.plan, job.stdio, sync});
  const wire::SyncRecord ready{wire::Sync::kReady, 0, 0};
  wire::SyncRecord go{};
  if (const long r = sys::raw(SYS_write, sync, &ready, sizeof ready); r < 0) job_fails(sync, "handshake", r, "write");
  if (sys::raw(SYS_read, sync, &go, sizeof go) != sizeof go || go.what != wire::Sync::kGo)
    job_fails(sync, "handshake", -ECANCELED, "read");
  // After the id is taken: a workspace of mode 0700 is entered by its owner only.
  if (const long r = sys::raw(SYS_chdir, job.plan->workdir); r < 0) job_fails(sync, "workdir", r, job.plan->workdir);
  std::uint64_t none = 0;
  sys::raw(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
  job_fails(sync, "exec", exec_along_path(*job.plan), job.plan->argv[0]);
}

// A pipe belongs to whoever made it: as the job's id, so that reopening /dev/stdout works in the job.
Outcome pipe_as_job(const Plan& plan, int (&ends)[2]) {
  sys::raw(SYS_setfsgid, plan.job_gid);
  sys::raw(SYS_setfsuid, plan.job_uid);
  const long r = sys::raw(SYS_pipe2, &ends[0], O_CLOEXEC);
  const long uid = sys::raw(SYS_setfsuid, 0xFFFFFFFFU);  // invalid: changes nothing, tells what is in force
  sys::raw(SYS_setfsuid, sys::raw(SYS_geteuid));
  sys::raw(SYS_setfsgid, sys::raw(SYS_getegid));
  if (r >= 0 && uid != static_cast<long>(plan.job_uid)) return {-EPERM, "setfsuid"};
  return {r, "pipe2"};
}

Outcome pipe_streams(State& state) {
  std::array<int, 3> outer{};
  for (std::size_t i = 0; i < 3; ++i) {
    int ends[2] = {-1, -1};
    if (const Outcome made = pipe_as_job(state.plan, ends); !made.ok()) return made;
    state.job_stdio[i] = i == 0 ? ends[0] : ends[1];
    outer[i] = i == 0 ? ends[1] : ends[0];
  }
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kStreams;
  send_event(record, outer);
  for (const int fd : outer) sys::raw(SYS_close, fd);
  return {};
}

}  // namespace

Outcome make_streams(State& state) {
  switch (static_cast<wire::StdioMode>(state.plan.stdio)) {
    case wire::StdioMode::kPipes: return pipe_streams(state);
    case wire::StdioMode::kInherit:
      for (std::size_t i = 0; i < 3; ++i) state.job_stdio[i] = wire::kInitStdioFd + static_cast<int>(i);
      return {};
    case wire::StdioMode::kTerminal: return {-ENOSYS, "terminal"};
    case wire::StdioMode::kNull: break;
  }
  const long null = sys::raw(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
  state.job_stdio = {static_cast<int>(null), static_cast<int>(null), static_cast<int>(null)};
  return {null, "open '/dev/null'"};
}

Outcome spawn_job(State& state) {
  int pair[2] = {-1, -1};
  if (const long r = sys::raw(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, &pair[0]); r < 0)
    return {r, "socketpair"};
  state.job_sync = pair[0];
  g_job = {&state.plan, state.job_stdio, pair[1]};
  static int child_tid = 0;
  const long pid = sys::clone_on_stack(CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, g_stack.data() + g_stack.size(),
                                       &child_tid, job_main, &g_job);
  sys::raw(SYS_close, pair[1]);
  if (pid < 0) return {pid, "clone"};
  state.job_pid = static_cast<int>(pid);
  for (std::size_t i = 0; i < 3; ++i) {
    if (i == 0 || state.job_stdio[i] != state.job_stdio[0]) sys::raw(SYS_close, state.job_stdio[i]);
  }
  // Ready means: its id, no capability, before its exec. A failure up to here is one of the set-up.
  wire::SetupFailure buffer{};
  const long got = sys::raw(SYS_read, state.job_sync, &buffer, sizeof buffer);
  if (got == sizeof(wire::SyncRecord)) return {};
  if (got == sizeof buffer) {
    sys::raw(SYS_write, wire::kInitSyncFd, &buffer, sizeof buffer);
    end_jail();
  }
  return {got < 0 ? got : -ECHILD, "the first job ended before it was ready"};
}

}  // namespace sandboxd::init
