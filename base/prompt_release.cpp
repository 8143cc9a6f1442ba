#include "base/prompt_release.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <sys/socket.h>
#include <sys/time.h>

namespace sandboxd {
namespace {

constexpr suseconds_t kPatienceUsec = 2'000;
constexpr int kPassRights = 83;  // SO_PASSRIGHTS, which headers older than Linux 6.16 lack

// Not SIG_IGN: a signal that is ignored wakes nobody. It interrupts (no SA_RESTART).
bool handle_alarm() noexcept {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  return ::sigaction(SIGALRM, &action, nullptr) == 0 && ::sigprocmask(SIG_UNBLOCK, &alarm, nullptr) == 0;
}

// setitimer(2) fails for arguments that are no times only; a filter that forbids it is a mistake in this program.
void set_timer(suseconds_t usec) noexcept {
  const int saved = errno;
  const itimerval timer{{0, usec}, {0, usec}};
  if (::setitimer(ITIMER_REAL, &timer, nullptr) < 0) std::abort();
  errno = saved;
}

}  // namespace

PromptRelease::PromptRelease() noexcept {
  static const bool handled = handle_alarm();
  if (!handled) std::abort();
  set_timer(kPatienceUsec);
}

PromptRelease::~PromptRelease() { set_timer(0); }

void release_promptly(UniqueFd fd) noexcept {
  const PromptRelease prompt;
  fd.reset();
}

void release_promptly(std::vector<UniqueFd> fds) noexcept {
  const PromptRelease prompt;
  fds.clear();
}

void refuse_descriptors(int listener) noexcept {
  constexpr int kNo = 0;
  (void)::setsockopt(listener, SOL_SOCKET, kPassRights, &kNo, sizeof kNo);
}

}  // namespace sandboxd
