// One job that was asked for in a live jail (Exec). It is prepared by jail-init while its intent goes to the audit log, and
// released once that is durable:
//
//   starting --intent durable, streams there: kRelease--> running --kJobExited, kJobGone, its output read--> ended
//       '--refused, failed, the log away: failure after its record--> ended
//
// A jail's end is the end of all its jobs. What jail-init says is believed for the verdict only, and in the order that
// daemon/wire/init_control.h gives; anything else is a breach, which ends the jail.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/jails/audit_client.h"
#include "daemon/jails/clocks.h"
#include "daemon/jails/events.h"
#include "daemon/jails/job_log.h"
#include "daemon/jails/streams.h"
#include "daemon/jails/supervisor.h"
#include "daemon/jails/watch.h"
#include "daemon/wire/exec_plan.h"
#include "daemon/wire/init_control.h"

namespace sandboxd::jails {

struct JobRequest {
  Client client{};
  std::string jail{};
  std::string profile{}, profile_hash{};
  protocol::ExecSpec spec{};  // without argv and env once it was handed on
  wire::ExecPlan plan{};
  std::string request{};  // the record's id
  std::vector<std::string> hidden_names{};
  std::shared_ptr<JobLog> log{};
  UniqueFd program{};
  std::uint64_t output_max = 0;
  std::vector<protocol::Enforced> enforced{};  // what of its jail's limits is held, and by what
  std::vector<std::string> unenforced{};
  JobObserver observer{};
};

// Who waits for an end. One with an asker is forgotten with it: attaching to a long job again and again leaves nothing behind.
struct Waiter {
  std::function<void(std::variant<protocol::JobReport, Failure>)> done{};
  std::optional<std::weak_ptr<void>> asker{};
  [[nodiscard]] bool gone() const { return asker && asker->expired(); }
};

class Job : public std::enable_shared_from_this<Job> {
 public:
  enum class State : std::uint8_t { kStarting, kRunning, kEnded };
  struct Links {
    sd_event* loop = nullptr;
    AuditClient* audit = nullptr;
    EventLog* events = nullptr;
    std::uint64_t stuck_after = 0;
    std::function<Status(wire::InitCommand, std::int32_t value, std::uint32_t job, std::span<const int> fds)> command{};
    std::function<void(const std::string&)> breach{};
    std::function<std::optional<EndCause>()>
        cause_of_death{};                                     // the jail's limit that killed what is in it, if one did
    std::function<void()> active{};                           // something was written; none: nobody asks
    std::function<void(const protocol::JobReport&)> ended{};  // by what: before anybody is told
    std::function<void()> changed{};                          // it is no longer being prepared, or has ended
  };

  Job(Links links, JobRequest request);

  void start();    // the intent
  void prepare();  // kExec: when jail-init has room
  void on_streams(std::vector<UniqueFd> fds);
  void on_event(const wire::InitEventRecord& record);
  void jail_ended(const EndCause& cause);

  void signal(int signal, std::uint64_t grace_usec, const std::string& why);  // then SIGKILL, when grace is not kNoKill
  static constexpr std::uint64_t kNoKill = UINT64_MAX;
  void wait(Waiter waiter);
  void say(const std::string& line) {
    if (explains_) streams_.say(line);
  }
  void pause_output(bool paused) { streams_.pause(paused); }
  void cut_output();  // what was not read yet is given up, and nothing more holds the report back
  void forget_observer();
  void detach() { detached_ = true; }
  Result<std::vector<UniqueFd>> attach(std::uint64_t replay, std::shared_ptr<void>& token);
  Status resize(protocol::WindowSize size) { return streams_.resize(size); }

  [[nodiscard]] protocol::JobInfo info() const;
  [[nodiscard]] std::uint32_t number() const { return plan_.job; }
  [[nodiscard]] const Client& client() const { return client_; }
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool prepared() const { return prepared_; }
  [[nodiscard]] bool being_prepared() const { return prepared_ && !begun_ && state_ != State::kEnded; }
  [[nodiscard]] bool attached_to(std::uint64_t connection) const {
    return !detached_ && state_ != State::kEnded && client_.connection == connection;
  }
  [[nodiscard]] bool attachable() const { return attachable_; }
  [[nodiscard]] const std::shared_ptr<JobLog>& log() const { return log_; }

 private:
  void on_intent(const Result<std::uint64_t>& index);
  void release();
  Status take_streams(std::vector<UniqueFd> fds, std::vector<UniqueFd>& theirs);
  void on_failed(const wire::InitEventRecord& record);
  void on_exited(const wire::InitEventRecord& record);
  void fail(Failure failure);
  void kill_now();
  void end_by(EndCause cause);
  [[nodiscard]] protocol::JobReport new_report() const;
  void decide(const wire::InitEventRecord& end);
  void record_end();
  void maybe_report();
  void deliver();
  void emit(const std::string& kind, const std::string& detail);

  Links links_;
  Client client_;
  std::string jail_, profile_, profile_hash_, request_;
  wire::ExecPlan plan_;
  protocol::Stdio stdio_;
  std::string stdin_data_;
  std::shared_ptr<JobLog> log_;
  UniqueFd program_;
  JobObserver observer_;
  std::vector<std::string> shown_argv_;
  bool argv_cut_ = false;
  std::uint64_t started_realtime_ = 0, started_monotonic_ = 0;

  State state_ = State::kStarting;
  Streams streams_;
  std::vector<UniqueFd> pass_fds_;
  std::shared_ptr<void> own_attachment_;
  bool attachable_ = false, detached_ = false, explains_ = false, has_streams_ = false;
  bool prepared_ = false;   // kExec was sent
  bool ready_ = false;      // kJobReady has come
  bool on_record_ = false;  // the intent is durable
  bool released_ = false, begun_ = false, exited_ = false, gone_ = false, reported_ = false;
  bool killed_ = false;
  std::uint64_t output_max_ = 0;
  std::vector<protocol::Enforced> enforced_;
  std::vector<std::string> unenforced_;
  std::optional<EndCause> cause_;  // its own limit
  std::string kill_reason_;
  Timer grace_, late_, wall_;
  std::optional<protocol::JobReport> report_;
  std::optional<Failure> failure_;
  std::vector<Waiter> waiting_;
};

}  // namespace sandboxd::jails
