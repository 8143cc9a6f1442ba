// Taking hold of another process, from outside a jail: ptrace(2) in both ways, its memory in both, one of its descriptors.
// usage: probe_trace child | family PID
//   child    a plain child of its own, once: the control
//   family   the descendants of PID, whoever comes and goes, without pause until SIGTERM ("ready" after the first round); then a line for each kind of try, and one
//            "seen NAME UID COUNT" for each kind of process that was there (comm and real uid)
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

constexpr long kPidfdOpen = 434;  // one number on all architectures
constexpr long kPidfdGetfd = 438;

volatile std::sig_atomic_t g_over = 0;
long g_target = 1;  // what is read: the same address in a child

std::string path_of(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

// 0, or the errno of what was refused.
int let_go(pid_t pid, long result) {
  if (result < 0) return errno;
  int status = 0;
  ::waitpid(pid, &status, __WALL);
  ::ptrace(PTRACE_DETACH, pid, nullptr, nullptr);
  return 0;
}

int attach(pid_t pid) { return let_go(pid, ::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr)); }

int seize(pid_t pid) {
  if (::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) < 0) return errno;
  return let_go(pid, ::ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr));
}

// EFAULT is past the check: only the address was wrong.
int past_the_check(int code) { return code == EFAULT || code == EIO ? 0 : code; }

int read_memory(pid_t pid) {
  long value = 0;
  const iovec here{&value, sizeof value};
  const iovec there{&g_target, sizeof g_target};
  return ::process_vm_readv(pid, &here, 1, &there, 1, 0) < 0 ? past_the_check(errno) : 0;
}

int open_memory(pid_t pid) {
  const int fd = ::open(path_of(pid, "mem").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  long value = 0;
  const long got = ::pread(fd, &value, sizeof value, static_cast<off_t>(reinterpret_cast<std::uintptr_t>(&g_target)));
  const int code = got < 0 ? past_the_check(errno) : got == 0 ? ESRCH : 0;  // an end of file: its memory has gone
  ::close(fd);
  return code;
}

int take_descriptor(pid_t pid) {
  const long pidfd = ::syscall(kPidfdOpen, pid, 0);
  if (pidfd < 0) return errno;
  const long fd = ::syscall(kPidfdGetfd, pidfd, 0, 0);
  const int code = fd < 0 ? errno : 0;
  if (fd >= 0) ::close(static_cast<int>(fd));
  ::close(static_cast<int>(pidfd));
  return code == EBADF ? 0 : code;  // past the check: it has no such descriptor
}

struct Try {
  const char* name;
  int (*run)(pid_t pid);
};
constexpr Try kTries[] = {{"ptrace-attach", attach},
                          {"ptrace-seize", seize},
                          {"process_vm_readv", read_memory},
                          {"mem", open_memory},
                          {"pidfd_getfd", take_descriptor}};

void check_child(char**) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  for (const Try& one : kTries) {
    const int code = one.run(pid);
    code == 0 ? probe::through(one.name) : probe::refused(one.name, code);
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

void add_descendants(pid_t pid, std::vector<pid_t>& all) {
  std::ifstream children(path_of(pid, ("task/" + std::to_string(pid) + "/children").c_str()));
  for (pid_t child = 0; children >> child;) {
    all.push_back(child);
    add_descendants(child, all);
  }
}

std::string kind_of(pid_t pid) {
  std::ifstream lines(path_of(pid, "status"));
  std::string name, uid;
  for (std::string line; uid.empty() && std::getline(lines, line);) {
    if (line.rfind("Name:\t", 0) == 0) name = line.substr(6);
    if (line.rfind("Uid:\t", 0) == 0) uid = line.substr(5, line.find('\t', 5) - 5);
  }
  return uid.empty() ? "" : name + " " + uid;
}

void check_family(char** arguments) {
  const auto parent = static_cast<pid_t>(std::atol(arguments[0]));
  ::signal(SIGTERM, [](int) { g_over = 1; });
  std::map<std::string, int> worst;  // by try: the last errno, or 0 once it got through
  std::map<std::string, long> seen;
  std::vector<pid_t> family;
  for (long round = 0; g_over == 0; ++round) {
    if (round == 1) {
      std::printf("ready\n");
      std::fflush(stdout);
    }
    family.clear();
    add_descendants(parent, family);
    for (const pid_t pid : family) {
      for (const Try& one : kTries) {
        const int code = one.run(pid);
        if (code == ESRCH) continue;  // it has gone, or is a zombie
        const auto [row, is_new] = worst.emplace(one.name, code);
        if (!is_new && row->second != 0) row->second = code;
        if (code == 0) std::printf("got %s of %s\n", one.name, kind_of(pid).c_str());
      }
      if (const std::string kind = kind_of(pid); !kind.empty()) ++seen[kind];
    }
  }
  for (const auto& [name, code] : worst) code == 0 ? probe::through(name) : probe::refused(name, code);
  for (const auto& [kind, count] : seen) std::printf("seen %s %ld\n", kind.c_str(), count);
}

constexpr probe::Check kChecks[] = {{"child", 0, check_child}, {"family", 1, check_family}};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
