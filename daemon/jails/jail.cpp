#include "daemon/jails/jail.h"

#include <array>
#include <cerrno>
#include <utility>

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"

namespace sandboxd::jails {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kArgvKept = 32U << 10;  // of an ended jail too, so it is bounded
constexpr std::size_t kArgvRecorded = 4U << 10;
constexpr std::uint64_t kWallBackstop = 2'000'000;  // jail-init keeps the deadline; this is for one that doesn't
constexpr std::uint64_t kSettle = 2'000'000;        // how long a jail may outlive its job

std::vector<std::string> cut_argv(const std::vector<std::string>& argv, std::size_t most) {
  std::vector<std::string> cut;
  std::size_t total = 0;
  for (const std::string& argument : argv) {
    if (total > most) break;
    cut.push_back(argument.substr(0, most + 1 - std::min(most, total)));
    total += argument.size() + 1;
  }
  return cut;
}

Json bytes_json(const std::string& bytes) {
  if (is_utf8(bytes)) return bytes;
  return Json{{"b64", base64_encode(bytes)}};
}

std::string intent_detail(const wire::JailPlan& plan, const std::string& name) {
  Json argv = Json::array();
  for (const std::string& argument : cut_argv(plan.job.argv, kArgvRecorded)) argv.push_back(bytes_json(argument));
  Json binds = Json::array();
  for (const wire::Bind& bind : plan.binds) {
    binds.push_back({{"target", bytes_json(bind.target)},
                     {"access", bind.access == wire::Access::kRw ? "rw" : "ro"},
                     {"workspace", bind.workspace}});
  }
  const Json detail = {{"profile", plan.profile},
                       {"profile_hash", hex(plan.profile_hash)},
                       {"name", name},
                       {"number", plan.number},
                       {"argv", argv},
                       {"arguments", plan.job.argv.size()},
                       {"binds", binds},
                       {"network", plan.network == wire::NetworkMode::kHost ? "host" : "none"},
                       {"user_root", plan.inside_uid == 0}};
  return detail.dump();
}

Failure failure_of(const wire::Failed& failed) {
  if (failed.denied) return Denied{failed.step, failed.detail};
  return SetupFailed{failed.step, failed.code, failed.detail};
}

std::string detail_of(const Failure& failure) {
  Json detail = Json::object();
  if (const auto* denied = std::get_if<Denied>(&failure))
    detail = {{"rule", denied->rule}, {"allowed", denied->allowed}};
  if (const auto* setup = std::get_if<SetupFailed>(&failure)) {
    detail = {{"step", setup->step}, {"errno", setup->code}, {"detail", setup->detail}};
  }
  if (const auto* away = std::get_if<Unavailable>(&failure))
    detail = {{"unavailable", away->what}, {"detail", away->detail}};
  return detail.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_seqpacket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

Jail::Jail(Services& services, JailRequest request)
    : services_(services),
      client_(std::move(request.client)),
      name_(std::move(request.name)),
      plan_(std::move(request.plan)),
      stdio_(request.stdio),
      stdin_data_(std::move(request.stdin_data)),
      observer_(std::move(request.observer)),
      shown_argv_(cut_argv(plan_.job.argv, kArgvKept)),
      started_realtime_(realtime_usec()),
      started_monotonic_(monotonic_usec()) {}

void Jail::start() {
  wire::AuditRecord intent{"jail.start", wire::AuditPhase::kIntent,  "allow", plan_.request, id(),
                           client_.uid,  intent_detail(plan_, name_)};
  // Not waited for: the launcher's own record cites it, and is refused if it is not in the log.
  services_.audit->append(std::move(intent), [jail = id()](Result<std::uint64_t> index) {
    if (!index.ok()) spdlog::error("jail {}: intent: {}", jail, index.error().message());
  });
  services_.launcher->request(wire::LauncherMessage::kStart, plan_,
                              [weak = weak_from_this()](Result<wire::Message> answer) {
                                if (const auto self = weak.lock()) self->on_start_answer(std::move(answer));
                              });
  // Environment and arguments may be large and have been handed on.
  plan_.job.argv = {};
  plan_.job.env = {};
  emit("starting", "{}");
}

void Jail::emit(const std::string& kind, const std::string& detail) {
  services_.events->add(Event{0, 0, id(), kind, detail, client_.uid});
}

void Jail::on_start_answer(Result<wire::Message> answer) {
  if (!answer.ok()) return fail_start(Unavailable{"launcher", answer.error().message()}, "unknown");
  if (answer->type == static_cast<std::uint16_t>(wire::LauncherMessage::kFailed)) {
    const auto failed = wire::body_of<wire::Failed>(*answer);
    if (!failed.ok()) return fail_start(Unavailable{"launcher", failed.error().message()}, "unknown");
    return fail_start(failure_of(*failed), failed->denied ? "deny" : "error");
  }
  const auto started = wire::body_of<wire::Started>(*answer);
  if (answer->type != static_cast<std::uint16_t>(wire::LauncherMessage::kStarted) || !started.ok() ||
      started->number != number() || answer->fds.size() != wire::kStartedFds) {
    return fail_start(Unavailable{"launcher", "an answer that is not one to a start"}, "unknown");
  }
  adopt(*started, std::move(answer->fds));
}

void Jail::adopt(const wire::Started& started, std::vector<UniqueFd> fds) {
  for (const wire::Fact& fact : started.readback.facts) facts_.push_back({fact.name, fact.value});
  const Status watched = watch(std::move(fds));
  if (!watched.ok()) {
    ladder_.kill();
    return fail_start(Unavailable{"sandboxd", watched.error().message()}, "error");
  }
  state_ = State::kRunning;
  emit("started", "{}");
  if (!kill_reason_.empty()) ladder_.kill();
  // With descriptors to hand over, the client hears of the start with them.
  if (stdio_ != protocol::Stdio::kPass) tell_started({});
}

Status Jail::watch(std::vector<UniqueFd> fds) {
  const auto take = [&fds](wire::StartedFd which) { return std::move(fds[static_cast<std::size_t>(which)]); };
  pidfd_ = take(wire::StartedFd::kPidfd);
  cgroup_freeze_ = take(wire::StartedFd::kCgroupFreeze);
  cgroup_events_ = take(wire::StartedFd::kCgroupEvents);
  cpu_stat_ = take(wire::StartedFd::kCpuStat);
  UniqueFd control = take(wire::StartedFd::kControl);
  ladder_.start(
      services_.loop, take(wire::StartedFd::kCgroupKill),
      [this](int signal) { return control_.send(wire::InitCommand::kSignal, signal); }, [this] { on_stuck(); },
      services_.stuck_after);
  if (!is_seqpacket(control.get())) return make_error("the control socket is not one");
  TRY(control_.start(services_.loop, std::move(control),
                     {[this](std::vector<UniqueFd> streams) { on_streams(std::move(streams)); },
                      [this](const wire::InitEventRecord& record) { on_event(record); },
                      [this](const std::string& why) { on_breach(why); }}));
  TRY(gone_watch_.start(services_.loop, pidfd_.get(), EPOLLIN, [this](std::uint32_t) { on_gone(); }));
  if (plan_.limits.wall_time == 0) return {};
  return wall_.arm(services_.loop, plan_.limits.wall_time + kWallBackstop, [this] {
    timed_out_ = true;
    ladder_.kill();
  });
}

void Jail::tell_started(std::vector<UniqueFd> pass_fds) {
  if (std::exchange(told_started_, true)) return;
  const auto started = observer_.started;
  if (started) started(info(), std::move(pass_fds));
}

void Jail::on_streams(std::vector<UniqueFd> fds) {
  if (stdio_ == protocol::Stdio::kPass) return tell_started(std::move(fds));
  if (stdio_ != protocol::Stdio::kRelay) return on_breach("streams that nobody asked for");
  const Status relayed = streams_.start(
      services_.loop, std::move(fds), std::move(stdin_data_),
      [this](int stream, std::string_view bytes) {
        const auto output = observer_.output;
        if (output) output(stream, bytes);
      },
      [this] { maybe_report(); });
  if (!relayed.ok()) on_breach(relayed.error().message());
}

void Jail::on_event(const wire::InitEventRecord& record) {
  switch (record.event) {
    case wire::InitEvent::kWallTime: timed_out_ = true; return;
    case wire::InitEvent::kJobExited:
    case wire::InitEvent::kJobFailed:
      if (job_end_) return on_breach("a second end of the job");
      job_end_ = record;
      decide();
      // jail-init ends with its job; one that does not is helped.
      if (!settle_.arm(services_.loop, kSettle, [this] { ladder_.kill(); }).ok()) ladder_.kill();
      return;
    case wire::InitEvent::kStreams:
    case wire::InitEvent::kJobReady:
    case wire::InitEvent::kJobGone:
    case wire::InitEvent::kJobStarted: return;
  }
}

void Jail::on_breach(const std::string& why) {
  spdlog::error("jail {}: its control socket: {}", id(), why);
  if (kill_reason_.empty()) kill_reason_ = "broke the protocol: " + why;
  ladder_.kill();
}

// The outcome may be unknown, so the number is taken until the launcher says that nothing has it.
void Jail::fail_start(Failure failure, const std::string& outcome) {
  decided_ = true;
  state_ = State::kEnding;
  const std::string detail = detail_of(failure);
  const std::string kind = outcome == "deny" ? "denied" : "failed";
  failure_ = std::move(failure);
  wire::AuditRecord record{"jail.start", wire::AuditPhase::kResult, outcome, plan_.request, id(), client_.uid, detail};
  services_.audit->append(std::move(record), [weak = weak_from_this(), kind, detail](Result<std::uint64_t> index) {
    const auto self = weak.lock();
    if (!self) return;
    self->emit(kind, detail);
    if (!index.ok()) self->failure_ = Unavailable{"audit", index.error().message()};
    self->recorded_ = true;
    self->gone_ = true;
    self->maybe_report();
  });
}

void Jail::kill(int signal, std::uint64_t grace_usec, const std::string& why) {
  if (state_ == State::kEnded || reported_) return;
  if (kill_reason_.empty()) kill_reason_ = why;
  if (state_ != State::kStarting) ladder_.climb(signal, grace_usec);
}

void Jail::pause_output(bool paused) { streams_.pause(paused); }

void Jail::forget_observer() {
  observer_ = {};
  streams_.pause(false);  // what nobody hears holds nothing back
}

protocol::JailInfo Jail::info() const {
  constexpr std::array<const char*, 5> kNames = {"starting", "running", "ending", "stuck", "ended"};
  protocol::JailInfo info;
  info.jail = id();
  info.name = name_;
  info.profile = plan_.profile;
  info.state = kNames[static_cast<std::size_t>(state_)];
  info.uid = client_.uid;
  info.argv = shown_argv_;
  info.started = started_realtime_;
  if (reported_) info.report = report_;
  return info;
}

}  // namespace sandboxd::jails
