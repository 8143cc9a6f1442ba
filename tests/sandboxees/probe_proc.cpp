// procfs and sysfs: what tells of the host, what changes it, fresh ones of our own; and crashes.
#include <cctype>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::refused;
using probe::through;
using probe::tried;

// kallsyms and iomem have their lines for everybody, with zeros for addresses to who may not know them.
bool tells(const std::string& path, const std::string& text) {
  if (path != "/proc/kallsyms" && path != "/proc/iomem") return !text.empty();
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t from = line.find_first_not_of(' ');
    if (from == std::string::npos) continue;
    if (line.substr(from, line.find(' ', from) - from).find_first_not_of("0-") != std::string::npos) return true;
  }
  return false;
}

void read_some(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return refused(path, errno);
  char text[512] = {};
  const ssize_t got = ::read(fd, text, sizeof text);
  if (got < 0) {
    refused(path, errno);
  } else if (tells(path, {text, static_cast<std::size_t>(got)})) {
    through(path);
  } else {
    refused(path, ENODATA);
  }
  ::close(fd);
}

void list_some(const std::string& path) {
  std::error_code error;
  const std::filesystem::directory_iterator rows(path, error);
  if (error) return refused(path, error.value());
  if (rows == std::filesystem::directory_iterator()) return refused(path, ENODATA);
  through(path, rows->path().string());
}

void check_read(char**) {
  // Of an open file's own (fcntl(2)): such a lock is shown in every pid namespace.
  struct flock lock {};
  lock.l_type = F_RDLCK;
  const int own = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (::fcntl(own, F_OFD_SETLK, &lock) < 0) return refused("lock", errno);
  for (const char* path :
       {"/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
        "/proc/kmsg", "/proc/kallsyms", "/proc/iomem", "/proc/interrupts", "/proc/sysrq-trigger", "/proc/slabinfo",
        "/proc/kpagecount", "/proc/vmallocinfo", "/proc/kpageflags", "/proc/locks"}) {
    read_some(path);
  }
  for (const char* path : {"/proc/scsi", "/proc/acpi", "/proc/asound", "/sys/firmware", "/sys/devices/virtual/powercap",
                           "/sys/class", "/sys/kernel", "/sys/devices/system/cpu/cpu0/thermal_throttle",
                           "/sys/fs/selinux", "/sys/block", "/proc/tty/driver"}) {
    list_some(path);
  }
}

// Opened for writing, and nothing written: the control runs as the host's root.
void check_write(char**) {
  for (const char* path :
       {"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hotplug",
        "/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper",
        "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/sys/fs/binfmt_misc/register",
        "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control", "/sys/fs/cgroup/cgroup.kill",
        "/sys/fs/cgroup/cgroup.freeze", "/proc/1/oom_score_adj", "/proc/sys/user/max_user_namespaces",
        "/sys/devices/system/cpu/cpu0/online", "/sys/devices/system/cpu/smt/control"}) {
    const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
    tried(path, fd);
    if (fd >= 0) ::close(fd);
  }
}

// Every file there is below the tops that act on the whole host.
void check_write_all(char**) {
  unsigned files = 0;
  for (const char* top : {"/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/sys"}) {
    std::error_code error;
    auto rows = std::filesystem::recursive_directory_iterator(
        top, std::filesystem::directory_options::skip_permission_denied, error);
    for (; !error && rows != std::filesystem::recursive_directory_iterator(); rows.increment(error)) {
      if (!rows->is_regular_file(error)) continue;
      ++files;
      const int fd = ::open(rows->path().c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
      struct stat info {};  // a mask may be /dev/null, which takes everything
      if (fd >= 0 && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) through(rows->path().string());
      if (fd >= 0) ::close(fd);
    }
  }
  std::printf("files %u\n", files);
  refused("rest", EACCES);
}

void mount_fresh(const char* type) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool mounted = ::mount("none", "/tmp", type, 0, nullptr) == 0;
    ::_exit(mounted ? 0 : errno);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return through(type);
  refused(type, WEXITSTATUS(status));
}

// mount_too_revealing(): in a user namespace of our own.
void check_fresh(char**) {
  if (!tried("unshare", ::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET))) {
    mount_fresh("proc");
    return mount_fresh("sysfs");
  }
  mount_fresh("proc");
  mount_fresh("sysfs");
}

// ARGUMENT: "keep", or "lower": first takes the soft limit to 0, where the kernel would start the helper again.
void check_crash(char** arguments) {
  if (std::string_view(arguments[0]) == "lower") {
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = 0;
    tried("setrlimit", ::setrlimit(RLIMIT_CORE, &limit));
  }
  std::fflush(stdout);
  ::raise(SIGSEGV);
}

// prctl and three ways to the limit: setrlimit, prlimit64 on ourselves by 0 and by pid.
void check_core_limit(char**) {
  rlimit limit{0, 1};
  struct Old {
    unsigned long soft, hard;
  } zero{0, 1};
#if defined(SYS_setrlimit)
  tried("setrlimit", ::syscall(SYS_setrlimit, RLIMIT_CORE, &zero));
#else
  (void)zero;
#endif
  tried("prlimit64", ::syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, nullptr));
  tried("prlimit64-pid", ::syscall(SYS_prlimit64, ::getpid(), RLIMIT_CORE, &limit, nullptr));
  rlimit now{};
  ::getrlimit(RLIMIT_CORE, &now);
  std::printf("soft %llu hard %llu\n", static_cast<unsigned long long>(now.rlim_cur),
              static_cast<unsigned long long>(now.rlim_max));
}

constexpr probe::Check kChecks[] = {
    {"read", 0, check_read},   {"write", 0, check_write}, {"write-all", 0, check_write_all},
    {"fresh", 0, check_fresh}, {"crash", 1, check_crash}, {"core-limit", 0, check_core_limit},
};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
