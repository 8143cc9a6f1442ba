// The job's side: a CLONE_VM child that takes the job's id, drops everything and execs. Not vfork: another job that loops
// kill(-1, SIGSTOP) could stop a vfork child between setresuid and exec, and its parent would wait in D state for ever, deaf
// to its socket and its deadline. The child shares jail-init's memory: it writes to its own stack and to its `Shared` only.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "daemon/init/jobs.h"
#include "daemon/wire/plan.h"

namespace sandboxd::init {
namespace {

// The numbers that a job finds at its exec are 0, 1 and 2; these two close by it.
constexpr int kSyncFd = 3;
constexpr int kProgramFd = 4;

[[noreturn]] void job_fails(int sync, const char* step, long code, const char* text) {
  wire::SetupFailure failure{};
  failure.code = static_cast<std::int32_t>(-code);
  copy_text(failure.step, sizeof failure.step, step);
  copy_text(failure.text, sizeof failure.text, text);
  sys::raw(SYS_write, sync, &failure, sizeof failure);
  for (;;) sys::raw(SYS_exit_group, 127);
}

// execvp(3)'s search: a name without '/' is looked for along the job's PATH; EACCES is remembered, the rest goes on.
long exec_along_path(const JobPlan& plan) {
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

void take_stdio(const Job& job) {
  if (static_cast<wire::StdioMode>(job.plan.stdio) == wire::StdioMode::kTerminal) {
    // Of the session that setsid(2) has just made, so it is nobody else's; 0: don't take it away from one.
    if (const long r = sys::raw(SYS_ioctl, job.stdio[0], TIOCSCTTY, 0); r < 0)
      job_fails(job.inner_sync, "terminal", r, "ioctl TIOCSCTTY");
  }
  // The ends may be any number above 2 here, so none is overwritten before it is used.
  for (int i = 0; i < 3; ++i) {
    if (const long r = sys::raw(SYS_dup3, job.stdio[static_cast<std::size_t>(i)], i, 0); r < 0)
      job_fails(job.inner_sync, "stdio", r, "dup3");
  }
}

void take_limits(const JobPlan& plan, int sync) {
  for (std::size_t i = 0; i < plan.rlimit_count; ++i) {
    const Rlimit& row = plan.rlimits[i];
    const rlimit limit{row.soft, row.hard};
    if (const long r = sys::raw(SYS_prlimit64, 0, row.resource, &limit, nullptr); r < 0)
      job_fails(sync, "limits", r, "setrlimit");
  }
}

// A number's old file must not be needed any more when it is overwritten, so both are moved out of the way first.
int place_descriptors(const Job& job) {
  int sync = job.inner_sync;
  int program = job.program;
  if (program == kSyncFd) {
    program = static_cast<int>(sys::raw(SYS_fcntl, program, F_DUPFD_CLOEXEC, kProgramFd + 1));
    if (program < 0) job_fails(sync, "stdio", program, "fcntl F_DUPFD_CLOEXEC");
  }
  if (sync != kSyncFd) {
    if (const long r = sys::raw(SYS_dup3, sync, kSyncFd, O_CLOEXEC); r < 0) job_fails(sync, "stdio", r, "dup3");
    sync = kSyncFd;
  }
  if (program >= 0 && program != kProgramFd) {
    if (const long r = sys::raw(SYS_dup3, program, kProgramFd, O_CLOEXEC); r < 0) job_fails(sync, "stdio", r, "dup3");
  }
  const unsigned first = static_cast<unsigned>(program >= 0 ? kProgramFd : kSyncFd) + 1;
  if (const long r = sys::raw(SYS_close_range, first, ~0U, 0U); r < 0) job_fails(sync, "close-range", r, "close_range");
  return sync;
}

void id_fails(void* context, const char* step, long code, const char* text) {
  job_fails(*static_cast<int*>(context), step, code, text);
}

}  // namespace

// The job's id, no group, no capability. NO_SETUID_FIXUP is locked, so that the capset is what drops them.
void take_job_id(const Plan& plan, void (*fails)(void*, const char*, long, const char*), void* context) {
  const std::uint32_t uid = plan.job_uid;
  const std::uint32_t gid = plan.job_gid;
  if (const long r = sys::raw(SYS_setgroups, 0L, nullptr); r < 0) fails(context, "ids", r, "setgroups");
  if (const long r = sys::raw(SYS_setresgid, gid, gid, gid); r < 0) fails(context, "ids", r, "setresgid");
  if (const long r = sys::raw(SYS_setresuid, uid, uid, uid); r < 0) fails(context, "ids", r, "setresuid");
  if (plan.keep_capabilities) return;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (const long r = sys::raw(SYS_capset, &header, &none[0]); r < 0) fails(context, "capabilities", r, "capset");
}

void job_main(void* argument) {
  auto& job = *static_cast<Job*>(argument);
  job.shared.pid.store(static_cast<int>(sys::raw(SYS_getpid)), std::memory_order_release);
  if (const long r = sys::raw(SYS_setsid); r < 0) job_fails(job.inner_sync, "session", r, "setsid");
  take_stdio(job);
  // What the jail's plan says of every job, then the exec's own; the kernel lets a hard limit only fall.
  take_limits(job.jail->job, job.inner_sync);
  take_limits(job.plan, job.inner_sync);
  int sync = place_descriptors(job);
  take_job_id(*job.jail, id_fails, &sync);
  const wire::SyncRecord ready{wire::Sync::kReady, 0, 0};
  wire::SyncRecord go{};
  if (const long r = sys::raw(SYS_write, sync, &ready, sizeof ready); r < 0) job_fails(sync, "handshake", r, "write");
  if (sys::raw(SYS_read, sync, &go, sizeof go) != sizeof go || go.what != wire::Sync::kGo)
    job_fails(sync, "handshake", -ECANCELED, "read");
  // After the id is taken: a workspace of mode 0700 is entered by its owner only.
  if (const long r = sys::raw(SYS_chdir, job.plan.workdir); r < 0) job_fails(sync, "workdir", r, job.plan.workdir);
  if (job.probe) {
    for (;;) sys::raw(SYS_exit_group, 0);
  }
  std::uint64_t none = 0;
  sys::raw(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
  job.shared.execs.store(true, std::memory_order_release);
  const long r = job.plan.program ? sys::raw(SYS_execveat, kProgramFd, "", job.plan.argv, job.plan.env, AT_EMPTY_PATH)
                                  : exec_along_path(job.plan);
  job.shared.execs.store(false, std::memory_order_release);
  job_fails(sync, "exec", r, job.plan.argv[0]);
}

}  // namespace sandboxd::init
