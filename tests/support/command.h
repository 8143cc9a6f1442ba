// A command as another user: standard input given, standard output and error collected, a deadline on every wait.
// Never used for what must hold: the test's own checks do that.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/unique_fd.h"

namespace sandboxd::test {

// Milliseconds, widened by SANDBOXD_TIME_SCALE (the guest is slow).
int scaled_ms(int milliseconds);

struct CommandSpec {
  std::vector<std::string> argv{};  // argv[0]: a path, or a name for PATH
  uid_t uid = 0;
  gid_t gid = 0;        // 0: the same number as uid
  std::string input{};  // what standard input holds, then its end
  std::string directory = "/";
  std::map<std::string, std::string> env{};  // beside PATH, HOME and LANG; nothing is inherited
  int timeout_ms = 60'000;                   // scaled
  std::vector<int> keep{};                   // descriptors that the command inherits under their own numbers
};

struct Output {
  int status = -1;  // as a shell has it: exit status, or 128 + signal; -1 when the deadline passed (it was killed)
  std::string out{};
  std::string err{};
};

// For messages of failed assertions.
std::string describe(const Output& output);

class Command {
 public:
  explicit Command(CommandSpec spec);
  Command(Command&& other) noexcept;
  Command& operator=(Command&&) = delete;
  ~Command();

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Collects until the command has ended and its output is closed.
  Output finish();
  // Collects until standard output holds `text`; false at the deadline or at its end.
  bool await_output(const std::string& text);

 private:
  bool pump(int until_ms);  // one round; false when nothing is left to wait for
  void feed();
  static void drain(UniqueFd& from, std::string& into);

  CommandSpec spec_;
  pid_t pid_ = -1;
  UniqueFd in_, out_, err_, pidfd_;
  std::size_t fed_ = 0;
  Output output_{};
  bool reaped_ = false;
};

Output run(CommandSpec spec);

}  // namespace sandboxd::test
