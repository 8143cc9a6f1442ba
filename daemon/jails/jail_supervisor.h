// The one Supervisor: what daemon/jails is put together to. supervisor.cpp has jails, supervisor_jobs.cpp what is done in and to
// a live one.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemon/jails/denials.h"
#include "daemon/jails/jail.h"
#include "daemon/jails/make_supervisor.h"
#include "daemon/jails/one_at_a_time.h"
#include "daemon/jails/sweeper.h"
#include "daemon/jails/table.h"
#include "daemon/plan/make_plan.h"

namespace sandboxd::jails {

class JailSupervisor final : public Supervisor {
 public:
  JailSupervisor(sd_event* loop, Deps deps);

  std::variant<std::string, Failure> run(const Client& client, const protocol::JobSpec& spec,
                                         RunObserver observer) override;
  std::variant<std::string, Failure> explain(const Client& client, const protocol::JobSpec& spec) override;
  std::variant<std::vector<protocol::JailInfo>, Failure> list(const Client& client) override;
  void inspect(const Client& client, const std::string& jail,
               std::function<void(std::variant<protocol::JailInfo, Failure>)> done) override;
  std::variant<std::vector<protocol::JailStats>, Failure> stats(const Client& client,
                                                                const std::optional<std::string>& jail) override;
  std::variant<protocol::Denials, Failure> why(const Client& client, const std::string& jail) override;
  std::variant<protocol::LearnedProfile, Failure> learned(const Client& client, const std::string& jail,
                                                          const std::string& profile) override;
  void update(const Client& client, const std::string& jail, const protocol::AskedLimits& limits,
              std::function<void(std::variant<std::vector<protocol::Fact>, Failure>)> done) override;
  void wait(const Client& client, const std::string& jail,
            std::function<void(std::variant<protocol::JobReport, Failure>)> done) override;
  std::optional<Failure> kill(const Client& client, const std::string& jail, int signal, std::uint64_t grace) override;
  void remove(const Client& client, const std::string& jail, bool force,
              std::function<void(std::optional<Failure>)> done) override;
  void create(const Client& client, const protocol::JobSpec& spec,
              std::function<void(std::variant<protocol::JailInfo, Failure>)> done) override;
  std::variant<std::uint32_t, Failure> exec(const Client& client, const std::string& jail,
                                            const protocol::ExecSpec& spec, JobObserver observer,
                                            UniqueFd program) override;
  std::shared_ptr<void> attach(const Client& client, const std::string& jail, std::uint32_t job,
                               std::optional<std::uint64_t> replay, JobObserver observer) override;
  std::optional<Failure> detach(const Client& client, const std::string& jail, std::uint32_t job) override;
  std::optional<Failure> resize(const Client& client, const std::string& jail, std::uint32_t job,
                                protocol::WindowSize size) override;
  std::optional<Failure> signal(const Client& client, const std::string& jail, std::optional<std::uint32_t> job,
                                int signal) override;
  std::variant<std::vector<protocol::JobInfo>, Failure> jobs(const Client& client, const std::string& jail) override;
  void wait_job(const Client& client, const std::string& jail, std::uint32_t job,
                std::function<void(std::variant<protocol::JobReport, Failure>)> done) override;
  std::optional<Failure> kill_job(const Client& client, const std::string& jail, std::uint32_t job, int signal,
                                  std::uint64_t grace) override;
  void freeze(const Client& client, const std::string& jail, bool frozen,
              std::function<void(std::optional<Failure>)> done) override;
  std::variant<std::uint64_t, Failure> extend(const Client& client, const std::string& jail,
                                              std::uint64_t ttl) override;
  std::shared_ptr<LogFlow> logs(const Client& client, const std::string& jail, std::uint32_t job, bool follow,
                                LogObserver observer) override;
  [[nodiscard]] uid_t charged(uid_t uid) const override { return table_.charged(uid); }
  [[nodiscard]] std::string epoch() const override { return events_.epoch(); }
  [[nodiscard]] std::uint64_t missed_events(std::uint64_t after) const override { return events_.missed(after); }
  void pause_job_output(const Client& client, const std::string& jail, std::uint32_t job, bool paused) override;
  Subscription subscribe(const Client& client, std::uint64_t after, std::function<void(const Event&)> event) override;
  std::vector<Event> past_events(const Client& client, std::uint64_t after) override {
    return events_.past(client.uid, client.admin, after);
  }
  void pause_output(const std::string& jail, bool paused) override;
  void end(std::function<void()> done) override;
  void disconnected(const Client& client) override;
  std::string host_info() override;
  std::string host_features() override { return deps_.features; }
  std::string profiles(const std::optional<std::string>& name) override;

 private:
  // What a client may act on: its own jails, and for an admin all of them; nothing but its own to run something in.
  std::variant<std::shared_ptr<Jail>, Failure> visible_jail(const Client& client, const std::string& jail) const;
  std::variant<std::shared_ptr<Jail>, Failure> own_jail(const Client& client, const std::string& jail) const;
  std::variant<std::string, Failure> start(const Client& client, const protocol::JobSpec& spec, bool session,
                                           RunObserver observer);
  std::variant<std::shared_ptr<JobLog>, Failure> new_log(const Client& client, const std::string& jail,
                                                         std::uint32_t job);
  [[nodiscard]] std::string scope_of(const Client& client) const;
  std::optional<Failure> check_client(const Client& client, const protocol::JobSpec& spec) const;
  std::variant<const wire::Profile*, Failure> profile_of(const protocol::JobSpec& spec) const;
  std::optional<Failure> check_descriptors(const Client& client, std::uint64_t more) const;
  std::optional<Failure> give_terminals(const Client& client, wire::JailPlan& plan) const;
  plan::Context context_of(const Client& client, std::uint32_t number) const;
  std::string deny(const Client& client, const plan::Context& context, const plan::Denied& denied,
                   RunObserver observer);
  static std::variant<protocol::JailInfo, Failure> inspected(const Jail& jail, const Result<wire::Message>& answer);
  void trim();
  void check_ready();

  Deps deps_;
  Numbers numbers_;
  EventLog events_;
  AuditClient audit_;
  OneAtATime inspections_{};
  LauncherClient launcher_;
  Sweeper sweeper_;
  Denials denials_;
  JobLogs logs_;
  Services services_;
  Table table_;
  std::shared_ptr<const wire::ProfileSet> profiles_;
  Timer trim_;
  bool ending_ = false;
  sd_event* loop_;
};

}  // namespace sandboxd::jails
