// A session's jail as sandboxd drives one, by the real launcher and jail-init, with the test in sandboxd's place: it sends exec
// plans, reads events and streams. One instance is one jail; it is ended and its number freed when the object goes.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/wire/exec_plan.h"
#include "tests/jail/hostile.h"

namespace sandboxd::test {

// What is known of one job.
struct Seen {
  std::vector<wire::InitEvent> events{};
  std::optional<wire::InitEventRecord> failed{}, exited{}, gone{};
  int pid = 0;  // in the jail
  std::string out{}, err{};
  UniqueFd in{}, out_fd{}, err_fd{};  // a terminal is out_fd alone
  bool terminal = false;
  [[nodiscard]] bool has(wire::InitEvent event) const;
  [[nodiscard]] int status() const { return exited ? exited->value : -1; }
  [[nodiscard]] std::string describe() const;  // for messages of failed assertions
};

class Session {
 public:
  // A jail without a first job, or, with argv, one that also runs that.
  Session(HostileSandboxd& client, std::uint32_t number, std::vector<std::string> argv = {},
          const std::function<void(wire::JailPlan&)>& change = {}, const std::string& profile = "default");
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] bool started() const { return launched_.started.has_value(); }
  [[nodiscard]] const Launched& launched() const { return launched_; }
  [[nodiscard]] int init_pid() const { return launched_.started->init_pid; }
  [[nodiscard]] bool ended() const { return ended_; }  // its socket has closed

  // A plan with the next number.
  wire::ExecPlan plan(std::vector<std::string> argv, wire::StdioMode stdio = wire::StdioMode::kPipes);
  wire::ExecPlan shell(const std::string& script, wire::StdioMode stdio = wire::StdioMode::kPipes);
  void exec(const wire::ExecPlan& plan, int program = -1);
  void send(wire::InitCommand command, std::uint32_t job = 0, int value = 0, std::vector<int> fds = {});
  void release(std::uint32_t job) { send(wire::InitCommand::kRelease, job); }
  Seen& job(std::uint32_t number) { return seen_[number]; }

  // Reads events and streams until `holds`; false at the deadline.
  bool until(const std::function<bool()>& holds, int timeout_ms = 20'000);
  bool until_event(std::uint32_t number, wire::InitEvent event, int timeout_ms = 20'000);
  // From kExec to kJobStarted.
  Seen& start(const wire::ExecPlan& plan, int program = -1);
  // From kExec to kJobGone and the end of its streams (or kJobFailed).
  Seen& run(const wire::ExecPlan& plan, int program = -1);
  Seen& sh(const std::string& script) { return run(shell(script)); }
  // Nothing more is on the way: every stream is drained, and jail-init answers.
  bool finish(std::uint32_t number, int timeout_ms = 20'000);

 private:
  void read_event();
  static bool drain(UniqueFd& fd, std::string& to);

  HostileSandboxd& client_;
  std::uint32_t number_;
  Launched launched_;
  std::uint32_t next_job_ = wire::kFirstJob;
  std::map<std::uint32_t, Seen> seen_{};
  bool ended_ = false;
};

UniqueFd sealed(const std::vector<std::uint8_t>& bytes, int seals);
// A copy of a program of the build tree that can be run by its descriptor alone.
UniqueFd program_memfd(const std::string& name);

}  // namespace sandboxd::test
