#include "sandboxd-client/ctl/terminal.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sandboxd::ctl {
namespace {

termios raw_of(termios mode) {
  ::cfmakeraw(&mode);
  return mode;
}

// The mode that raw_of() makes. A shell that has taken the terminal back meanwhile has signals on, and is left alone.
bool is_raw(int terminal) {
  termios now{};
  return ::tcgetattr(terminal, &now) == 0 && (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
}

// Keeps nothing of the client's open but these two: its connection's end must be seen by the daemon.
[[noreturn]] void guard(int terminal, int alive, const termios& saved) {
  // Of a session of its own it gets no signal from the terminal, and may set its mode from the background (tty_ioctl(4)).
  (void)::setsid();
  (void)::prctl(PR_SET_NAME, "sandboxctl-tty");
  if (::dup2(terminal, 0) < 0 || ::dup2(alive, 1) < 0 || ::close_range(2, ~0U, 0) < 0) ::_exit(1);
  char byte = 0;
  ssize_t got = -1;
  do {
    got = ::read(1, &byte, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 0 && is_raw(0)) (void)::tcsetattr(0, TCSANOW, &saved);
  ::_exit(0);
}

}  // namespace

protocol::WindowSize window_size(int terminal) {
  winsize size{};
  if (::ioctl(terminal, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0) return {};
  return {.rows = size.ws_row, .columns = size.ws_col};
}

Result<RawTerminal> RawTerminal::enter(int terminal) {
  termios saved{};
  if (::tcgetattr(terminal, &saved) < 0) return sys_error("read the terminal's mode");
  RawTerminal raw(terminal, saved);
  TRY(raw.start_guard());
  const termios mode = raw_of(saved);
  if (::tcsetattr(terminal, TCSADRAIN, &mode) < 0) return sys_error("set the terminal's mode");
  return raw;
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : terminal_(std::exchange(other.terminal_, -1)),
      saved_(other.saved_),
      guard_(std::move(other.guard_)),
      alive_(std::move(other.alive_)) {}

RawTerminal::~RawTerminal() {
  if (terminal_ < 0) return;
  leave();
  // A byte says that there is nothing left to do.
  if (alive_) (void)!::write(alive_.get(), "", 1);
  if (guard_.valid()) {
    int status = 0;
    while (::waitpid(guard_.pid(), &status, 0) < 0 && errno == EINTR) continue;
    guard_.release();
  }
}

Status RawTerminal::start_guard() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) return sys_error("pipe");
  UniqueFd reader(ends[0]);
  alive_.reset(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("fork");
  if (pid == 0) {
    alive_.reset();
    guard(terminal_, reader.get(), saved_);
  }
  guard_ = UniquePid(pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  return {};
}

void RawTerminal::leave() noexcept { (void)::tcsetattr(terminal_, TCSADRAIN, &saved_); }

void RawTerminal::enter_again() noexcept {
  const termios mode = raw_of(saved_);
  (void)::tcsetattr(terminal_, TCSADRAIN, &mode);
}

}  // namespace sandboxd::ctl
