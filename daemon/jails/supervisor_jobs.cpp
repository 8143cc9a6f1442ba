// The second half of daemon/jails/jail_supervisor.h.
#include <algorithm>
#include <cerrno>
#include <utility>

#include <spdlog/spdlog.h>

#include "daemon/jails/jail_supervisor.h"
#include "daemon/plan/make_exec.h"
#include "daemon/plan/merge_limits.h"

namespace sandboxd::jails {
namespace {

constexpr std::uint64_t kMostGrace = 3'600'000'000;
constexpr int kPiecesAtOnce = 8;

NotFound no_jail(const std::string& name) { return NotFound{"jail", name}; }
NotFound no_job(std::uint32_t job) { return NotFound{"job", fmt::format("{}", job)}; }

InvalidArgument not_attachable(std::uint32_t job) {
  return {"/parameters/job", fmt::format("{}", job), "a job with a terminal, or one that was started with detach"};
}

// Reads a log for one client, a few pieces a turn of the loop.
class LogReader final : public Supervisor::LogFlow, public std::enable_shared_from_this<LogReader> {
 public:
  LogReader(sd_event* loop, std::shared_ptr<JobLog> log, bool follow, Supervisor::LogObserver observer)
      : loop_(loop), log_(std::move(log)), follow_(follow), observer_(std::move(observer)) {}

  void start() {
    listening_ = log_->listen([this] { wake(); });
    wake();
  }
  void pause(bool paused) override {
    paused_ = paused;
    if (!paused) wake();
  }

 private:
  void wake() {
    if (paused_ || ended_ || wake_.active()) return;
    if (!wake_.arm(loop_, 0, [this] { turn(); }).ok()) end(Unavailable{"log", "no timer"});
  }
  void turn() {
    const auto self = shared_from_this();
    for (int i = 0; i < kPiecesAtOnce && !paused_ && !ended_; ++i) {
      auto piece = log_->read(place_);
      if (!piece.ok()) return end(Unavailable{"log", piece.error().message()});
      if (!*piece) {
        if (!follow_ || log_->finished()) end({});
        return;
      }
      const JobLog::Piece& read = **piece;
      observer_.piece({read.stream, read.bytes, read.dropped});
    }
    wake();
  }
  void end(const std::optional<Failure>& why) {
    if (std::exchange(ended_, true)) return;
    listening_.reset();
    observer_.done(why);
  }

  sd_event* loop_;
  std::shared_ptr<JobLog> log_;
  bool follow_;
  Supervisor::LogObserver observer_;
  std::shared_ptr<void> listening_;
  JobLog::Place place_{};
  Timer wake_;
  bool paused_ = false;
  bool ended_ = false;
};

}  // namespace

std::variant<std::shared_ptr<Jail>, Failure> JailSupervisor::visible_jail(const Client& client,
                                                                          const std::string& name) const {
  auto jail = table_.find(client, name);
  if (!jail) return no_jail(name);
  return jail;
}

std::variant<std::shared_ptr<Jail>, Failure> JailSupervisor::own_jail(const Client& client,
                                                                      const std::string& name) const {
  auto jail = table_.find(client, name);
  if (!jail) return no_jail(name);
  if (!is_own(client, *jail)) return Denied{"only its owner", fmt::format("to uid {}", jail->client().uid)};
  return jail;
}

std::variant<std::shared_ptr<JobLog>, Failure> JailSupervisor::new_log(const Client& client, const std::string& jail,
                                                                       std::uint32_t job) {
  if (deps_.log_directory.empty()) return Unavailable{"log", "this daemon has no directory for logs"};
  auto log = logs_.create(charged(account_of(client)), deps_.log_directory, fmt::format("{}.{}", jail, job));
  if (log.ok()) return std::move(log).value();
  if (log.error().code == EDQUOT) return LimitReached{"logs", JobLogs::kMost, scope_of(client)};
  return Unavailable{"log", log.error().message()};
}

void JailSupervisor::create(const Client& client, const protocol::JobSpec& spec,
                            std::function<void(std::variant<protocol::JailInfo, Failure>)> done) {
  RunObserver observer;
  const auto told = std::make_shared<bool>(false);
  observer.started = [done, told](const protocol::JailInfo& info, const std::vector<UniqueFd>&) {
    *told = true;
    done(info);
  };
  observer.failure = [done, told](const Failure& failure) {
    if (!*told) done(failure);
  };
  // Killed before it was there.
  observer.report = [done, told](const protocol::JobReport& report) {
    if (!*told) done(SetupFailed{"killed", 0, report.detail});
  };
  auto begun = start(client, spec, /*session=*/true, std::move(observer));
  if (auto* failure = std::get_if<Failure>(&begun)) done(std::move(*failure));
}

std::variant<std::uint32_t, Failure> JailSupervisor::exec(const Client& client, const std::string& name,
                                                          const protocol::ExecSpec& spec, JobObserver observer,
                                                          UniqueFd program) {
  if (ending_) return Unavailable{"sandboxd", "it is ending"};
  if (!audit_.accepting()) return Unavailable{"audit", "records can't be written: nothing starts without one"};
  auto found = own_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return std::move(*failure);
  const auto& jail = std::get<std::shared_ptr<Jail>>(found);
  if (auto refused = check_descriptors(client, kJobDescriptors)) return std::move(*refused);
  if (spec.tty && jail->terminals() == 0) return LimitReached{"terminals", 0, "jail"};
  if (spec.explain_denials && !jail->explains()) {
    return InvalidArgument{"/parameters/spec/explain_denials", "true",
                           "a jail that was created with explain_denials: its filter is loaded once"};
  }
  protocol::ExecSpec bounded = spec;
  // Of a program of ours the client chose no time: it is the jail's where that is shorter.
  if (const std::uint64_t most = jail->job_base().limits.wall_time; program && most != 0 && spec.wall_time)
    bounded.wall_time = std::min(most, *spec.wall_time);
  auto outcome = plan::make_exec(bounded, jail->job_base(), jail->next_job());
  if (auto* wrong = std::get_if<plan::InvalidArgument>(&outcome))
    return InvalidArgument{wrong->path, wrong->value, wrong->expected};
  if (auto* denied = std::get_if<plan::Denied>(&outcome)) return Denied{denied->rule, denied->allowed};
  JobRequest request;
  if (spec.log) {
    auto log = new_log(client, jail->id(), jail->next_job());
    if (auto* failure = std::get_if<Failure>(&log)) return std::move(*failure);
    request.log = std::get<std::shared_ptr<JobLog>>(std::move(log));
  }
  request.client = client;
  request.spec.stdio = spec.stdio;
  request.spec.stdin_data = spec.stdin_data;
  request.spec.detach = spec.detach;
  request.spec.explain_denials = spec.explain_denials;
  request.plan = std::get<wire::ExecPlan>(std::move(outcome));
  // What our own program answers is no job's output.
  if (!program) request.output_max = spec.output_max.value_or(jail->job_base().limits.output_max);
  request.program = std::move(program);
  request.observer = std::move(observer);
  return jail->exec(std::move(request));
}

std::shared_ptr<void> JailSupervisor::attach(const Client& client, const std::string& name, std::uint32_t number,
                                             std::optional<std::uint64_t> replay, JobObserver observer) {
  const auto refuse = [&observer](const Failure& why) {
    observer.failure(why);
    return std::shared_ptr<void>();
  };
  auto found = own_jail(client, name);
  if (const auto* failure = std::get_if<Failure>(&found)) return refuse(*failure);
  const auto jail = std::get<std::shared_ptr<Jail>>(found);
  std::shared_ptr<void> token;
  const std::uint64_t most = replay.value_or(UINT64_MAX);
  auto ended = [observer](const std::variant<protocol::JobReport, Failure>& end) {
    const auto* report = std::get_if<protocol::JobReport>(&end);
    report != nullptr ? observer.report(*report) : observer.failure(std::get<Failure>(end));
  };
  if (number == wire::kFirstJob) {
    auto fds = jail->attach_first(most, token);
    if (const auto* failure = std::get_if<Failure>(&fds)) return refuse(*failure);
    observer.started(jail->first_job(), std::get<std::vector<UniqueFd>>(std::move(fds)));
    jail->wait({std::move(ended), token});
    return token;
  }
  const auto job = jail->job(number);
  if (!job) return refuse(no_job(number));
  if (!job->attachable() || job->state() == Job::State::kStarting) return refuse(not_attachable(number));
  auto fds = job->attach(most, token);
  if (!fds.ok()) return refuse(Unavailable{"sandboxd", fds.error().message()});
  observer.started(job->info(), std::move(fds).value());
  job->wait({std::move(ended), token});
  return token;
}

std::optional<Failure> JailSupervisor::detach(const Client& client, const std::string& name, std::uint32_t number) {
  auto found = own_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return std::move(*failure);
  const auto& jail = std::get<std::shared_ptr<Jail>>(found);
  if (number == wire::kFirstJob) return jail->detach_first();
  const auto job = jail->job(number);
  if (!job) return no_job(number);
  if (!job->attachable()) return not_attachable(number);
  job->detach();
  return {};
}

std::optional<Failure> JailSupervisor::resize(const Client& client, const std::string& name, std::uint32_t number,
                                              protocol::WindowSize size) {
  auto found = own_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return std::move(*failure);
  const auto& jail = std::get<std::shared_ptr<Jail>>(found);
  const auto job = jail->job(number);
  if (!job && (number != wire::kFirstJob || jail->session())) return no_job(number);
  const Status done = job ? job->resize(size) : jail->resize_first(size);
  if (done.ok()) return {};
  return InvalidArgument{"/parameters/job", fmt::format("{}", number), "a job that has a terminal, and runs"};
}

std::optional<Failure> JailSupervisor::signal(const Client& client, const std::string& name,
                                              std::optional<std::uint32_t> job, int signal) {
  if (signal < 1 || signal > 64) return InvalidArgument{"/parameters/signal", fmt::format("{}", signal), "1 to 64"};
  auto found = visible_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return std::move(*failure);
  return std::get<std::shared_ptr<Jail>>(found)->signal(job, signal);
}

std::variant<std::vector<protocol::JobInfo>, Failure> JailSupervisor::jobs(const Client& client,
                                                                           const std::string& name) {
  auto found = visible_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return std::move(*failure);
  return std::get<std::shared_ptr<Jail>>(found)->jobs();
}

void JailSupervisor::wait_job(const Client& client, const std::string& name, std::uint32_t number,
                              std::function<void(std::variant<protocol::JobReport, Failure>)> done) {
  auto found = visible_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return done(std::move(*failure));
  const auto& jail = std::get<std::shared_ptr<Jail>>(found);
  if (number == wire::kFirstJob && !jail->session()) return jail->wait({std::move(done), {}});
  const auto job = jail->job(number);
  if (!job) return done(no_job(number));
  job->wait({std::move(done), {}});
}

std::optional<Failure> JailSupervisor::kill_job(const Client& client, const std::string& name, std::uint32_t number,
                                                int signal, std::uint64_t grace) {
  if (signal < 1 || signal > 64) return InvalidArgument{"/parameters/signal", fmt::format("{}", signal), "1 to 64"};
  if (grace > kMostGrace)
    return InvalidArgument{"/parameters/grace", fmt::format("{}", grace), fmt::format("at most {}", kMostGrace)};
  auto found = visible_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return std::move(*failure);
  const auto& jail = std::get<std::shared_ptr<Jail>>(found);
  if (number == wire::kFirstJob && !jail->session()) {
    jail->kill(signal, grace, fmt::format("killed by uid {}", client.uid));
    return {};
  }
  const auto job = jail->job(number);
  if (!job) return no_job(number);
  job->signal(signal, grace, fmt::format("killed by uid {}", client.uid));
  return {};
}

void JailSupervisor::freeze(const Client& client, const std::string& name, bool frozen,
                            std::function<void(std::optional<Failure>)> done) {
  auto found = visible_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return done(std::move(*failure));
  std::get<std::shared_ptr<Jail>>(found)->freeze(frozen, std::move(done));
}

std::variant<std::uint64_t, Failure> JailSupervisor::extend(const Client& client, const std::string& name,
                                                            std::uint64_t ttl) {
  auto found = visible_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return std::move(*failure);
  return std::get<std::shared_ptr<Jail>>(found)->extend(ttl);
}

std::variant<std::vector<protocol::JailStats>, Failure> JailSupervisor::stats(const Client& client,
                                                                              const std::optional<std::string>& name) {
  std::vector<protocol::JailStats> stats;
  if (name) {
    const auto jail = table_.find(client, *name);
    if (!jail) return no_jail(*name);
    if (jail->state() != Jail::State::kRunning)
      return InvalidArgument{"/parameters/jail", jail->info().state, "a jail that is running"};
    stats.push_back(jail->stats());
    return stats;
  }
  for (const auto& jail : table_.visible(client)) {
    if (jail->state() == Jail::State::kRunning) stats.push_back(jail->stats());
  }
  return stats;
}

std::variant<protocol::Denials, Failure> JailSupervisor::why(const Client& client, const std::string& name) {
  const auto jail = table_.find(client, name);
  if (!jail) return no_jail(name);
  return jail->denials();
}

std::variant<protocol::LearnedProfile, Failure> JailSupervisor::learned(const Client& client, const std::string& name,
                                                                        const std::string& profile) {
  if (!client.admin) return Denied{"learn", "the administrator, by admin.sock"};
  const auto jail = table_.find(client, name);
  if (!jail) return no_jail(name);
  if (!jail->learns()) return InvalidArgument{"/parameters/jail", name, "a jail of a profile that learns"};
  if (!jail->told()) return InvalidArgument{"/parameters/jail", name, "a jail that has ended"};
  return jail->learned(profile);
}

void JailSupervisor::update(const Client& client, const std::string& name, const protocol::AskedLimits& limits,
                            std::function<void(std::variant<std::vector<protocol::Fact>, Failure>)> done) {
  if (!audit_.accepting()) return done(Unavailable{"audit", "records can't be written: nothing changes without one"});
  auto found = visible_jail(client, name);
  if (auto* failure = std::get_if<Failure>(&found)) return done(std::move(*failure));
  const auto& jail = std::get<std::shared_ptr<Jail>>(found);
  // The launcher holds the jail's own profile against it; ours may be a newer one of that name.
  const wire::Profile* profile = profiles_ ? profiles_->find(jail->profile()) : nullptr;
  if (profile == nullptr) return done(NotFound{"profile", jail->profile()});
  auto merged = plan::update_limits(limits, jail->limits(), *profile);
  if (auto* wrong = std::get_if<plan::InvalidArgument>(&merged))
    return done(InvalidArgument{wrong->path, wrong->value, wrong->expected});
  if (auto* denied = std::get_if<plan::Denied>(&merged)) return done(Denied{denied->rule, denied->allowed});
  jail->update(client, std::get<Limits>(merged), done);
}

std::shared_ptr<Supervisor::LogFlow> JailSupervisor::logs(const Client& client, const std::string& name,
                                                          std::uint32_t number, bool follow, LogObserver observer) {
  const auto refuse = [&observer](const Failure& why) {
    observer.done(why);
    return std::shared_ptr<LogFlow>();
  };
  auto found = visible_jail(client, name);
  if (const auto* failure = std::get_if<Failure>(&found)) return refuse(*failure);
  const auto& jail = std::get<std::shared_ptr<Jail>>(found);
  std::shared_ptr<JobLog> log;
  if (number == wire::kFirstJob && !jail->session()) {
    log = jail->log();
  } else {
    const auto job = jail->job(number);
    if (!job) return refuse(no_job(number));
    log = job->log();
  }
  if (!log)
    return refuse(InvalidArgument{"/parameters/job", fmt::format("{}", number), "a job that was started with log"});
  auto reader = std::make_shared<LogReader>(loop_, std::move(log), follow, std::move(observer));
  reader->start();
  return reader;
}

void JailSupervisor::pause_job_output(const Client& client, const std::string& name, std::uint32_t number,
                                      bool paused) {
  const auto found = table_.find(client, name);
  const auto job = found ? found->job(number) : nullptr;
  if (job) job->pause_output(paused);
}

}  // namespace sandboxd::jails
