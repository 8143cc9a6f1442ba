#include "daemon/main/programs.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/listen_fds.h"
#include "base/text.h"
#include "daemon/confine/capabilities.h"

namespace sandboxd::main {
namespace {

struct Kept {
  int capability;
  std::string_view why;
};
// What the launcher may have at most; it drops what only its own start needs. Everything else leaves its bounding set here, so
// that nothing below it can ever get it.
constexpr std::array kLauncherBounding = {
    Kept{CAP_SYS_ADMIN, "namespaces, mounts, id maps of mounts"},
    Kept{CAP_NET_ADMIN, "lo in a jail's network namespace"},
    Kept{CAP_SETUID, "uid maps of jails; profilec's id"},
    Kept{CAP_SETGID, "gid maps of jails; profilec's id"},
    Kept{CAP_SYS_CHROOT, "setns(2) to mount namespaces"},
    Kept{CAP_SYS_PTRACE, "reading back what is in force in a jail"},
    Kept{CAP_MKNOD, "the device nodes of jails, once at its start"},
    Kept{CAP_DAC_OVERRIDE, "a directory in the root of a cgroup2 mount, once at its start"},
    Kept{CAP_SETPCAP, "giving up the three that only its start needs"},
};

Status limit_launcher() {
  for (int capability = 0; capability < 64; ++capability) {
    if (std::ranges::find(kLauncherBounding, capability, &Kept::capability) != kLauncherBounding.end()) continue;
    const int known = ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (known < 0) break;  // past the kernel's last one
    if (known == 1 && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
      return sys_error("prctl PR_CAPBSET_DROP {}", capability);
  }
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
    return sys_error("prctl PR_CAP_AMBIENT_CLEAR_ALL");
  if (::setgroups(0, nullptr) < 0) return sys_error("setgroups");
  if (::setresgid(0, 0, 0) < 0) return sys_error("setresgid 0");
  return set_no_new_privs();
}

// The log is our standard error; nobody reads a terminal.
Status redirect() {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return sys_error("open '/dev/null'");
  if (::dup2(null.get(), 0) < 0 || ::dup2(2, 1) < 0) return sys_error("dup2");
  return {};
}

Status set_environment(const Settings& settings, int ready) {
  if (::clearenv() != 0) return make_error("clearenv");
  const std::pair<const char*, std::string> variables[] = {
      {"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"},
      {"LANG", "C.UTF-8"},
      {"SANDBOXD_RUNTIME_DIR", settings.runtime_dir},
      {"SANDBOXD_STATE_DIR", settings.state_dir},
      {"SANDBOXD_CONFIG", settings.config},
      {"SANDBOXD_SLICE_FIRST", fmt::format("{}", settings.slice_first)},
      {"SANDBOXD_NUMBERS", fmt::format("{}", settings.numbers)},
      {"SANDBOXD_PREFIX", settings.prefix},
  };
  for (const auto& [name, value] : variables) {
    if (::setenv(name, value.c_str(), 1) < 0) return sys_error("setenv {}", name);
  }
  if (ready >= 0 && ::setenv("SANDBOXD_READY_FD", fmt::format("{}", ready).c_str(), 1) < 0)
    return sys_error("setenv SANDBOXD_READY_FD");
  return {};
}

// As many descriptors as the hard limit gives: a jail takes up to twenty of sandboxd's.
Status raise_nofile() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return sys_error("getrlimit RLIMIT_NOFILE");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) return sys_error("setrlimit RLIMIT_NOFILE");
  return {};
}

std::vector<NamedFd> sockets_of(const Program& program, const Places& places) {
  std::vector<NamedFd> fds;
  for (const std::string_view name : program.sockets) {
    if (!name.empty()) fds.push_back({std::string(name), places.socket(name)});
  }
  return fds;
}

// Everything above what was just placed is closed, but for the program itself.
Status exec(const Program& program, int file, int above) {
  const UniqueFd image(::fcntl(file, F_DUPFD_CLOEXEC, above));
  if (!image) return sys_error("fcntl F_DUPFD_CLOEXEC");
  if (image.get() > above && ::syscall(SYS_close_range, above, image.get() - 1, 0) < 0) return sys_error("close_range");
  if (::syscall(SYS_close_range, image.get() + 1, ~0U, 0) < 0) return sys_error("close_range");
  std::string name(program.name);
  char* argv[] = {name.data(), nullptr};
  ::syscall(SYS_execveat, image.get(), "", argv, environ, AT_EMPTY_PATH);
  return sys_error("execveat {}", program.name);
}

Status become(const Program& program, const Settings& settings, const Places& places, int ready, int file,
              pid_t parent) {
  TRY(redirect());
  if (::setsid() < 0) return sys_error("setsid");
  ::umask(022);
  const std::vector<NamedFd> sockets = sockets_of(program, places);
  int next = 3 + static_cast<int>(sockets.size());
  // What is still needed must not lie where the sockets go.
  const UniqueFd image(::fcntl(file, F_DUPFD_CLOEXEC, 100));
  const UniqueFd pipe(ready < 0 ? -1 : ::fcntl(ready, F_DUPFD_CLOEXEC, 100));
  if (!image || (ready >= 0 && !pipe)) return sys_error("fcntl F_DUPFD_CLOEXEC");
  TRY(set_environment(settings, ready < 0 ? -1 : next));
  TRY(give_listen_fds(sockets));
  if (ready >= 0 && ::dup2(pipe.get(), next++) < 0) return sys_error("dup2");
  TRY(raise_nofile());
  if (program.root) {
    TRY(limit_launcher());
  } else {
    const uid_t id = own_id(settings.slice_first, program.id);
    TRY(become_unprivileged(id, id));
  }
  // After the ids, which clear it. The launcher ends its jails first.
  if (::prctl(PR_SET_PDEATHSIG, program.root ? SIGTERM : SIGKILL, 0, 0, 0) < 0)
    return sys_error("prctl PR_SET_PDEATHSIG");
  if (::getppid() != parent) return make_error("the parent has gone");
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) < 0) return sys_error("sigprocmask");
  return exec(program, image.get(), next);
}

Result<std::string> folder_of(const std::string& directory, std::string_view name) {
  for (const std::string& folder : {directory, directory.substr(0, directory.rfind('/')) + "/libexec/sandboxd"}) {
    struct stat info {};
    if (::lstat((folder + "/" + std::string(name)).c_str(), &info) == 0) return folder;
  }
  return sys_error_code(ENOENT, "program {} is neither in {} nor in ../libexec/sandboxd", quoted(name),
                        quoted(directory));
}

}  // namespace

Result<std::string> own_directory() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return sys_error("readlink '/proc/self/exe'");
  const std::string text(path, static_cast<std::size_t>(size));
  return text.substr(0, text.rfind('/'));
}

std::string prefix_of(const std::string& own_directory) { return own_directory.substr(0, own_directory.rfind('/')); }

Result<std::string> path_of_program(const std::string& own_directory, std::string_view name) {
  TRY_ASSIGN(const std::string folder, folder_of(own_directory, name));
  return folder + "/" + std::string(name);
}

Result<UniqueFd> open_program(const std::string& own_directory, std::string_view name) {
  TRY_ASSIGN(const std::string folder, folder_of(own_directory, name));
  const UniqueFd directory(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return sys_error("open {}", quoted(folder));
  TRY(check_root_owned(directory.get(), folder));
  UniqueFd program(::openat(directory.get(), std::string(name).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!program) return sys_error("open {}", quoted(name));
  TRY(check_root_owned(program.get(), folder + "/" + std::string(name)));
  return program;
}

Result<UniquePid> start_program(const Program& program, const Settings& settings, const Places& places, int ready) {
  TRY_ASSIGN(const UniqueFd file, open_program(settings.own_directory, program.name));
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("fork {}", program.name);
  if (pid == 0) {
    const Status status = become(program, settings, places, ready, file.get(), parent);
    const std::string text = fmt::format("{}: {}\n", program.name, status.error().message());
    (void)write_all(2, text);
    ::_exit(127);
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int code = errno;
  UniquePid child(pid, std::move(pidfd));
  if (!child.pidfd()) return sys_error_code(code, "pidfd_open");
  return child;
}

}  // namespace sandboxd::main
