// Privileges: capabilities and groups, namespaces, the jail's first process, file handles, keyrings.
#include <csignal>
#include <cstdlib>
#include <fstream>

#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::refused;
using probe::through;
using probe::tried;

// Each capability set and the groups get through when they hold something, no_new_privs and the filter when they are missing.
void check_status(char**) {
  const auto is_zero = [](const std::string& value) { return value.find_first_not_of('0') == std::string::npos; };
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find(':'));
    const std::size_t at = line.find_first_not_of(" \t", name.size() + 1);
    const std::string value = at == std::string::npos ? "" : line.substr(at);
    const bool wanted = name.rfind("Cap", 0) == 0 || name == "Groups" || name == "NoNewPrivs" || name == "Seccomp";
    const bool held = (name.rfind("Cap", 0) == 0 && !is_zero(value)) || (name == "Groups" && !value.empty()) ||
                      (name == "NoNewPrivs" && value != "1") || (name == "Seccomp" && value != "2");
    if (held) through(name, value);
    if (wanted && !held) refused(name, ENODATA);
  }
  std::printf("euid %u\n", ::geteuid());
}

void try_clone(const char* name, unsigned long flags) {
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, 0L, 0L, 0L, 0L);
  if (pid == 0) ::_exit(0);
  tried(name, pid);
  if (pid > 0) ::waitpid(static_cast<pid_t>(pid), nullptr, 0);
}

struct Flag {
  const char* name;
  unsigned long flag;
};
constexpr Flag kNamespaces[] = {{"user", CLONE_NEWUSER},     {"mnt", CLONE_NEWNS},   {"pid", CLONE_NEWPID},
                                {"net", CLONE_NEWNET},       {"ipc", CLONE_NEWIPC},  {"uts", CLONE_NEWUTS},
                                {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};

void check_namespaces(char**) {
  try_clone("clone-user", CLONE_NEWUSER);
  for (const Flag& row : kNamespaces) {
    if (row.flag != CLONE_NEWTIME) try_clone((std::string("clone-user+") + row.name).c_str(), CLONE_NEWUSER | row.flag);
  }
  clone_args args{};
  args.exit_signal = SIGCHLD;
  args.flags = CLONE_NEWUSER;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) ::_exit(0);
  tried("clone3-user", pid);
  for (const Flag& row : kNamespaces) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::unshare(static_cast<int>(CLONE_NEWUSER | row.flag)) == 0 ? 0 : errno);
    int status = 0;
    ::waitpid(child, &status, 0);
    errno = WEXITSTATUS(status);
    tried(std::string("unshare-user+") + row.name, errno == 0 ? 0 : -1);
  }
  const int own = ::open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
  // EINVAL is the kernel's own answer to joining one's own user namespace: it was asked.
  const long joined = ::syscall(SYS_setns, own, 0);
  if (joined < 0 && errno == EINVAL)
    through("setns", "EINVAL");
  else
    tried("setns", joined);
}

int g_target = 0;

std::string target_path(const char* name) { return "/proc/" + std::to_string(g_target) + "/" + name; }

void attack_memory() {
  for (const char* name :
       {"mem", "environ", "maps", "auxv", "fd", "ns/mnt", "exe", "root", "cwd", "syscall", "io", "stack"}) {
    tried(name, ::open(target_path(name).c_str(), O_RDONLY | O_CLOEXEC));
  }
  tried("mem-write", ::open(target_path("mem").c_str(), O_RDWR | O_CLOEXEC));
  char byte = 0;
  iovec here{&byte, 1};
  iovec there{reinterpret_cast<void*>(check_status), 1};
  tried("process_vm_readv", ::syscall(SYS_process_vm_readv, g_target, &here, 1, &there, 1, 0));
  tried("process_vm_writev", ::syscall(SYS_process_vm_writev, g_target, &here, 0, &there, 0, 0));
  tried("kcmp", ::syscall(SYS_kcmp, ::getpid(), g_target, 2, 0, 0));
}

void attack_control() {
  rlimit limit{0, 0};
  tried("prlimit-read", ::syscall(SYS_prlimit64, g_target, RLIMIT_NOFILE, nullptr, &limit));
  rlimit none{0, 0};
  tried("prlimit-nofile", ::syscall(SYS_prlimit64, g_target, RLIMIT_NOFILE, &none, nullptr));
  tried("setpriority", ::setpriority(PRIO_PROCESS, static_cast<id_t>(g_target), 19));
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(0, &cpus);
  tried("sched_setaffinity", ::sched_setaffinity(g_target, sizeof cpus, &cpus));
  tried("ioprio_set", ::syscall(SYS_ioprio_set, 1, g_target, 3 << 13));
  const long pidfd = ::syscall(SYS_pidfd_open, g_target, 0);
  if (pidfd >= 0) {
    tried("pidfd_getfd", ::syscall(SYS_pidfd_getfd, pidfd, 0, 0));
    tried("pidfd_send_signal", ::syscall(SYS_pidfd_send_signal, pidfd, SIGCONT, nullptr, 0));
  }
  tried("tgkill", ::syscall(SYS_tgkill, g_target, g_target, SIGCONT));
  tried("kill", ::kill(g_target, SIGCONT));
  tried("ptrace-seize", ::ptrace(PTRACE_SEIZE, g_target, nullptr, nullptr));
  tried("kill-stop", ::kill(g_target, SIGSTOP));
  tried("kill-kill", ::kill(g_target, SIGKILL));
}

// ARGUMENT: a pid, or "child" for one of our own (the control).
void check_process(char** arguments) {
  const bool own = std::string_view(arguments[0]) == "child";
  if (own) {
    g_target = ::fork();
    if (g_target == 0) {
      for (;;) ::pause();
    }
  } else {
    g_target = std::atoi(arguments[0]);
  }
  attack_memory();
  attack_control();
  if (own) ::kill(g_target, SIGKILL);
}

// "Shocker": a file by its inode, below a mount that only shows a part of the file system. ARGUMENT: a directory.
void check_handles(char** arguments) {
  alignas(file_handle) char room[sizeof(file_handle) + 128] = {};
  auto* handle = reinterpret_cast<file_handle*>(&room[0]);
  handle->handle_bytes = 128;
  int mount_id = 0;
  const bool named =
      tried("name_to_handle_at", ::syscall(SYS_name_to_handle_at, AT_FDCWD, arguments[0], handle, &mount_id, 0));
  if (!named) {  // what the root of an ext4 has: inode 2, generation 0
    handle->handle_bytes = 8;
    handle->handle_type = 1;
    handle->f_handle[0] = 2;
  }
  const int mount = ::open(arguments[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  tried("open_by_handle_at", ::syscall(SYS_open_by_handle_at, mount, handle, O_RDONLY));
}

void check_keys(char**) {
  constexpr int kUserKeyring = -4, kSessionKeyring = -3, kGetId = 0, kDescribe = 6;
  tried("user-keyring", ::syscall(SYS_keyctl, kGetId, kUserKeyring, 0));
  tried("session-keyring", ::syscall(SYS_keyctl, kGetId, kSessionKeyring, 1));
  tried("describe", ::syscall(SYS_keyctl, kDescribe, kUserKeyring, nullptr, 0));
  tried("add_key", ::syscall(SYS_add_key, "user", "probe", "x", 1, kUserKeyring));
  const long made = ::syscall(SYS_request_key, "user", "probe", nullptr, 0);
  tried("request_key", made);
}

// ARGUMENT: a program of another owner with privilege in its file.
void check_gain(char** arguments) {
  char status[] = "status";
  char* const argv[] = {arguments[0], status, nullptr};
  char* const env[] = {nullptr};
  ::execve(arguments[0], argv, env);
  refused("execve", errno);
}

constexpr probe::Check kChecks[] = {
    {"status", 0, check_status},   {"namespaces", 0, check_namespaces},
    {"process", 1, check_process}, {"handles", 1, check_handles},
    {"keys", 0, check_keys},       {"gain", 1, check_gain},
};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
