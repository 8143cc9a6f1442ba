#include "fake_supervisor.h"

#include <algorithm>

#include <fmt/core.h>

namespace sandboxd::test {

using jails::Client;
using jails::Failure;
using jails::NotFound;

void FakeSupervisor::start(const std::string& jail, std::vector<UniqueFd> fds) {
  Jail& found = jails.at(jail);
  found.info.state = "running";
  found.observer.started(found.info, std::move(fds));
}

void FakeSupervisor::output(const std::string& jail, int stream, std::string_view bytes) {
  jails.at(jail).observer.output(stream, bytes);
}

void FakeSupervisor::exit(const std::string& jail, int code) {
  Jail& found = jails.at(jail);
  found.info.state = "ended";
  found.info.report = protocol::JobReport{.jail = jail, .profile = "default", .exit_code = code};
  if (found.observer.report) std::exchange(found.observer, {}).report(*found.info.report);
  for (const ReportDone& done : std::exchange(found.waits, {})) done(*found.info.report);
}

void FakeSupervisor::happen(const jails::Event& event) {
  past.push_back(event);
  const auto listeners = listeners_;  // one of them may end itself
  for (const auto& [id, listener] : listeners) listener(event);
}

FakeSupervisor::Jail* FakeSupervisor::find(const Client& client, const std::string& name) {
  for (auto& [id, jail] : jails) {
    if ((id == name || jail.info.name == name) && (client.admin || jail.info.uid == client.uid)) return &jail;
  }
  return nullptr;
}

auto FakeSupervisor::run(const Client& client, const protocol::JobSpec& spec, jails::RunObserver observer)
    -> OrFailure<std::string> {
  if (fails) return *fails;
  clients.push_back(client);
  const std::string id = fmt::format("jail-{}", ++last_);
  protocol::JailInfo info{.jail = id,
                          .name = spec.name.value_or(""),
                          .profile = "default",
                          .state = "starting",
                          .uid = client.uid,
                          .argv = spec.argv};
  jails[id] = {std::move(info), spec, std::move(observer), client.connection};
  return id;
}

auto FakeSupervisor::explain(const Client&, const protocol::JobSpec& spec) -> OrFailure<std::string> {
  if (fails) return *fails;
  return fmt::format(R"({{"arguments":{}}})", spec.argv.size());
}

auto FakeSupervisor::list(const Client& client) -> OrFailure<std::vector<protocol::JailInfo>> {
  if (fails) return *fails;
  std::vector<protocol::JailInfo> mine;
  for (const auto& [id, jail] : jails) {
    if (client.admin || jail.info.uid == client.uid) mine.push_back(jail.info);
  }
  return mine;
}

FakeSupervisor::OrFailure<std::vector<protocol::JailStats>> FakeSupervisor::stats(
    const Client& client, const std::optional<std::string>& jail) {
  if (jail && find(client, *jail) == nullptr) return Failure(NotFound{"jail", *jail});
  protocol::JailStats stats;
  stats.jail = jail.value_or("all");
  stats.usage.cpu_user = 7;
  stats.memory_current = 4096;
  return std::vector<protocol::JailStats>{stats};
}

FakeSupervisor::OrFailure<protocol::LearnedProfile> FakeSupervisor::learned(const Client& client,
                                                                            const std::string& jail,
                                                                            const std::string& profile) {
  if (!client.admin) return jails::Denied{"learn", "the administrator, by admin.sock"};
  return protocol::LearnedProfile{jail, profile, 1, 2};
}

FakeSupervisor::OrFailure<protocol::Denials> FakeSupervisor::why(const Client& client, const std::string& jail) {
  if (find(client, jail) == nullptr) return Failure(NotFound{"jail", jail});
  protocol::Denial denial;
  denial.what = "mount";
  denial.error = "EPERM";
  return protocol::Denials{{denial}, 3, 4};
}

void FakeSupervisor::update(const Client& client, const std::string& jail, const protocol::AskedLimits& limits,
                            std::function<void(OrFailure<std::vector<protocol::Fact>>)> done) {
  if (find(client, jail) == nullptr) return done(Failure(NotFound{"jail", jail}));
  done(std::vector<protocol::Fact>{{"cgroup.memory.max", std::to_string(limits.memory_max.value_or(0))}});
}

void FakeSupervisor::inspect(const Client& client, const std::string& jail,
                             std::function<void(OrFailure<protocol::JailInfo>)> done) {
  const Jail* found = find(client, jail);
  if (found == nullptr) return done(Failure(NotFound{"jail", jail}));
  protocol::JailInfo info = found->info;
  info.in_force = {{"NoNewPrivs", "1"}};
  done(std::move(info));
}

void FakeSupervisor::wait(const Client& client, const std::string& jail, ReportDone done) {
  ++waits_asked;
  Jail* found = find(client, jail);
  if (found == nullptr) return done(Failure(NotFound{"jail", jail}));
  if (found->info.report) return done(*found->info.report);
  found->waits.push_back(std::move(done));
}

std::optional<Failure> FakeSupervisor::kill(const Client& client, const std::string& jail, int signal,
                                            std::uint64_t grace) {
  if (find(client, jail) == nullptr) return NotFound{"jail", jail};
  kills.push_back({jail, signal, grace});
  return std::nullopt;
}

void FakeSupervisor::remove(const Client& client, const std::string& jail, bool force,
                            std::function<void(std::optional<Failure>)> done) {
  Jail* found = find(client, jail);
  if (found == nullptr) return done(NotFound{"jail", jail});
  if (!found->info.report && !force) return done(jails::Denied{"the jail is alive", "force"});
  jails.erase(found->info.jail);
  done(std::nullopt);
}

auto FakeSupervisor::subscribe(const Client&, std::uint64_t after, std::function<void(const jails::Event&)> event)
    -> Subscription {
  for (const jails::Event& old : past) {
    if (old.cursor > after) event(old);
  }
  const std::size_t id = ++last_subscription_;
  listeners_[id] = std::move(event);
  ++subscriptions;
  return {static_cast<void*>(this), [this, id](void*) {
            listeners_.erase(id);
            --subscriptions;
          }};
}

std::vector<jails::Event> FakeSupervisor::past_events(const Client&, std::uint64_t after) {
  std::vector<jails::Event> found = past;
  std::erase_if(found, [&](const jails::Event& event) { return event.cursor <= after; });
  return found;
}

void FakeSupervisor::pause_output(const std::string& jail, bool paused) {
  if (const auto found = jails.find(jail); found != jails.end()) found->second.paused = paused;
}

void FakeSupervisor::disconnected(const Client& client) {
  gone.push_back(client.connection);
  for (auto& [id, jail] : jails) {
    if (jail.connection != client.connection || jail.info.report) continue;
    exit(id, 137);
  }
}

std::string FakeSupervisor::profiles(const std::optional<std::string>& name) {
  return !name || *name == "default" ? R"([{"name":"default"}])" : "[]";
}

void FakeSupervisor::create(const Client& client, const protocol::JobSpec& spec,
                            std::function<void(OrFailure<protocol::JailInfo>)> done) {
  if (fails) return done(*fails);
  const auto id = run(client, spec, {});
  jails.at(std::get<0>(id)).info.session = true;
  done(jails.at(std::get<0>(id)).info);
}

auto FakeSupervisor::exec(const Client& client, const std::string& jail, const protocol::ExecSpec& spec,
                          jails::JobObserver observer, UniqueFd program) -> OrFailure<std::uint32_t> {
  if (fails) return *fails;
  if (find(client, jail) == nullptr) return Failure(NotFound{"jail", jail});
  execs[jail] = {spec, std::move(observer), program.valid()};
  return 2U;
}

std::shared_ptr<void> FakeSupervisor::attach(const Client& client, const std::string& jail, std::uint32_t job,
                                             std::optional<std::uint64_t> replay, jails::JobObserver observer) {
  asked.push_back(fmt::format("attach {} {} {}", jail, job, replay.value_or(0)));
  if (find(client, jail) == nullptr) {
    observer.failure(NotFound{"jail", jail});
    return {};
  }
  execs[jail].observer = std::move(observer);
  ++subscriptions;
  return {static_cast<void*>(this), [this](void*) { --subscriptions; }};
}

std::optional<Failure> FakeSupervisor::detach(const Client&, const std::string& jail, std::uint32_t job) {
  asked.push_back(fmt::format("detach {} {}", jail, job));
  return fails;
}

std::optional<Failure> FakeSupervisor::resize(const Client&, const std::string& jail, std::uint32_t job,
                                              protocol::WindowSize size) {
  asked.push_back(fmt::format("resize {} {} {}x{}", jail, job, size.rows, size.columns));
  return fails;
}

std::optional<Failure> FakeSupervisor::signal(const Client&, const std::string& jail, std::optional<std::uint32_t> job,
                                              int signal) {
  asked.push_back(fmt::format("signal {} {} {}", jail, job.value_or(0), signal));
  return fails;
}

auto FakeSupervisor::jobs(const Client& client, const std::string& jail) -> OrFailure<std::vector<protocol::JobInfo>> {
  if (find(client, jail) == nullptr) return Failure(NotFound{"jail", jail});
  protocol::JobInfo info;
  info.jail = jail;
  info.job = 2;
  info.state = "running";
  return std::vector<protocol::JobInfo>{info};
}

void FakeSupervisor::wait_job(const Client&, const std::string& jail, std::uint32_t job, ReportDone done) {
  asked.push_back(fmt::format("wait {} {}", jail, job));
  protocol::JobReport report;
  report.jail = jail;
  report.job = job;
  done(report);
}

std::optional<Failure> FakeSupervisor::kill_job(const Client&, const std::string& jail, std::uint32_t job, int signal,
                                                std::uint64_t grace) {
  asked.push_back(fmt::format("kill {} {} {} {}", jail, job, signal, grace));
  return fails;
}

void FakeSupervisor::freeze(const Client&, const std::string& jail, bool frozen,
                            std::function<void(std::optional<Failure>)> done) {
  asked.push_back(fmt::format("{} {}", frozen ? "freeze" : "thaw", jail));
  done(fails);
}

auto FakeSupervisor::extend(const Client&, const std::string& jail, std::uint64_t ttl) -> OrFailure<std::uint64_t> {
  asked.push_back(fmt::format("extend {}", jail));
  if (fails) return *fails;
  return 1000 + ttl;
}

auto FakeSupervisor::logs(const Client&, const std::string& jail, std::uint32_t job, bool follow, LogObserver observer)
    -> std::shared_ptr<LogFlow> {
  asked.push_back(fmt::format("logs {} {} {}", jail, job, follow));
  observer.piece({1, "kept", 7});
  observer.done(fails);
  return {};
}

}  // namespace sandboxd::test
