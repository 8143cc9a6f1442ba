// A command as another user with a terminal of its own, as somebody sits at one.
#pragma once

#include <csignal>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "tests/support/command.h"
#include "tests/support/host.h"

namespace sandboxd::test {

class TerminalClient {
 public:
  TerminalClient(const CommandSpec& spec, winsize size) {
    std::vector<std::string> words = spec.argv;
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    int master = -1;
    int inner = -1;
    EXPECT_EQ(::openpty(&master, &inner, nullptr, nullptr, &size), 0);
    master_.reset(master);
    inner_.reset(inner);
    ::tcgetattr(inner, &before_);
    pid_ = ::fork();
    if (pid_ == 0) {
      if (::login_tty(inner) < 0 || ::setgid(spec.uid) < 0 || ::setuid(spec.uid) < 0) ::_exit(99);
      ::setenv("TERM", "xterm", 1);
      for (const auto& [name, value] : spec.env) ::setenv(name.c_str(), value.c_str(), 1);
      ::execv(argv[0], argv.data());
      ::_exit(99);
    }
  }
  ~TerminalClient() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  TerminalClient(const TerminalClient&) = delete;
  TerminalClient& operator=(const TerminalClient&) = delete;

  void type(std::string_view keys) const {
    EXPECT_EQ(::write(master_.get(), keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  void resize(winsize size) const { EXPECT_EQ(::ioctl(master_.get(), TIOCSWINSZ, &size), 0); }
  void signal(int number) const { ::kill(pid_, number); }
  // Whether it is shown before the deadline; what is looked for next comes after it.
  bool shows(const std::string& text) {
    const std::uint64_t end = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(20'000)) * 1000;
    for (;;) {
      if (const std::size_t at = seen_.find(text); at != std::string::npos) {
        seen_.erase(0, at + text.size());
        return true;
      }
      pollfd polled{master_.get(), POLLIN, 0};
      const std::uint64_t now = monotonic_usec();
      if (now >= end || ::poll(&polled, 1, static_cast<int>((end - now) / 1000) + 1) <= 0) break;
      char bytes[4096];
      const ssize_t got = ::read(master_.get(), bytes, sizeof bytes);
      if (got <= 0) break;
      seen_.append(bytes, static_cast<std::size_t>(got));
    }
    ADD_FAILURE() << "no '" << text << "' in: " << seen_;
    return false;
  }
  // All that is shown until it has ended.
  std::string rest() {
    inner_.reset();  // with the last of them the terminal hangs up
    const std::uint64_t end = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(20'000)) * 1000;
    for (;;) {
      pollfd polled{master_.get(), POLLIN, 0};
      const std::uint64_t now = monotonic_usec();
      if (now >= end || ::poll(&polled, 1, static_cast<int>((end - now) / 1000) + 1) <= 0) break;
      char bytes[4096];
      const ssize_t got = ::read(master_.get(), bytes, sizeof bytes);
      if (got <= 0) break;  // EIO
      seen_.append(bytes, static_cast<std::size_t>(got));
    }
    return std::exchange(seen_, {});
  }
  // As a shell has it.
  int wait() {
    int status = 0;
    const bool ended = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, scaled_ms(20'000));
    EXPECT_TRUE(ended);
    if (!ended) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  [[nodiscard]] bool is_raw() const { return (mode().c_lflag & (ICANON | ECHO | ISIG)) == 0; }
  [[nodiscard]] bool is_as_before() const {
    const termios now = mode();
    return now.c_lflag == before_.c_lflag && now.c_iflag == before_.c_iflag && now.c_oflag == before_.c_oflag;
  }

 private:
  [[nodiscard]] termios mode() const {
    termios now{};
    ::tcgetattr(inner_.get(), &now);
    return now;
  }

  UniqueFd master_, inner_;
  termios before_{};
  pid_t pid_ = -1;
  std::string seen_{};
};

}  // namespace sandboxd::test
