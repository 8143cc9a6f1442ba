// One jail, from its intent to the moment when its number is free again. A state machine over the event loop:
//
//   starting --kStarted--> running --job's end, or jail-init's--> ending --report is durable, cgroup removed--> ended
//       |                                                           |
//       '--refused, launcher away: failure after its record--> ended'--can't be killed or removed--> stuck (keeps its number)
//
// The report goes out when its record is durable and the output has ended. Nothing here may block, and what jail-init says
// is believed for the verdict only. A session's jail has no first job: it runs until its time is over or it is killed.
// Execs are jobs of their own (job.h); jail_jobs.cpp has them, and what else is done to a live jail.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/jails/audit_client.h"
#include "daemon/jails/clocks.h"
#include "daemon/jails/control.h"
#include "daemon/jails/events.h"
#include "daemon/jails/job.h"
#include "daemon/jails/job_log.h"
#include "daemon/jails/kill_ladder.h"
#include "daemon/jails/launcher_client.h"
#include "daemon/jails/learned.h"
#include "daemon/jails/limit_watch.h"
#include "daemon/jails/meter.h"
#include "daemon/jails/refusals.h"
#include "daemon/jails/streams.h"
#include "daemon/jails/supervisor.h"
#include "daemon/plan/make_exec.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

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
  uid_t charged = 0;  // whose share its start uses
  std::string name{};
  wire::JailPlan plan{};
  protocol::Stdio stdio = protocol::Stdio::kRelay;
  std::string stdin_data{};
  bool detach = false;
  protocol::Labels labels{};
  std::uint64_t session_ttl = 0;                       // microseconds; of a session
  std::shared_ptr<const wire::ProfileSet> profiles{};  // where refused calls are explained: those of the jail's start
  std::vector<std::string> hidden_names{};  // the profile's: values of such arguments and variables are not shown
  std::shared_ptr<JobLog> log{};
  RunObserver observer{};
};

// What the launcher sends of a jail (wire::StartedFd), its first job's streams and log.
inline constexpr std::uint64_t kJailDescriptors = 20;
inline constexpr std::uint64_t kJobDescriptors = 5;  // of an exec: streams, log, program

class Jail : public std::enable_shared_from_this<Jail> {
 public:
  enum class State : std::uint8_t { kStarting, kRunning, kEnding, kStuck, kEnded };

  Jail(Services& services, JailRequest request);

  void start();
  void kill(int signal, std::uint64_t grace_usec, const std::string& why);
  void kill_now(const std::string& why) { kill(9, 0, why); }
  void pause_output(bool paused);

  // jail_jobs.cpp. The number, or why not; `request.plan.job` and what depends on the jail is filled in here.
  std::variant<std::uint32_t, Failure> exec(JobRequest request);
  [[nodiscard]] std::shared_ptr<Job> job(std::uint32_t number) const;
  [[nodiscard]] std::vector<protocol::JobInfo> jobs() const;
  [[nodiscard]] std::size_t jobs_alive() const;
  [[nodiscard]] const plan::JobBase& job_base() const { return base_; }
  [[nodiscard]] std::uint32_t next_job() const { return last_job_ + 1; }
  std::variant<std::vector<UniqueFd>, Failure> attach_first(std::uint64_t replay, std::shared_ptr<void>& token);
  std::optional<Failure> detach_first();
  Status resize_first(protocol::WindowSize size) { return streams_.resize(size); }
  std::optional<Failure> signal(std::optional<std::uint32_t> job, int signal);
  void freeze(bool frozen, std::function<void(std::optional<Failure>)> done);
  std::variant<std::uint64_t, Failure> extend(std::uint64_t ttl);
  void client_gone(std::uint64_t connection);  // ends what was attached to it
  [[nodiscard]] protocol::JobInfo first_job() const;
  [[nodiscard]] bool session() const { return plan_.session; }
  [[nodiscard]] const std::shared_ptr<JobLog>& log() const { return log_; }

  void wait(Waiter waiter);                    // at once when it has ended
  void when_over(std::function<void()> done);  // the number is free; at once when it is
  // Everybody who waits for the jail or a job of it has been told; a client that reads slowly has not, unless its output is cut.
  void when_told(std::function<void()> done);
  void cut_output();
  [[nodiscard]] bool told() const { return reported_ && jobs_alive() == 0; }
  void forget_observer();

  // jail_denials.cpp
  [[nodiscard]] protocol::Denials denials() const { return refusals_.all(); }
  [[nodiscard]] bool learns() const { return plan_.learn && profiles_; }
  // Of a jail that learns, once it has ended.
  [[nodiscard]] protocol::LearnedProfile learned(const std::string& name) const;
  [[nodiscard]] bool explains() const { return plan_.explain_denials; }

  // jail_limits.cpp
  [[nodiscard]] protocol::JailStats stats() const;
  [[nodiscard]] const Limits& limits() const { return plan_.limits; }
  [[nodiscard]] const std::string& profile() const { return plan_.profile; }
  [[nodiscard]] std::uint32_t terminals() const { return plan_.terminals; }
  [[nodiscard]] std::uint64_t descriptors() const;  // of ours, at most, while it lives
  using UpdateDone = std::function<void(std::variant<std::vector<protocol::Fact>, Failure>)>;
  void update(const Client& client, const Limits& limits, const UpdateDone& done);

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
  void on_streams(std::uint32_t job, std::vector<UniqueFd> fds);
  Status take_streams(std::vector<UniqueFd> fds);
  void on_event(const wire::InitEventRecord& record);
  void on_breach(const std::string& why);
  void emit(const std::string& kind, const std::string& detail);

  // jail_jobs.cpp
  Status send_command(wire::InitCommand command, std::int32_t value, std::uint32_t job, std::span<const int> fds);
  void start_waiting_jobs();
  void trim_jobs();
  void end_if_empty();
  void end_jobs();
  void arm_session();
  void write_freeze(bool frozen, const std::function<void(std::optional<Failure>)>& done);
  void check_frozen();
  void answer_freeze(const std::optional<Failure>& answer);

  // jail_denials.cpp
  void on_denied(const wire::InitEventRecord& record);
  void on_learned(const wire::InitEventRecord& record);
  void note_limit(const protocol::JobReport& report);
  void note_limit_event(const std::string& kind);
  void tell(protocol::Denial denial);
  void say(std::uint32_t job, const std::string& line);

  // jail_limits.cpp
  Status start_limits();
  void stop_limits();
  void end_by(EndCause cause);
  [[nodiscard]] std::optional<EndCause> cause_of_death() const;
  void send_update(const std::string& request, const Limits& limits, const UpdateDone& done);
  void note_unheld(const Limits& limits, const wire::Readback& readback);
  std::variant<std::vector<protocol::Fact>, Failure> take_update(const Limits& limits,
                                                                 const Result<wire::Message>& answer);

  // jail_end.cpp: the end
  void on_gone();
  void on_stuck();
  void decide();
  void decide_verdict(protocol::JobReport& report) const;
  void read_usage(protocol::JobReport& report) const;
  void on_exit_record(Result<std::uint64_t> index);
  void maybe_report();
  void look_whether_told();
  void deliver(std::variant<protocol::JobReport, Failure> end);
  void remove();
  void on_removed(Result<wire::Message> answer);
  void remove_later(const std::string& why);
  void finish();

  Services& services_;
  Client client_;
  uid_t charged_ = 0;
  std::string name_;
  wire::JailPlan plan_;
  protocol::Stdio stdio_;
  std::string stdin_data_;
  bool detached_ = false;
  protocol::Labels labels_;
  std::uint64_t session_ttl_ = 0, expires_ = 0;
  std::shared_ptr<const wire::ProfileSet> profiles_;
  std::shared_ptr<JobLog> log_;
  plan::JobBase base_;
  RunObserver observer_;
  std::vector<std::string> hidden_names_;
  std::vector<std::string> shown_argv_;
  std::vector<protocol::Fact> facts_;
  std::uint64_t started_realtime_ = 0;
  std::uint64_t started_monotonic_ = 0;

  State state_ = State::kStarting;
  Control control_;
  Streams streams_;
  std::shared_ptr<void> own_attachment_;
  bool had_streams_ = false;
  KillLadder ladder_;
  UniqueFd pidfd_, cgroup_freeze_, cgroup_events_;
  Meter meter_;
  Clocks clocks_;
  LimitWatch limit_watch_;
  Refusals refusals_;
  Learned learned_;
  std::vector<protocol::Enforced> enforced_;
  std::vector<std::string> unenforced_;
  IoWatch gone_watch_;
  Timer wall_;
  Timer settle_;
  Timer session_;
  bool frozen_ = false;
  IoWatch freeze_watch_;
  Timer freeze_late_;
  std::vector<std::function<void(std::optional<Failure>)>> freeze_waiting_;
  std::map<std::uint32_t, std::shared_ptr<Job>> jobs_;  // execs
  std::deque<std::weak_ptr<Job>> unprepared_;
  std::uint32_t last_job_ = wire::kFirstJob;

  std::optional<wire::InitEventRecord> job_end_;  // kJobExited or kJobFailed
  std::string kill_reason_;                       // who asked for the end
  std::optional<EndCause> cause_;                 // the limit that did
  bool told_started_ = false;
  bool gone_ = false;
  bool decided_ = false;
  bool recorded_ = false;
  bool reported_ = false;
  std::optional<protocol::JobReport> report_;
  std::optional<Failure> failure_;  // instead of the report
  std::vector<Waiter> waiting_;
  std::vector<std::function<void()>> over_waiting_, told_waiting_;
  Timer told_;

  Timer removal_;
  std::uint64_t removal_usec_ = 2'000;
  std::uint64_t removal_since_ = 0;
  std::uint64_t over_since_ = 0;
};

}  // namespace sandboxd::jails
