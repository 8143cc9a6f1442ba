// A real daemon for a test: `sandboxd --standalone` of the build tree on directories and a share of the id pool of its own, so
// that several run side by side. Its end checks that nothing is left: no process, no cgroup, no socket.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/host.h"

namespace sandboxd::test {

// Ordinary users: nobody's accounts here, above UID_MIN, below any range of containers.
inline constexpr uid_t kAlice = 4242;
inline constexpr uid_t kBob = 4343;

class Stack {
 public:
  // `config`: further keys of the configuration, as the inside of a JSON object. `without`: in the preset `fault`, the layers that its
  // jails lack (daemon/launcher/fault.h).
  explicit Stack(const std::string& config = "", const std::string& without = "");
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Why it is not up; empty when it is.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const WorkDir& dir() const { return dir_; }
  [[nodiscard]] std::string runtime_dir() const { return dir_.path() + "/run"; }
  [[nodiscard]] std::string state_dir() const { return dir_.path() + "/state"; }
  [[nodiscard]] std::string socket() const { return runtime_dir() + "/sandboxd.sock"; }
  [[nodiscard]] std::uint32_t slice() const { return slice_; }
  [[nodiscard]] pid_t parent() const { return daemon_ ? daemon_->pid() : -1; }
  // Mounts of the mount namespace that the daemon runs in, which is this test program's own.
  [[nodiscard]] std::vector<std::string> mounts() const { return mounts_seen_by(parent()); }
  // One of the parent's programs, by the name of its file; 0 when it does not run.
  [[nodiscard]] pid_t program(const std::string& name) const;

  // The real sandboxctl as this user. `arguments` begin with the verb.
  [[nodiscard]] CommandSpec ctl_spec(uid_t uid, std::vector<std::string> arguments) const;
  Output ctl(uid_t uid, std::vector<std::string> arguments, std::string input = "", std::string directory = "/") const;

  // `sandboxctl run` of a probe of tests/sandboxees, which the jail sees at /probes. `options` stand before the "--".
  Output probe(uid_t uid, std::vector<std::string> options, std::vector<std::string> command,
               std::string directory = "/") const;
  [[nodiscard]] std::string probes() const { return dir_.path() + "/probes"; }

  // Ends the daemon; true when it ended well in time. Once.
  bool end();
  // What is still there after the end, a line each; empty when nothing is.
  [[nodiscard]] std::string left_over() const;

 private:
  void copy_probes() const;

  WorkDir dir_;
  std::uint32_t slice_;
  std::unique_ptr<RunningProgram> daemon_{};
  UniqueFd log_{};
  std::string failure_{};
};

}  // namespace sandboxd::test
