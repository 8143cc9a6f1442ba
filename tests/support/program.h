// Real programs as children of a test: with their sockets handed over, under an id of their own, without a capability, the way
// the supervising parent starts them. Everything is ended and reaped when the object goes; every wait has a deadline.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::test {

// Beside the test program: all programs of a build tree lie in one folder.
std::string program_path(const std::string& name);

// A directory below /tmp, removed with all it holds at the end. Its mode is 0755.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct StartOptions {
  uid_t uid = 0;                         // 0: as we are, with all capabilities
  std::map<std::string, int> sockets{};  // name -> listening socket
  std::map<std::string, std::string> env{};
  std::vector<std::string> arguments{};
  int stderr_fd = -1;  // -1: the test's own
};

class RunningProgram {
 public:
  RunningProgram() = default;
  RunningProgram(RunningProgram&& other) noexcept;
  RunningProgram& operator=(RunningProgram&& other) noexcept;
  ~RunningProgram() { end(); }

  static RunningProgram start(const std::string& path, const StartOptions& options);
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  // The wait status, or nothing when it still runs after `timeout_ms`.
  std::optional<int> wait(int timeout_ms = 10'000);
  void end();  // SIGKILL and reap

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

// Runs `body` in a child of this uid and gid without supplementary groups; its value is the exit status (255: killed).
int as_user(uid_t uid, const std::function<int()>& body);

}  // namespace sandboxd::test
