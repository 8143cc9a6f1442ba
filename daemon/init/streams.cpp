// A job's standard streams. What can be reopened through /proc/self/fd (a pipe, a terminal) belongs to the job's id, so it is
// made as that id; the outer ends leave for sandboxd and are kept nowhere here.
#include <cerrno>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/sys.h"
#include "daemon/init/jobs.h"
#include "daemon/wire/plan.h"

namespace sandboxd::init {
namespace {

// While it lives, files are made as the job's id. setfsuid(2) tells no error, so the id is read back.
class AsJob {
 public:
  explicit AsJob(const Plan& plan) {
    sys::raw(SYS_setfsgid, plan.job_gid);
    sys::raw(SYS_setfsuid, plan.job_uid);
    const long uid = sys::raw(SYS_setfsuid, 0xFFFFFFFFU);  // invalid: changes nothing, tells what is in force
    const long gid = sys::raw(SYS_setfsgid, 0xFFFFFFFFU);
    taken_ = static_cast<std::uint32_t>(uid) == plan.job_uid && static_cast<std::uint32_t>(gid) == plan.job_gid;
  }
  ~AsJob() {
    sys::raw(SYS_setfsuid, sys::raw(SYS_geteuid));
    sys::raw(SYS_setfsgid, sys::raw(SYS_getegid));
  }
  AsJob(const AsJob&) = delete;
  AsJob& operator=(const AsJob&) = delete;
  [[nodiscard]] bool taken() const { return taken_; }

 private:
  bool taken_ = false;
};

Outcome make_pipes(Job& job, Streams& streams) {
  const AsJob as_job(*job.jail);
  if (!as_job.taken()) return {-EPERM, "setfsuid"};
  const std::size_t wanted = job.plan.merge_stderr ? 2 : 3;
  for (std::size_t i = 0; i < wanted; ++i) {
    int ends[2] = {-1, -1};
    if (const long r = sys::raw(SYS_pipe2, &ends[0], O_CLOEXEC); r < 0) return {r, "pipe2"};
    job.stdio[i] = i == 0 ? ends[0] : ends[1];
    streams.outer[i] = i == 0 ? ends[1] : ends[0];
    streams.count = i + 1;
  }
  if (job.plan.merge_stderr) job.stdio[2] = job.stdio[1];
  return {};
}

// The jail's own devpts. The other side is had from the master, not by its name (TIOCGPTPEER, Linux 4.13).
Outcome make_terminal(Job& job, Streams& streams) {
  const AsJob as_job(*job.jail);
  if (!as_job.taken()) return {-EPERM, "setfsuid"};
  const long master = sys::raw(SYS_openat, AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0) return {master, "open '/dev/pts/ptmx'"};
  streams.outer[0] = static_cast<int>(master);
  streams.count = 1;
  int locked = 0;
  if (const long r = sys::raw(SYS_ioctl, master, TIOCSPTLCK, &locked); r < 0) return {r, "ioctl TIOCSPTLCK"};
  const winsize size{job.plan.rows, job.plan.columns, 0, 0};
  if (const long r = sys::raw(SYS_ioctl, master, TIOCSWINSZ, &size); r < 0) return {r, "ioctl TIOCSWINSZ"};
  const long peer = sys::raw(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (peer < 0) return {peer, "ioctl TIOCGPTPEER"};
  job.stdio = {static_cast<int>(peer), static_cast<int>(peer), static_cast<int>(peer)};
  return {};
}

Outcome open_null(Job& job) {
  const long null = sys::raw(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return {null, "open '/dev/null'"};
  job.stdio = {static_cast<int>(null), static_cast<int>(null), static_cast<int>(null)};
  return {};
}

}  // namespace

Outcome make_streams(Job& job, Streams& streams) {
  switch (static_cast<wire::StdioMode>(job.plan.stdio)) {
    case wire::StdioMode::kPipes: return make_pipes(job, streams);
    case wire::StdioMode::kTerminal: return make_terminal(job, streams);
    case wire::StdioMode::kNull: return open_null(job);
    case wire::StdioMode::kInherit:
      // A client's own come with the launch, so there are none for an exec.
      if (job.number != wire::kFirstJob) break;
      for (std::size_t i = 0; i < 3; ++i) job.stdio[i] = wire::kInitStdioFd + static_cast<int>(i);
      return {};
  }
  return {-EINVAL, "the plan's stdio"};
}

void close_streams(Streams& streams) {
  for (std::size_t i = 0; i < streams.count; ++i) sys::raw(SYS_close, streams.outer[i]);
  streams.count = 0;
}

}  // namespace sandboxd::init
