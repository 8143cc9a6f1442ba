// What one job does to others and to those who started it: bombs, signals to everyone, ways out of its parent's sight.
#include <csignal>
#include <cstdlib>

#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

// ARGUMENT: a signal, to everyone that may be signalled, until we are killed.
void check_signal_all(char** arguments) {
  const int number = std::atoi(arguments[0]);
  probe::through("begun");
  for (;;) ::kill(-1, number);
}

// Each generation forks and ends, in a session of its own; there are never more than 2^ARGUMENT lines of them.
void check_runners(char** arguments) {
  for (int i = 0; i < std::atoi(arguments[0]); ++i) ::fork();
  const pid_t first = ::getpid();
  probe::through("begun");
  for (int i = 0;; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) ::setsid();
    // The job itself stays until the lines run by themselves.
    if (pid > 0 && (::getpid() != first || i > 0)) ::_exit(0);
    if (pid > 0) ::usleep(50'000);
  }
}

// As many as the limit lets through, all of which fork again.
void check_bomb(char**) {
  if (::fork() == 0) {
    ::setsid();
    for (;;) ::fork();
  }
  ::usleep(100'000);
  probe::through("begun");
}

// The same, each in a session of its own, below one another.
void check_chain(char**) {
  if (::fork() == 0) {
    for (;;) {
      if (::fork() == 0) ::setsid();
    }
  }
  ::usleep(100'000);
  probe::through("begun");
}

// A sibling instead of a child, in its own session, with the end's signal off: out of waitpid's sight.
void check_sibling(char**) {
  for (int i = 0; i < 3; ++i) {
    const long pid = ::syscall(SYS_clone, static_cast<long>(CLONE_PARENT), 0L, 0L, 0L, 0L);
    if (pid == 0) {
      ::setsid();
      ::prctl(PR_SET_PDEATHSIG, 0);
      for (;;) ::pause();
    }
    probe::tried("clone-parent", pid);
  }
}

constexpr probe::Check kChecks[] = {{"signal-all", 1, check_signal_all},
                                    {"runners", 1, check_runners},
                                    {"bomb", 0, check_bomb},
                                    {"chain", 0, check_chain},
                                    {"sibling", 0, check_sibling}};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
