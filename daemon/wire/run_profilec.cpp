#include "daemon/wire/run_profilec.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/socket.h"
#include "base/text.h"
#include "daemon/wire/codec.h"

namespace sandboxd::wire {
namespace {

constexpr int kAnswerFd = 3;
constexpr int kProgramFd = 4;

// Only root may have had a hand in the file, or could put another in its place.
Result<UniqueFd> open_program(const std::string& path) {
  UniqueFd program(::open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  if (!program) return sys_error("open {}", quoted(path));
  TRY(check_root_owned(program.get(), path));
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return sys_error_code(EINVAL, "program {} without a directory", quoted(path));
  const std::string folder = path.substr(0, std::max<std::size_t>(slash, 1));
  const UniqueFd directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return sys_error("open {}", quoted(folder));
  TRY(check_root_owned(directory.get(), folder));
  return program;
}

Status place_descriptors(int answer, int program) {
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return sys_error("open '/dev/null'");
  // First above the places that will be written over.
  const UniqueFd high_answer(::fcntl(answer, F_DUPFD_CLOEXEC, 10));
  const UniqueFd high_program(::fcntl(program, F_DUPFD_CLOEXEC, 10));
  if (!high_answer || !high_program) return sys_error("fcntl F_DUPFD_CLOEXEC");
  if (::dup2(null.get(), 0) < 0 || ::dup2(2, 1) < 0 || ::dup2(high_answer.get(), kAnswerFd) < 0 ||
      ::dup3(high_program.get(), kProgramFd, O_CLOEXEC) < 0) {
    return sys_error("dup2");
  }
  return {};
}

// Whatever the caller's securebits and bounding set are: no_new_privs and empty sets leave nothing to gain at exec.
Status drop_everything(std::uint32_t id) {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return sys_error("prctl PR_CAP_AMBIENT_CLEAR_ALL");
  if (::setgroups(0, nullptr) < 0) return sys_error("setgroups");
  if (::setresgid(id, id, id) < 0) return sys_error("setresgid {}", id);
  if (::setresuid(id, id, id) < 0) return sys_error("setresuid {}", id);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) < 0) return sys_error("capset");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return sys_error("prctl PR_SET_NO_NEW_PRIVS");
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
    return sys_error("prctl PR_SET_PDEATHSIG");  // after the ids: they clear it
  return {};
}

Status exec_profilec(const ProfilecRun& run, int answer, int program, pid_t parent) {
  TRY(place_descriptors(answer, program));
  TRY(drop_everything(run.id));
  if (::getppid() != parent) return make_error("the caller has gone");
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) < 0) return sys_error("sigprocmask");
  std::string prefix = "SANDBOXD_PREFIX=" + run.prefix;
  std::string name = "sandboxd-profilec";
  std::string option = "--config";
  std::string config = run.config;
  std::array<char*, 4> argv = {name.data(), config.empty() ? nullptr : option.data(), config.data(), nullptr};
  std::array<char*, 2> env = {prefix.data(), nullptr};
  if (::syscall(SYS_close_range, kProgramFd + 1, ~0U, 0) < 0) return sys_error("close_range");
  ::syscall(SYS_execveat, kProgramFd, "", argv.data(), env.data(), AT_EMPTY_PATH);
  return sys_error("execveat {}", quoted(run.program));
}

[[noreturn]] void be_profilec(const ProfilecRun& run, int answer, int program, pid_t parent) {
  const Status status = exec_profilec(run, answer, program, parent);
  const std::string text = "sandboxd-profilec: " + status.error().message() + "\n";
  (void)write_all(2, text);
  ::_exit(127);
}

Status await(UniquePid& child, std::uint64_t deadline) {
  TRY_ASSIGN(const bool ended, wait_readable(child.pidfd().get(), deadline));
  if (!ended) return sys_error_code(ETIMEDOUT, "run sandboxd-profilec");
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(child.pidfd().get()), &info, WEXITED) < 0) return sys_error("waitid");
  child.release();
  if (info.si_code == CLD_EXITED && info.si_status == 0) return {};
  if (info.si_code == CLD_EXITED)
    return make_error("sandboxd-profilec refused the configuration (exit status {})", info.si_status);
  return make_error("sandboxd-profilec was ended by signal {}", info.si_status);
}

}  // namespace

Result<ProfileSet> read_profile_set(int memfd) {
  TRY_ASSIGN(const std::vector<std::uint8_t> bytes, read_sealed(memfd, kMaxProfileSet).context("profile set"));
  ProfileSet set;
  if (!decode(bytes, set)) return sys_error_code(EPROTO, "profile set of {} bytes: malformed", bytes.size());
  if (set.profiles.empty()) return sys_error_code(EPROTO, "profile set without a profile");
  if (hash_of(set) != set.hash) return sys_error_code(EPROTO, "profile set: its hash is not of what it holds");
  for (const Profile& profile : set.profiles) {
    if (hash_of(profile) != profile.hash)
      return sys_error_code(EPROTO, "profile {}: its hash is not of what it holds", quoted(profile.name));
    if (profile.filter.empty() || profile.filter.size() % 8 != 0) {
      return sys_error_code(EPROTO, "profile {}: filter of {} bytes", quoted(profile.name), profile.filter.size());
    }
  }
  return set;
}

Result<LoadedProfiles> run_profilec(const ProfilecRun& run) {
  if (run.id == 0) return sys_error_code(EINVAL, "run sandboxd-profilec as uid 0");
  TRY_ASSIGN(const UniqueFd program, open_program(run.program));
  LoadedProfiles loaded;
  loaded.memfd.reset(::memfd_create("profiles", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!loaded.memfd) return sys_error("memfd_create profiles");
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("fork");
  if (pid == 0) be_profilec(run, loaded.memfd.get(), program.get(), parent);
  UniqueFd pidfd(
      static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));  // ours and not reaped: the pid can't be another's
  const int code = errno;
  UniquePid child(pid, std::move(pidfd));
  if (!child.pidfd()) return sys_error_code(code, "pidfd_open");
  TRY(await(child, run.deadline));
  TRY_ASSIGN(loaded.set, read_profile_set(loaded.memfd.get()));
  return loaded;
}

}  // namespace sandboxd::wire
