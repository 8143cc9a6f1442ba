// A Supervisor without jails: it keeps a table, belongs to its users, and lets a test say what the jobs do. It behaves as the
// contract in daemon/jails/supervisor.h says.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/jails/supervisor.h"

namespace sandboxd::test {

class FakeSupervisor final : public jails::Supervisor {
 public:
  template <class T> using OrFailure = std::variant<T, jails::Failure>;
  using ReportDone = std::function<void(OrFailure<protocol::JobReport>)>;

  struct Jail {
    protocol::JailInfo info{};
    protocol::JobSpec spec{};
    jails::RunObserver observer{};
    std::uint64_t connection = 0;
    bool paused = false;
    std::vector<ReportDone> waits{};
  };

  // What a test does to the jobs.
  void start(const std::string& jail, std::vector<UniqueFd> fds = {});
  void output(const std::string& jail, int stream, std::string_view bytes);
  void exit(const std::string& jail, int code);
  void happen(const jails::Event& event);

  std::optional<jails::Failure> fails{};  // what every method answers while it is set
  std::map<std::string, Jail> jails{};
  std::vector<std::uint64_t> gone{};  // connections
  struct Killed {
    std::string jail{};
    int signal = 0;
    std::uint64_t grace = 0;
  };
  std::vector<Killed> kills{};
  std::vector<jails::Client> clients{};  // of every run
  std::size_t waits_asked = 0;
  std::size_t subscriptions = 0;  // alive
  std::string info_text = R"({"version":"x"})";
  std::vector<jails::Event> past{};
  std::uint64_t missed = 0;  // the cursor up to which events are forgotten
  struct Executed {
    protocol::ExecSpec spec{};
    jails::JobObserver observer{};
    bool program = false;  // one of the daemon's own
  };
  std::map<std::string, Executed> execs{};  // by jail; one each, which is job 2
  std::vector<std::string> asked{};         // what was asked for of live jails: "freeze j-1" ...

  OrFailure<std::string> run(const jails::Client& client, const protocol::JobSpec& spec,
                             jails::RunObserver observer) override;
  OrFailure<std::string> explain(const jails::Client& client, const protocol::JobSpec& spec) override;
  OrFailure<std::vector<protocol::JailInfo>> list(const jails::Client& client) override;
  void inspect(const jails::Client& client, const std::string& jail,
               std::function<void(OrFailure<protocol::JailInfo>)> done) override;
  OrFailure<std::vector<protocol::JailStats>> stats(const jails::Client& client,
                                                    const std::optional<std::string>& jail) override;
  OrFailure<protocol::LearnedProfile> learned(const jails::Client& client, const std::string& jail,
                                              const std::string& profile) override;
  OrFailure<protocol::Denials> why(const jails::Client& client, const std::string& jail) override;
  void update(const jails::Client& client, const std::string& jail, const protocol::AskedLimits& limits,
              std::function<void(OrFailure<std::vector<protocol::Fact>>)> done) override;
  void wait(const jails::Client& client, const std::string& jail, ReportDone done) override;
  std::optional<jails::Failure> kill(const jails::Client& client, const std::string& jail, int signal,
                                     std::uint64_t grace) override;
  void remove(const jails::Client& client, const std::string& jail, bool force,
              std::function<void(std::optional<jails::Failure>)> done) override;
  void create(const jails::Client& client, const protocol::JobSpec& spec,
              std::function<void(OrFailure<protocol::JailInfo>)> done) override;
  OrFailure<std::uint32_t> exec(const jails::Client& client, const std::string& jail, const protocol::ExecSpec& spec,
                                jails::JobObserver observer, UniqueFd program) override;
  std::shared_ptr<void> attach(const jails::Client& client, const std::string& jail, std::uint32_t job,
                               std::optional<std::uint64_t> replay, jails::JobObserver observer) override;
  std::optional<jails::Failure> detach(const jails::Client& client, const std::string& jail,
                                       std::uint32_t job) override;
  std::optional<jails::Failure> resize(const jails::Client& client, const std::string& jail, std::uint32_t job,
                                       protocol::WindowSize size) override;
  std::optional<jails::Failure> signal(const jails::Client& client, const std::string& jail,
                                       std::optional<std::uint32_t> job, int signal) override;
  OrFailure<std::vector<protocol::JobInfo>> jobs(const jails::Client& client, const std::string& jail) override;
  void wait_job(const jails::Client& client, const std::string& jail, std::uint32_t job, ReportDone done) override;
  std::optional<jails::Failure> kill_job(const jails::Client& client, const std::string& jail, std::uint32_t job,
                                         int signal, std::uint64_t grace) override;
  void freeze(const jails::Client& client, const std::string& jail, bool frozen,
              std::function<void(std::optional<jails::Failure>)> done) override;
  OrFailure<std::uint64_t> extend(const jails::Client& client, const std::string& jail, std::uint64_t ttl) override;
  std::shared_ptr<LogFlow> logs(const jails::Client& client, const std::string& jail, std::uint32_t job, bool follow,
                                LogObserver observer) override;
  [[nodiscard]] std::string epoch() const override { return "e-1"; }
  [[nodiscard]] std::uint64_t missed_events(std::uint64_t after) const override {
    return after < missed ? missed - after : 0;
  }
  Subscription subscribe(const jails::Client& client, std::uint64_t after,
                         std::function<void(const jails::Event&)> event) override;
  std::vector<jails::Event> past_events(const jails::Client& client, std::uint64_t after) override;
  void pause_output(const std::string& jail, bool paused) override;
  void disconnected(const jails::Client& client) override;
  std::string host_info() override { return info_text; }
  std::string host_features() override { return R"({"landlock":3})"; }
  std::string profiles(const std::optional<std::string>& name) override;

 private:
  Jail* find(const jails::Client& client, const std::string& name);

  std::size_t last_ = 0;
  std::size_t last_subscription_ = 0;
  std::map<std::size_t, std::function<void(const jails::Event&)>> listeners_{};
};

}  // namespace sandboxd::test
