// What two jails could tell each other by, or take from all others: marks on files that both see, cgroup files, counts of the whole
// host. And the filter under load: threads, filters of the job's own, signals, arguments that change meanwhile.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::refused;
using probe::through;
using probe::tried;

// Tried on several files: it got through when it did on any of them.
void on_any(char** files, const char* name, const std::function<long(const char*, int)>& act) {
  int code = ENOENT;
  for (; *files != nullptr; ++files) {
    const int fd = ::open(*files, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) continue;
    const long result = act(*files, fd);
    code = errno;
    ::close(fd);
    if (result >= 0) return through(name, *files);
  }
  refused(name, code);
}

long set_hint(int fd, int request) {
  std::uint64_t hint = 3;  // RWH_WRITE_LIFE_MEDIUM
  return ::fcntl(fd, request, &hint);
}

long read_moves_access_time(const char* path, int fd) {
  struct stat before {
  }, after{};
  char byte = 0;
  ::stat(path, &before);
  if (S_ISDIR(before.st_mode) || ::read(fd, &byte, 1) < 0) return -1;
  ::stat(path, &after);
  errno = EROFS;
  return before.st_atim.tv_sec == after.st_atim.tv_sec && before.st_atim.tv_nsec == after.st_atim.tv_nsec ? -1 : 0;
}

// ARGUMENTS: files and directories that other jails see too. What would leave a mark on one of them.
void check_mark(char** files) {
  timespec times[2] = {{1, 0}, {1, 0}};
  on_any(files, "utimes", [&](const char* path, int) { return ::utimensat(AT_FDCWD, path, &times[0], 0); });
  on_any(files, "access-time", [](const char* path, int fd) { return read_moves_access_time(path, fd); });
  on_any(files, "utimes-now", [](const char* path, int) { return ::utimensat(AT_FDCWD, path, nullptr, 0); });
  on_any(files, "chmod", [](const char* path, int) { return ::chmod(path, 0755); });
  on_any(files, "chown", [](const char* path, int) { return ::chown(path, ::getuid(), ::getgid()); });
  on_any(files, "setxattr", [](const char* path, int) { return ::setxattr(path, "user.mark", "1", 1, 0); });
  on_any(files, "set-flags", [](const char*, int fd) {
    long flags = FS_NODUMP_FL;
    return static_cast<long>(::ioctl(fd, FS_IOC_SETFLAGS, &flags));
  });
  on_any(files, "lease", [](const char*, int fd) { return static_cast<long>(::fcntl(fd, F_SETLEASE, F_RDLCK)); });
  on_any(files, "write-hint", [](const char*, int fd) { return set_hint(fd, F_SET_RW_HINT); });
  on_any(files, "file-write-hint", [](const char*, int fd) { return set_hint(fd, F_SET_FILE_RW_HINT); });
  on_any(files, "truncate", [](const char* path, int) { return ::truncate(path, 0); });
  on_any(files, "link", [](const char* path, int) {
    const std::string link = "/tmp/mark-" + std::to_string(::getpid());
    const long made = ::link(path, link.c_str());
    if (made == 0) ::unlink(link.c_str());
    return made;
  });
}

// ARGUMENT: a file that another jail sees too. Holds both kinds of lock on it until it is killed.
void check_hold(char** arguments) {
  const int fd = ::open(arguments[0], O_RDONLY | O_CLOEXEC);
  struct flock lock {};
  lock.l_type = F_RDLCK;
  tried("flock", ::flock(fd, LOCK_EX | LOCK_NB));
  tried("ofd-lock", ::fcntl(fd, F_OFD_SETLK, &lock));
  for (;;) ::pause();
}

// ARGUMENT: as for "hold". What can be told here of what another one does with it: through means seen.
void check_notice(char** arguments) {
  const int fd = ::open(arguments[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) return refused("open", errno);
  ::flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK ? through("flock") : refused("flock", ENODATA);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  const int asked = ::fcntl(fd, F_OFD_GETLK, &lock);
  asked == 0 && lock.l_type != F_UNLCK ? through("ofd-lock") : refused("ofd-lock", asked < 0 ? errno : ENODATA);
  std::ifstream table("/proc/locks");
  std::string line;
  std::getline(table, line).good() ? through("table-of-locks") : refused("table-of-locks", ENODATA);
  tried("watch-by-signal", ::fcntl(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC), F_NOTIFY, DN_DELETE));
  const int events = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (events < 0 || ::inotify_add_watch(events, arguments[0], IN_OPEN) < 0) return refused("inotify", errno);
  std::printf("watching\n");
  std::fflush(stdout);
  pollfd one{events, POLLIN, 0};
  ::poll(&one, 1, 30'000) == 1 ? through("inotify") : refused("inotify", ENODATA);
}

void try_cgroup_file(const std::string& directory, const char* name) {
  const int fd = ::open((directory + "/" + name).c_str(), O_WRONLY | O_CLOEXEC);
  tried(name, fd);
  if (fd >= 0) ::close(fd);
}

void try_cgroup_made(const char* name, const std::string& path) {
  if (tried(name, ::mkdir(path.c_str(), 0755))) ::rmdir(path.c_str());
}

// ARGUMENT: a cgroup's directory, one's own.
void check_cgroup(char** arguments) {
  const std::string own = arguments[0];
  for (const char* file : {"cgroup.procs",
                           "cgroup.threads",
                           "cgroup.subtree_control",
                           "cgroup.freeze",
                           "cgroup.kill",
                           "cgroup.type",
                           "cgroup.max.depth",
                           "cgroup.max.descendants",
                           "cgroup.pressure",
                           "memory.max",
                           "memory.high",
                           "memory.oom.group",
                           "memory.reclaim",
                           "pids.max",
                           "cpu.max",
                           "cpu.weight",
                           "io.max",
                           "cpuset.cpus",
                           "notify_on_release",
                           "release_agent",
                           "../cgroup.procs"}) {
    try_cgroup_file(own, file);
  }
  try_cgroup_made("below", own + "/below");
  try_cgroup_made("beside", own + "/../beside-" + std::to_string(::getpid()));
  tried("chmod", ::chmod((own + "/cgroup.procs").c_str(), 0666));
  tried("setxattr", ::setxattr(own.c_str(), "user.mark", "1", 1, 0));
}

void check_counts(char**) {
  aio_context_t context = 0;
  tried("io_setup", ::syscall(SYS_io_setup, 1, &context));
}

int seccomp(unsigned long flags, unsigned short code, unsigned value) {
  sock_filter row{code, 0, 0, value};
  const sock_fprog program{1, &row};
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

// In a child, whose end takes the filter along.
void in_child(const char* name, const std::function<long()>& act) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(act() >= 0 ? 0 : errno);
  int status = 0;
  ::waitpid(child, &status, 0);
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
  tried(name, errno == 0 ? 0 : -1);
}

// A call that every filter refuses, and that changes nothing but the caller.
long call_that_is_refused() { return ::personality(ADDR_NO_RANDOMIZE); }

bool is_filtered(const std::string& status_file) {
  std::ifstream lines(status_file);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("Seccomp:", 0) == 0) return line.back() == '2';
  }
  return false;
}

void check_threads(char**) {
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  constexpr unsigned short kReturn = BPF_RET | BPF_K;
  constexpr unsigned long kListener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  const auto listen = [](unsigned long flags) { return [=] { return seccomp(flags, kReturn, SECCOMP_RET_ALLOW); }; };
  in_child("listener", listen(kListener));
  in_child("listener-high-bits", listen(kListener | 1UL << 32));
  in_child("listener-tsync", listen(kListener | SECCOMP_FILTER_FLAG_TSYNC | 1UL << 4 /* TSYNC_ESRCH */));
  in_child("listener-killable", listen(kListener | 1UL << 5 /* WAIT_KILLABLE_RECV */));
  in_child("under-an-own-filter", [] {
    if (seccomp(SECCOMP_FILTER_FLAG_TSYNC, kReturn, SECCOMP_RET_ALLOW) < 0) return -1L;
    return call_that_is_refused();
  });
  in_child("under-an-own-filter-that-asks", [] {
    if (seccomp(0, kReturn, SECCOMP_RET_LOG) < 0) return -1L;
    return call_that_is_refused();
  });
  bool of_thread = true, of_child = true;
  long called = -1;
  std::thread([&] {
    of_thread = is_filtered("/proc/self/task/" + std::to_string(::syscall(SYS_gettid)) + "/status");
    const pid_t child = ::fork();
    if (child == 0) ::_exit(is_filtered("/proc/self/status") ? 0 : 1);
    int status = 0;
    ::waitpid(child, &status, 0);
    of_child = status == 0;
    called = call_that_is_refused();
  }).join();
  of_thread ? refused("thread-without-filter", EPERM) : through("thread-without-filter");
  of_child ? refused("child-of-thread-without-filter", EPERM) : through("child-of-thread-without-filter");
  tried("call-of-a-thread", called);
}

// clone3's flags lie in memory: one thread changes them while another calls. Outside, some calls make a user namespace.
void check_rewrite(char**) {
  std::atomic<bool> over = false;
  clone_args args{};
  args.exit_signal = SIGCHLD;
  std::thread changer([&] {
    while (!over) {
      __atomic_store_n(&args.flags, CLONE_NEWUSER, __ATOMIC_RELAXED);
      __atomic_store_n(&args.flags, 0, __ATOMIC_RELAXED);
    }
  });
  long made = 0;
  int code = 0;
  for (int i = 0; i < 100; ++i) {
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) ::_exit(0);
    if (pid < 0) code = errno;
    if (pid > 0) ++made;
    if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
  }
  over = true;
  changer.join();
  made > 0 ? through("clone3", std::to_string(made)) : refused("clone3", code);
}

// Calls that are refused, under a storm of signals; children that are killed in the middle of one; then it is refused as before.
void check_storm(char**) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGALRM, &action, nullptr);
  const itimerval often{{0, 100}, {0, 100}};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  std::map<int, int> answers;
  for (int i = 0; i < 400; ++i) ++answers[call_that_is_refused() < 0 ? errno : 0];
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  for (int i = 0; i < 15; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) {
        if (call_that_is_refused() >= 0) ::_exit(7);
      }
    }
    ::usleep(static_cast<useconds_t>(i * 100));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) ++answers[0];
  }
  for (const auto& [code, count] : answers) std::printf("answer %d %d\n", code, count);
  tried("in-the-storm", answers.count(0) != 0 ? 0 : -1);
  tried("after-it", call_that_is_refused());
}

int receive_descriptor(int socket) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &control[0];
  message.msg_controllen = sizeof control;
  if (::recvmsg(socket, &message, MSG_CMSG_CLOEXEC) < 0) return -1;
  const cmsghdr* head = CMSG_FIRSTHDR(&message);
  errno = EBADF;
  if (head == nullptr || head->cmsg_type != SCM_RIGHTS) return -1;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
  return fd;
}

// ARGUMENTS: a socket whose other end sends a directory of the host's; a file below that. Both must be named for "received".
void check_receive(char** arguments) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::strncpy(name.sun_path, arguments[0], sizeof name.sun_path - 1);
  if (socket < 0 || ::connect(socket, reinterpret_cast<sockaddr*>(&name), sizeof name) < 0)
    return refused("connect", errno);
  const int directory = receive_descriptor(socket);
  if (directory < 0) return refused("receive", errno);
  std::printf("received\n");
  tried("list", ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  tried("read", ::openat(directory, arguments[1], O_RDONLY | O_CLOEXEC));
  tried("up", ::openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  tried("make", ::openat(directory, "made-in-a-jail", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  const int entered = ::fchdir(directory);
  tried("read-from-it", entered < 0 ? -1 : ::open(arguments[1], O_RDONLY | O_CLOEXEC));
}

constexpr probe::Check kChecks[] = {
    {"mark", 1, check_mark},       {"hold", 1, check_hold},     {"notice", 1, check_notice},
    {"cgroup", 1, check_cgroup},   {"counts", 0, check_counts}, {"threads", 0, check_threads},
    {"rewrite", 0, check_rewrite}, {"storm", 0, check_storm},   {"receive", 2, check_receive},
};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
