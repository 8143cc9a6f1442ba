// One jail, from its intent to the moment when its number is free again. A state machine over the event loop:
//
//   starting --kStarted--> running --job's end, or jail-init's--> ending --report is durable, cgroup removed--> ended
//       |                                                           |
//       '--refused, launcher away: failure after its record--> ended'--can't be killed or removed--> stuck (keeps its number)
//
// The report goes out when its record is durable and the output has ended. Nothing here may block, and what jail-init says
// is believed for the verdict only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/jails/audit_client.h"
#include "daemon/jails/control.h"
#include "daemon/jails/events.h"
#include "daemon/jails/kill_ladder.h"
#include "daemon/jails/launcher_client.h"
#include "daemon/jails/streams.h"
#include "daemon/jails/supervisor.h"
#include "daemon/wire/plan.h"

namespace sandboxd::jails {

// What all jails share.
struct Services {
  sd_event* loop = nullptr;
  LauncherClient* launcher = nullptr;
  AuditClient* audit = nullptr;
  EventLog* events = nullptr;
  std::uint64_t stuck_after = KillLadder::kStuckAfter;  // also the bound on removing a cgroup
  std::function<void(std::uint32_t number)> free_number{};
};

struct JailRequest {
  Client client{};
  std::string name{};
  wire::JailPlan plan{};
  protocol::Stdio stdio = protocol::Stdio::kRelay;
  std::string stdin_data{};
  RunObserver observer{};
};

class Jail : public std::enable_shared_from_this<Jail> {
 public:
  enum class State : std::uint8_t { kStarting, kRunning, kEnding, kStuck, kEnded };
  using WaitDone = std::function<void(std::variant<protocol::JobReport, Failure>)>;

  Jail(Services& services, JailRequest request);

  void start();
  void kill(int signal, std::uint64_t grace_usec, const std::string& why);
  void kill_now(const std::string& why) { kill(9, 0, why); }
  void pause_output(bool paused);
  void wait(WaitDone done);                    // at once when it has ended
  void when_over(std::function<void()> done);  // the number is free; at once when it is
  void forget_observer();

  [[nodiscard]] protocol::JailInfo info() const;
  [[nodiscard]] const std::vector<protocol::Fact>& facts() const { return facts_; }
  [[nodiscard]] const std::string& id() const { return plan_.jail; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::uint32_t number() const { return plan_.number; }
  [[nodiscard]] const Client& client() const { return client_; }
  [[nodiscard]] State state() const { return state_; }
  // It has ended for good and its number is free.
  [[nodiscard]] bool over() const { return state_ == State::kEnded; }
  // Nothing is left to ask for: it never ran, and its client has heard so.
  [[nodiscard]] bool forgettable() const { return over() && reported_ && !report_; }
  [[nodiscard]] std::uint64_t over_since() const { return over_since_; }  // CLOCK_MONOTONIC

 private:
  // jail.cpp: the start
  void on_start_answer(Result<wire::Message> answer);
  void adopt(const wire::Started& started, std::vector<UniqueFd> fds);
  Status watch(std::vector<UniqueFd> fds);
  void fail_start(Failure failure, const std::string& outcome);
  void tell_started(std::vector<UniqueFd> pass_fds);
  void on_streams(std::vector<UniqueFd> fds);
  void on_event(const wire::InitEventRecord& record);
  void on_breach(const std::string& why);
  void emit(const std::string& kind, const std::string& detail);

  // jail_end.cpp: the end
  void on_gone();
  void on_stuck();
  void decide();
  void decide_verdict(protocol::JobReport& report) const;
  void read_usage(protocol::JobReport& report) const;
  void on_exit_record(Result<std::uint64_t> index);
  void maybe_report();
  void deliver(std::variant<protocol::JobReport, Failure> end);
  void remove();
  void on_removed(Result<wire::Message> answer);
  void remove_later(const std::string& why);
  void finish();

  Services& services_;
  Client client_;
  std::string name_;
  wire::JailPlan plan_;
  protocol::Stdio stdio_;
  std::string stdin_data_;
  RunObserver observer_;
  std::vector<std::string> shown_argv_;
  std::vector<protocol::Fact> facts_;
  std::uint64_t started_realtime_ = 0;
  std::uint64_t started_monotonic_ = 0;

  State state_ = State::kStarting;
  Control control_;
  Streams streams_;
  KillLadder ladder_;
  UniqueFd pidfd_, cgroup_freeze_, cgroup_events_, cpu_stat_;
  IoWatch gone_watch_;
  Timer wall_;
  Timer settle_;

  std::optional<wire::InitEventRecord> job_end_;  // kJobExited or kJobFailed
  std::string kill_reason_;                       // who asked for the end
  bool timed_out_ = false;
  bool told_started_ = false;
  bool gone_ = false;
  bool decided_ = false;
  bool recorded_ = false;
  bool reported_ = false;
  std::optional<protocol::JobReport> report_;
  std::optional<Failure> failure_;  // instead of the report
  std::vector<WaitDone> waiting_;
  std::vector<std::function<void()>> over_waiting_;

  Timer removal_;
  std::uint64_t removal_usec_ = 2'000;
  std::uint64_t removal_since_ = 0;
  std::uint64_t over_since_ = 0;
};

}  // namespace sandboxd::jails
