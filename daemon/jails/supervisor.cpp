#include <csignal>
#include <map>
#include <set>
#include <utility>

#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "daemon/jails/jail_supervisor.h"
#include "daemon/jails/random_id.h"
#include "daemon/plan/explain.h"

namespace sandboxd::jails {
namespace {

using Json = nlohmann::json;
using protocol::JailInfo;
using protocol::JobReport;
using protocol::JobSpec;

constexpr std::uint64_t kTrimEvery = 60'000'000;
constexpr std::uint64_t kMostGrace = 3'600'000'000;
constexpr std::uint64_t kSessionTtl = 3'600'000'000;

NotFound no_jail(const std::string& name) { return NotFound{"jail", name}; }

}  // namespace

JailSupervisor::JailSupervisor(sd_event* loop, Deps deps)
    : deps_(std::move(deps)),
      numbers_(std::min(deps_.numbers, kNumbersPerSlice)),
      events_(loop),
      audit_(loop, deps_.audit_socket, [this] { check_ready(); }),
      launcher_(loop, deps_.launcher_socket,
                {[this] { sweeper_.start(); }, [this] { sweeper_.stop(); },
                 [this](std::shared_ptr<const wire::ProfileSet> set) {
                   if (profiles_ && profiles_->hash == set->hash) return;
                   spdlog::info("profiles: {} loaded, hash {}", set->profiles.size(), hex(set->hash));
                   table_.charge_to(set->owners);
                   profiles_ = std::move(set);
                   check_ready();
                 }}),
      sweeper_(loop, launcher_, audit_,
               {[this](std::uint32_t number) { return table_.has_number(number); },
                [this](std::uint32_t number) { numbers_.mark(number); },
                [this](std::uint32_t number) { numbers_.free(number); }, [this] { check_ready(); }}),
      denials_(audit_),
      loop_(loop) {
  services_ = {loop,     &launcher_,        &audit_,
               &events_, deps_.stuck_after, [this](std::uint32_t number) { numbers_.free(number); }};
  audit_.start();
  launcher_.start();
  trim();
}

void JailSupervisor::trim() {
  table_.trim(monotonic_usec());
  const Status armed = trim_.arm(loop_, kTrimEvery, [this] { trim(); });
  if (!armed.ok()) spdlog::error("trim: {}", armed.error().message());
}

void JailSupervisor::check_ready() {
  if (!deps_.ready || !profiles_ || !sweeper_.done() || !audit_.connected()) return;
  const auto ready = std::exchange(deps_.ready, {});
  ready(profiles_->config);
}

std::string JailSupervisor::scope_of(const Client& client) const {
  return client.admin ? "admin.sock" : fmt::format("uid {}", charged(client.uid));
}

std::optional<Failure> JailSupervisor::check_client(const Client& client, const JobSpec& spec) const {
  if (ending_) return Unavailable{"sandboxd", "it is ending"};
  if (!launcher_.connected() || !profiles_ || !sweeper_.done())
    return Unavailable{"launcher", "not connected, or not ready yet"};
  if (!audit_.accepting()) return Unavailable{"audit", "records can't be written: nothing starts without one"};
  if (is_pool_id(client.uid)) return Denied{"user", "users of the host, not ids of the pool"};
  const std::uint64_t most = profiles_->config.user_jails;
  if (table_.alive(account_of(client)) >= most) return LimitReached{"user_jails", most, scope_of(client)};
  if (auto refused = check_descriptors(client, kJailDescriptors)) return refused;
  // A connection starts one at a time. Who hangs up meanwhile may not take all of the launcher's and the broker's places with what
  // is still under way.
  const std::uint64_t starting = profiles_->config.user_connections;
  if (table_.starting(account_of(client)) >= starting)
    return LimitReached{"user_connections", starting, "jails being started for " + scope_of(client)};
  if (spec.name && table_.name_in_use(account_of(client), *spec.name)) {
    return InvalidArgument{"/parameters/spec/name", *spec.name, "a name that none of your live jails has"};
  }
  return {};
}

// One user's jails and jobs could take all descriptors that the daemon may have, and nobody else would be served.
std::optional<Failure> JailSupervisor::check_descriptors(const Client& client, std::uint64_t more) const {
  if (deps_.descriptors == 0) return {};
  const Holding held = table_.descriptors(account_of(client));
  const std::uint64_t most = share_of(deps_.descriptors, held.others);
  if (held.own + more <= most) return {};
  return LimitReached{"user_descriptors", most, scope_of(client)};
}

// Without one that it asks for nothing starts; else the jail gets what there is, which its facts say.
std::optional<Failure> JailSupervisor::give_terminals(const Client& client, wire::JailPlan& plan) const {
  if (deps_.terminals == 0) return {};
  const std::uint64_t most = profiles_->config.user_terminals;
  const Holding held = table_.terminals(account_of(client));
  plan.terminals = static_cast<std::uint32_t>(terminals_for(plan.terminals, held, deps_.terminals, most));
  if (plan.terminals != 0 || plan.job.stdio != wire::StdioMode::kTerminal) return {};
  return LimitReached{"user_terminals", std::min(most, share_of(deps_.terminals, held.others)), scope_of(client)};
}

std::variant<const wire::Profile*, Failure> JailSupervisor::profile_of(const JobSpec& spec) const {
  if (!profiles_) return Unavailable{"launcher", "no profile is loaded yet"};
  const std::string& name = spec.profile ? *spec.profile : profiles_->config.default_profile;
  const wire::Profile* profile = profiles_->find(name);
  if (profile == nullptr) return NotFound{"profile", name};
  return profile;
}

plan::Context JailSupervisor::context_of(const Client& client, std::uint32_t number) const {
  const auto name = deps_.user_names.find(client.uid);
  return {.uid = client.uid,
          .gid = client.gid,
          .user_name = name == deps_.user_names.end() ? "" : name->second,
          .number = number,
          .jail = random_id("j-"),
          .request = random_id("r-"),
          .presets = profiles_->presets,
          .groups = {client.groups.begin(), client.groups.end()},
          .nofile_most = profiles_->nofile_most,
          .admin = client.admin};
}

std::string JailSupervisor::deny(const Client& client, const plan::Context& context, const plan::Denied& denied,
                                 RunObserver observer) {
  denials_.record(
      client, charged(account_of(client)), context.jail, context.request, denied.rule, denied.allowed,
      [this, client, context, denied, observer = std::move(observer)](Status written) {
        events_.add(Event{0, 0, context.jail, "denied", Json{{"rule", denied.rule}, {"allowed", denied.allowed}}.dump(),
                          client.uid, client.admin});
        if (!observer.failure) return;
        if (!written.ok()) return observer.failure(Unavailable{"audit", written.error().message()});
        observer.failure(Denied{denied.rule, denied.allowed});
      });
  return context.jail;
}

std::variant<std::string, Failure> JailSupervisor::run(const Client& client, const JobSpec& spec,
                                                       RunObserver observer) {
  return start(client, spec, /*session=*/false, std::move(observer));
}

std::variant<std::string, Failure> JailSupervisor::start(const Client& client, const JobSpec& spec, bool session,
                                                         RunObserver observer) {
  if (auto refused = check_client(client, spec)) return std::move(*refused);
  auto profile = profile_of(spec);
  if (auto* failure = std::get_if<Failure>(&profile)) return std::move(*failure);
  const std::uint32_t number = numbers_.take();
  if (number == 0) return LimitReached{"jails", numbers_.size() - 1, "this daemon's id pool"};
  plan::Context context = context_of(client, number);
  context.session = session;
  auto outcome = plan::make_plan(spec, *std::get<const wire::Profile*>(profile), context);
  if (!std::holds_alternative<wire::JailPlan>(outcome)) {
    numbers_.free(number);
    if (auto* wrong = std::get_if<plan::InvalidArgument>(&outcome))
      return InvalidArgument{wrong->path, wrong->value, wrong->expected};
    const auto& denied = std::get<plan::Denied>(outcome);
    // Past its rate a user's refusals share one record, and are answered at once.
    if (!denials_.take(charged(account_of(client)))) return Denied{denied.rule, denied.allowed};
    return deny(client, context, denied, std::move(observer));
  }
  JailRequest request;
  request.plan = std::get<wire::JailPlan>(std::move(outcome));
  if (auto refused = give_terminals(client, request.plan)) {
    numbers_.free(number);
    return std::move(*refused);
  }
  if (spec.log) {
    auto log = new_log(client, context.jail, wire::kFirstJob);
    if (auto* failure = std::get_if<Failure>(&log)) {
      numbers_.free(number);
      return std::move(*failure);
    }
    request.log = std::get<std::shared_ptr<JobLog>>(std::move(log));
  }
  request.client = client;
  request.charged = charged(account_of(client));
  request.name = spec.name.value_or("");
  request.stdio = spec.stdio;
  request.stdin_data = spec.stdin_data.value_or("");
  request.detach = spec.detach;
  request.labels = spec.labels;
  request.hidden_names = std::get<const wire::Profile*>(profile)->hidden_names;
  if (spec.explain_denials || request.plan.learn) request.profiles = profiles_;
  request.session_ttl = session ? spec.session_ttl.value_or(kSessionTtl) : 0;
  request.observer = std::move(observer);
  auto jail = std::make_shared<Jail>(services_, std::move(request));
  table_.add(jail);
  jail->when_over([this] { table_.trim(monotonic_usec()); });
  jail->start();
  return context.jail;
}

std::variant<std::string, Failure> JailSupervisor::explain(const Client& client, const JobSpec& spec) {
  auto profile = profile_of(spec);
  if (auto* failure = std::get_if<Failure>(&profile)) return std::move(*failure);
  const wire::Profile& found = *std::get<const wire::Profile*>(profile);
  JobSpec asked = spec;
  if (!asked.token && found.who.restricted) asked.token.emplace();      // of a start: here nothing is handed over
  auto outcome = plan::make_plan(asked, found, context_of(client, 1));  // any number: none is shown
  if (auto* wrong = std::get_if<plan::InvalidArgument>(&outcome))
    return InvalidArgument{wrong->path, wrong->value, wrong->expected};
  if (auto* denied = std::get_if<plan::Denied>(&outcome)) return Denied{denied->rule, denied->allowed};
  return plan::explain(std::get<wire::JailPlan>(outcome), found, spec.preset.value_or("default"));
}

std::variant<std::vector<JailInfo>, Failure> JailSupervisor::list(const Client& client) {
  std::vector<JailInfo> infos;
  for (const auto& jail : table_.visible(client)) infos.push_back(jail->info());
  return infos;
}

void JailSupervisor::inspect(const Client& client, const std::string& name,
                             std::function<void(std::variant<JailInfo, Failure>)> done) {
  const auto jail = table_.find(client, name);
  if (!jail) return done(no_jail(name));
  if (jail->state() != Jail::State::kRunning) {
    JailInfo info = jail->info();
    info.in_force = jail->facts();
    return done(std::move(info));
  }
  const uid_t user = charged(account_of(client));
  const std::uint64_t most = profiles_->config.user_connections;
  auto question = [this, user, jail, done] {
    launcher_.request(wire::LauncherMessage::kInspect, wire::NumberRequest{jail->number()},
                      [this, user, jail, done](const Result<wire::Message>& answer) {
                        done(inspected(*jail, answer));
                        inspections_.answered(user);
                      });
  };
  if (inspections_.ask(user, most, std::move(question))) return;
  done(LimitReached{"user_connections", most, fmt::format("questions about jails for {}", scope_of(client))});
}

std::variant<JailInfo, Failure> JailSupervisor::inspected(const Jail& jail, const Result<wire::Message>& answer) {
  if (!answer.ok()) return Unavailable{"launcher", answer.error().message()};
  JailInfo info = jail.info();
  if (answer->type == static_cast<std::uint16_t>(wire::LauncherMessage::kInspected)) {
    const auto readback = wire::body_of<wire::Readback>(*answer);
    if (!readback.ok()) return Unavailable{"launcher", readback.error().message()};
    for (const wire::Fact& fact : readback->facts) info.in_force.push_back({fact.name, fact.value});
    // Landlock can't be read back, only tried, and it can't be loosened: what was told at the start.
    for (const protocol::Fact& fact : jail.facts()) {
      if (fact.name.starts_with("landlock_")) info.in_force.push_back(fact);
    }
    return info;
  }
  const auto failed = wire::body_of<wire::Failed>(*answer);
  if (!failed.ok()) return Unavailable{"launcher", failed.error().message()};
  // It ended meanwhile: what was in force at its start is what is known.
  if (jail.state() == Jail::State::kRunning) return SetupFailed{failed->step, failed->code, failed->detail};
  info.in_force = jail.facts();
  return info;
}

void JailSupervisor::wait(const Client& client, const std::string& name,
                          std::function<void(std::variant<JobReport, Failure>)> done) {
  const auto jail = table_.find(client, name);
  if (!jail) return done(no_jail(name));
  jail->wait({std::move(done), {}});
}

std::optional<Failure> JailSupervisor::kill(const Client& client, const std::string& name, int signal,
                                            std::uint64_t grace) {
  if (signal < 1 || signal > 64) return InvalidArgument{"/parameters/signal", fmt::format("{}", signal), "1 to 64"};
  if (grace > kMostGrace)
    return InvalidArgument{"/parameters/grace", fmt::format("{}", grace), fmt::format("at most {}", kMostGrace)};
  const auto jail = table_.find(client, name);
  if (!jail) return no_jail(name);
  jail->kill(signal, grace, fmt::format("killed by uid {}", client.uid));
  return {};
}

void JailSupervisor::remove(const Client& client, const std::string& name, bool force,
                            std::function<void(std::optional<Failure>)> done) {
  const auto jail = table_.find(client, name);
  if (!jail) return done(no_jail(name));
  if (jail->state() == Jail::State::kStuck) return done(Unavailable{"jail", "it has processes that can't be killed"});
  const bool live = jail->state() == Jail::State::kStarting || jail->state() == Jail::State::kRunning;
  if (live && !force) return done(InvalidArgument{"/parameters/jail", name, "a jail that has ended, or force"});
  if (live) jail->kill_now(fmt::format("removed by uid {}", client.uid));
  jail->when_over([this, weak = std::weak_ptr(jail), force, done = std::move(done)] {
    const auto over = weak.lock();
    if (!over) return;
    // Its clients hear of its end first; with force they need not have read what it wrote.
    if (force) over->cut_output();
    over->when_told([this, id = over->id(), done] {
      table_.erase(id);
      done({});
    });
  });
}

Supervisor::Subscription JailSupervisor::subscribe(const Client& client, std::uint64_t after,
                                                   std::function<void(const Event&)> event) {
  return events_.subscribe(client.uid, client.admin, after, std::move(event));
}

void JailSupervisor::pause_output(const std::string& jail, bool paused) {
  if (const auto found = table_.by_id(jail)) found->pause_output(paused);
}

void JailSupervisor::end(std::function<void()> done) {
  ending_ = true;
  // Dropped with the last jail's callback, or at once without any.
  const std::shared_ptr<void> last(nullptr, [done = std::move(done)](void*) { done(); });
  for (const auto& jail : table_.visible(Client{.admin = true})) {
    if (jail->over()) continue;
    jail->kill(SIGTERM, deps_.end_grace, "the daemon is ending");
    jail->when_over([last] {});
  }
}

void JailSupervisor::disconnected(const Client& client) {
  for (const auto& jail : table_.visible(Client{.admin = true})) jail->client_gone(client.connection);
}

std::string JailSupervisor::host_info() {
  Json info = {
      {"version", SANDBOXD_VERSION},
      {"pool", {{"first", deps_.slice_first}, {"numbers", numbers_.size() - 1}, {"in_use", numbers_.in_use()}}},
      {"launcher", launcher_.connected() && sweeper_.done() ? "connected" : "away"},
      {"audit", audit_.connected() ? "connected" : "away"}};
  if (profiles_) {
    const wire::Config& config = profiles_->config;
    info["profile_set"] = hex(profiles_->hash);
    info["default_profile"] = config.default_profile;
    info["cgroup_root"] = config.cgroup_root;
    info["presets"] = Json::array();
    for (const wire::Preset& preset : profiles_->presets) info["presets"].push_back(preset.name);
    info["nofile_most"] = profiles_->nofile_most;
    info["unenforced_limits"] = config.unenforced_limits;
    info["limits"] = {{"user_jails", config.user_jails},
                      {"user_connections", config.user_connections},
                      {"user_calls_per_second", config.user_calls_per_second},
                      {"user_terminals", config.user_terminals},
                      {"user_pending_bytes", config.user_pending_bytes}};
  }
  return info.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string JailSupervisor::profiles(const std::optional<std::string>& name) {
  std::string list = "[";
  if (profiles_) {
    for (const wire::Profile& profile : profiles_->profiles) {
      if (name && profile.name != *name) continue;
      if (list.size() > 1) list += ",";
      list += plan::profile_json(profile);
    }
  }
  return list + "]";
}

std::unique_ptr<Supervisor> make_supervisor(sd_event* loop, Deps deps) {
  return std::make_unique<JailSupervisor>(loop, std::move(deps));
}

}  // namespace sandboxd::jails
