// The fourth part of daemon/jails/jail.h: what its limits do to a jail, and what it uses.
#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/limit_text.h"
#include "cgroups/limits.h"
#include "daemon/jails/jail.h"
#include "daemon/jails/random_id.h"
#include "daemon/jails/records.h"

namespace sandboxd::jails {
namespace {

using Json = nlohmann::json;
using wire::StartedFd;

std::optional<std::uint64_t> some(std::uint64_t limit) {
  if (limit == 0) return std::nullopt;
  return limit;
}

// What changes, by name: before and after.
std::string changes_text(const Limits& before, const Limits& after) {
  Json changes = Json::object();
  for (const LimitRow& row : kLimitRows) {
    if (before.*row.member == after.*row.member) continue;
    changes[std::string(row.name)] = {{"before", limit_text(row, before.*row.member)},
                                      {"after", limit_text(row, after.*row.member)}};
  }
  return changes.dump();
}

}  // namespace

Status Jail::start_limits() {
  TRY(clocks_.start(
      services_.loop, plan_.limits,
      [this]() -> std::optional<std::uint64_t> {
        const auto stat = meter_.cpu();
        if (!stat) return std::nullopt;
        return stat->usage;
      },
      [this](EndCause cause) { end_by(std::move(cause)); }));
  TRY(limit_watch_.start(services_.loop, meter_, plan_.limits,
                         [this](const std::string& kind, const std::string& detail) {
                           emit(kind, detail);
                           note_limit_event(kind);
                         }));
  std::vector<LimitWatch::Scratch> scratch;
  for (const wire::Tmpfs& row : plan_.tmpfs) scratch.push_back({row.path, row.size, row.inodes});
  limit_watch_.watch_scratch(std::move(scratch), [this] {
    control_.expect_answer();
    // A jail whose control socket is full or gone has no news of its tmpfs.
    (void)control_.send(wire::InitCommand::kLook, 0);
  });
  return {};
}

void Jail::stop_limits() {
  clocks_.stop();
  limit_watch_.finish();
}

void Jail::end_by(EndCause cause) {
  if (!cause_) cause_ = std::move(cause);
  ladder_.kill();
}

// With the group (memory.oom.group) the kernel kills jail-init as well, so nobody in the jail is left to say so.
std::optional<EndCause> Jail::cause_of_death() const {
  if (cause_) return cause_;
  const auto memory = meter_.memory_events();
  if (!memory || memory->oom_kill == 0) return std::nullopt;
  const bool own = plan_.limits.memory_max != 0 && (memory->oom != 0 || memory->max != 0);
  const std::string what = own ? reached("memory_max", plan_.limits) : "the host ran out of memory";
  return EndCause{protocol::Verdict::kOom, fmt::format("{}; {} process{} killed", what, memory->oom_kill,
                                                       memory->oom_kill == 1 ? " was" : "es were")};
}

protocol::JailStats Jail::stats() const {
  protocol::JailStats stats;
  stats.jail = id();
  stats.name = name_;
  stats.profile = plan_.profile;
  stats.frozen = frozen_;
  stats.jobs = info().jobs;
  stats.usage.wall = monotonic_usec() - started_monotonic_;
  meter_.read(stats.usage);
  stats.memory_current = meter_.amount(StartedFd::kMemoryCurrent);
  stats.pids_current = meter_.amount(StartedFd::kPidsCurrent);
  stats.memory_max = some(plan_.limits.memory_max);
  stats.pids_max = some(plan_.limits.pids_max);
  stats.cpu_max = some(plan_.limits.cpu_max);
  return stats;
}

void Jail::update(const Client& client, const Limits& limits, const UpdateDone& done) {
  if (state_ != State::kRunning)
    return done(InvalidArgument{"/parameters/jail", info().state, "a jail that is running"});
  const bool by_id = std::ranges::find(enforced_, protocol::Enforced{"pids_max", "RLIMIT_NPROC"}) != enforced_.end();
  if (by_id && limits.pids_max != plan_.limits.pids_max) {
    return done(InvalidArgument{
        "/parameters/limits/pids_max", fmt::format("{}", limits.pids_max),
        "nothing: in a session, and without the pids controller, it is fixed when the jail starts (RLIMIT_NPROC)"});
  }
  const std::string request = random_id("r-");
  wire::AuditRecord intent{"jail.update", wire::AuditPhase::kIntent,         "allow", request, id(),
                           client.uid,    changes_text(plan_.limits, limits)};
  services_.audit->append(
      std::move(intent), [weak = weak_from_this(), request, limits, done](const Result<std::uint64_t>& index) {
        const auto self = weak.lock();
        if (!self || !index.ok())
          return done(Unavailable{"audit", index.ok() ? "the jail ended" : index.error().message()});
        self->send_update(request, limits, done);
      });
}

void Jail::send_update(const std::string& request, const Limits& limits, const UpdateDone& done) {
  services_.launcher->request(wire::LauncherMessage::kUpdate, wire::UpdateRequest{number(), request, limits},
                              [weak = weak_from_this(), request, limits, done](const Result<wire::Message>& answer) {
                                const auto self = weak.lock();
                                if (!self) return done(Unavailable{"jail", "it ended"});
                                const std::string changes = changes_text(self->plan_.limits, limits);
                                auto taken = self->take_update(limits, answer);
                                const auto* failure = std::get_if<Failure>(&taken);
                                const std::string detail = failure == nullptr ? changes : failure_detail(*failure);
                                self->services_.audit->append_soon(
                                    {"jail.update", wire::AuditPhase::kResult, failure == nullptr ? "ok" : "error",
                                     request, self->id(), self->client_.uid, detail},
                                    [](const Result<std::uint64_t>& index) {
                                      if (!index.ok()) spdlog::error("update: {}", index.error().message());
                                    });
                                if (failure == nullptr) self->emit("updated", changes);
                                done(std::move(taken));
                              });
}

// The launcher takes what the administrator lets this host go without; the jail's report says so.
void Jail::note_unheld(const Limits& limits, const wire::Readback& readback) {
  for (const LimitRow& row : kLimitRows) {
    if (row.controller.empty() || limits.*row.member == plan_.limits.*row.member) continue;
    const std::string file = fmt::format("cgroup.{}", cgroups::file_of(row));
    const bool held = std::ranges::find(readback.facts, file, &wire::Fact::name) != readback.facts.end();
    const bool none = none_of(row) == limits.*row.member;
    const std::string name(row.name);
    if (held || none || std::ranges::find(unenforced_, name) != unenforced_.end()) continue;
    unenforced_.push_back(name);
  }
}

std::variant<std::vector<protocol::Fact>, Failure> Jail::take_update(const Limits& limits,
                                                                     const Result<wire::Message>& answer) {
  if (!answer.ok()) return Unavailable{"launcher", answer.error().message()};
  if (answer->type == static_cast<std::uint16_t>(wire::LauncherMessage::kFailed)) {
    const auto failed = wire::body_of<wire::Failed>(*answer);
    if (!failed.ok()) return Unavailable{"launcher", failed.error().message()};
    if (failed->denied) return Denied{failed->step, failed->detail};
    return SetupFailed{failed->step, failed->code, failed->detail};
  }
  const auto readback = wire::body_of<wire::Readback>(*answer);
  if (answer->type != static_cast<std::uint16_t>(wire::LauncherMessage::kUpdated) || !readback.ok())
    return Unavailable{"launcher", "an answer that is not one to an update"};
  note_unheld(limits, *readback);
  plan_.limits = limits;
  base_.limits = limits;
  limit_watch_.set_limits(limits);
  std::vector<protocol::Fact> facts;
  for (const wire::Fact& fact : readback->facts) facts.push_back({fact.name, fact.value});
  return facts;
}

}  // namespace sandboxd::jails
