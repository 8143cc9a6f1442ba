#include "daemon/jails/jail.h"

#include <array>
#include <cerrno>
#include <utility>

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "daemon/jails/records.h"
#include "daemon/plan/redact.h"

namespace sandboxd::jails {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kArgvKept = 32U << 10;        // of an ended jail too, so it is bounded
constexpr std::uint64_t kWallBackstop = 2'000'000;  // jail-init keeps the deadline; this is for one that doesn't
constexpr std::uint64_t kSettle = 2'000'000;        // how long a jail may outlive its job

std::string intent_detail(const wire::JailPlan& plan, const std::string& name, const std::vector<std::string>& argv) {
  Json binds = Json::array();
  for (const wire::Bind& bind : plan.binds) {
    binds.push_back({{"target", Json::parse(bytes_text(bind.target))},
                     {"access", bind.access == wire::Access::kRw ? "rw" : "ro"},
                     {"workspace", bind.workspace}});
  }
  const Json detail = {{"profile", plan.profile},
                       {"profile_hash", hex(plan.profile_hash)},
                       {"name", name},
                       {"number", plan.number},
                       {"argv", Json::parse(argv_text(argv))},
                       {"session", plan.session},
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

bool is_seqpacket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

}  // namespace

Jail::Jail(Services& services, JailRequest request)
    : services_(services),
      client_(std::move(request.client)),
      charged_(request.charged),
      name_(std::move(request.name)),
      plan_(std::move(request.plan)),
      stdio_(request.stdio),
      stdin_data_(std::move(request.stdin_data)),
      detached_(request.detach || plan_.session),
      labels_(std::move(request.labels)),
      session_ttl_(request.session_ttl),
      profiles_(std::move(request.profiles)),
      log_(std::move(request.log)),
      base_{plan_.job.env, plan_.job.workdir, plan_.limits},
      observer_(std::move(request.observer)),
      hidden_names_(std::move(request.hidden_names)),
      shown_argv_(cut_argv(plan::shown_argv(hidden_names_, plan_.job.argv, plan_.job.env), kArgvKept)),
      started_realtime_(realtime_usec()),
      started_monotonic_(monotonic_usec()) {}

void Jail::start() {
  wire::AuditRecord intent{"jail.start",
                           wire::AuditPhase::kIntent,
                           "allow",
                           plan_.request,
                           id(),
                           client_.uid,
                           intent_detail(plan_, name_, shown_argv_)};
  // Not waited for: the launcher's own record cites it, and is refused if it is not in the log.
  services_.audit->append(std::move(intent), [jail = id()](Result<std::uint64_t> index) {
    if (!index.ok()) spdlog::error("jail {}: intent: {}", jail, index.error().message());
  });
  services_.launcher->start(charged_, plan_, [weak = weak_from_this()](Result<wire::Message> answer) {
    if (const auto self = weak.lock()) self->on_start_answer(std::move(answer));
  });
  // Environment and arguments may be large and have been handed on.
  plan_.job.argv = {};
  plan_.job.env = {};
  emit("starting", "{}");
}

void Jail::emit(const std::string& kind, const std::string& detail) {
  services_.events->add(Event{0, 0, id(), kind, detail, client_.uid, client_.admin});
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
      started->number != number() || !wire::place_descriptors(started->descriptors, answer->fds)) {
    return fail_start(Unavailable{"launcher", "an answer that is not one to a start"}, "unknown");
  }
  adopt(*started, std::move(answer->fds));
}

void Jail::adopt(const wire::Started& started, std::vector<UniqueFd> fds) {
  for (const wire::Fact& fact : started.readback.facts) facts_.push_back({fact.name, fact.value});
  for (const wire::Enforced& one : started.enforced) enforced_.push_back({one.limit, one.by});
  unenforced_ = started.unenforced;
  const Status watched = watch(std::move(fds));
  if (!watched.ok()) {
    ladder_.kill();
    return fail_start(Unavailable{"sandboxd", watched.error().message()}, "error");
  }
  state_ = State::kRunning;
  emit("started", "{}");
  if (!kill_reason_.empty()) ladder_.kill();
  arm_session();
  // With descriptors to hand over, the client hears of the start with them.
  if (stdio_ != protocol::Stdio::kPass || plan_.session) tell_started({});
}

Status Jail::watch(std::vector<UniqueFd> fds) {
  const auto take = [&fds](wire::StartedFd which) { return std::move(fds[static_cast<std::size_t>(which)]); };
  pidfd_ = take(wire::StartedFd::kPidfd);
  cgroup_freeze_ = take(wire::StartedFd::kCgroupFreeze);
  cgroup_events_ = take(wire::StartedFd::kCgroupEvents);
  UniqueFd control = take(wire::StartedFd::kControl);
  ladder_.start(
      services_.loop, take(wire::StartedFd::kCgroupKill),
      [this](int signal) {
        // A frozen process takes no signal but SIGKILL.
        if (frozen_) write_freeze(false, {});
        const auto command = plan_.session ? wire::InitCommand::kSignalAll : wire::InitCommand::kSignal;
        return control_.send(command, signal, wire::kFirstJob);
      },
      [this] { on_stuck(); }, services_.stuck_after);
  meter_.take(fds);
  if (!is_seqpacket(control.get())) return make_error("the control socket is not one");
  if (plan_.explain_denials) control_.expect_denials();
  if (plan_.learn) control_.expect_learning();
  TRY(control_.start(services_.loop, std::move(control),
                     {[this](std::uint32_t job, std::vector<UniqueFd> streams) { on_streams(job, std::move(streams)); },
                      [this](const wire::InitEventRecord& record) { on_event(record); },
                      [this](const std::string& why) { on_breach(why); }}));
  TRY(gone_watch_.start(services_.loop, pidfd_.get(), EPOLLIN, [this](std::uint32_t) { on_gone(); }));
  TRY(start_limits());
  if (plan_.limits.wall_time == 0) return {};
  return wall_.arm(services_.loop, plan_.limits.wall_time + kWallBackstop, [this] {
    end_by({protocol::Verdict::kTimeoutWall, reached("wall_time", plan_.limits)});
  });
}

void Jail::tell_started(std::vector<UniqueFd> pass_fds) {
  if (std::exchange(told_started_, true)) return;
  const auto started = observer_.started;
  if (started) started(info(), std::move(pass_fds));
}

void Jail::on_streams(std::uint32_t job, std::vector<UniqueFd> fds) {
  if (job != wire::kFirstJob) {
    const auto found = jobs_.find(job);
    if (found == jobs_.end()) return on_breach("streams of a job that nobody asked for");
    const auto keep = found->second;
    return keep->on_streams(std::move(fds));
  }
  const bool asked = plan_.job.stdio == wire::StdioMode::kPipes || plan_.job.stdio == wire::StdioMode::kTerminal;
  if (!asked || plan_.session || std::exchange(had_streams_, true)) return on_breach("streams that nobody asked for");
  if (const Status taken = take_streams(std::move(fds)); !taken.ok()) on_breach(taken.error().message());
}

Status Jail::take_streams(std::vector<UniqueFd> fds) {
  Streams::Options options;
  const bool terminal = plan_.job.stdio == wire::StdioMode::kTerminal;
  options.kind = terminal ? StreamKind::kTerminal : plan_.job.merge_stderr ? StreamKind::kMerged : StreamKind::kPipes;
  if (fds.size() != descriptors_of(options.kind)) return make_error("not the streams that were asked for");
  const bool pass = stdio_ == protocol::Stdio::kPass;
  const bool seen = plan_.explain_denials || log_ || plan_.limits.output_max != 0 || plan_.limits.idle_time != 0;
  if (pass && !terminal && !seen) {
    tell_started(std::move(fds));
    return {};
  }
  std::vector<UniqueFd> theirs;
  options.input = std::move(stdin_data_);
  options.attachable = terminal || detached_;
  options.after_others = plan_.explain_denials;
  options.log = log_;
  options.most = plan_.limits.output_max;
  options.over = [this] { end_by({protocol::Verdict::kOutputLimit, reached("output_max", plan_.limits)}); };
  if (plan_.limits.idle_time != 0) options.active = [this] { clocks_.saw_output(); };
  if (pass && !terminal) {
    options.keep_input = true;
    theirs.push_back(std::move(fds[0]));
  }
  if (!pass && !detached_) {
    options.output = [this](int stream, std::string_view bytes) {
      const auto output = observer_.output;
      if (output) output(stream, bytes);
    };
  }
  TRY(streams_.start(services_.loop, std::move(fds), std::move(options), [this] { maybe_report(); }));
  if (!pass) return {};
  TRY_ASSIGN(std::vector<UniqueFd> made, streams_.attach(0, own_attachment_));
  for (std::size_t i = theirs.empty() ? 0 : 1; i < made.size(); ++i) theirs.push_back(std::move(made[i]));
  tell_started(std::move(theirs));
  return {};
}

void Jail::on_event(const wire::InitEventRecord& record) {
  if (record.event == wire::InitEvent::kDenied) return on_denied(record);
  if (record.event == wire::InitEvent::kLearned) return on_learned(record);
  if (record.job > wire::kFirstJob) {
    const auto found = jobs_.find(record.job);
    if (found == jobs_.end()) return on_breach("an event of a job that nobody asked for");
    const auto keep = found->second;
    return keep->on_event(record);
  }
  // The jail's own deadline, and its tmpfs, are all that there is to say of no job.
  const bool of_jail = record.event == wire::InitEvent::kWallTime || record.event == wire::InitEvent::kFull;
  if (record.job == 0 && !of_jail) return on_breach("an event of no job");
  switch (record.event) {
    case wire::InitEvent::kFull:
      if (record.job != 0 || !limit_watch_.on_full(record.full)) on_breach("an answer to no question");
      return;
    case wire::InitEvent::kWallTime:
      if (!cause_) cause_ = EndCause{protocol::Verdict::kTimeoutWall, reached("wall_time", plan_.limits)};
      return;
    case wire::InitEvent::kJobExited:
    case wire::InitEvent::kJobFailed:
      if (job_end_ || plan_.session) return on_breach("an end of a job that there is not");
      if (record.event == wire::InitEvent::kJobExited && !is_end(record.value)) return on_breach("an end that is none");
      job_end_ = record;
      decide();
      // jail-init ends with its job; one that does not is helped.
      if (!settle_.arm(services_.loop, kSettle, [this] { ladder_.kill(); }).ok()) ladder_.kill();
      return;
    case wire::InitEvent::kStreams:
    case wire::InitEvent::kJobReady:
    case wire::InitEvent::kJobGone:
    case wire::InitEvent::kDenied:
    case wire::InitEvent::kLearned:
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
  const std::string detail = failure_detail(failure);
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
  if (state_ == State::kStarting) return;
  ladder_.climb(signal, grace_usec);
  end_if_empty();
}

void Jail::pause_output(bool paused) { streams_.pause(paused); }

void Jail::forget_observer() {
  observer_ = {};
  own_attachment_.reset();
  streams_.pause(false);  // what nobody hears holds nothing back
}

protocol::JailInfo Jail::info() const {
  constexpr std::array<const char*, 5> kNames = {"starting", "running", "ending", "stuck", "ended"};
  protocol::JailInfo info;
  info.jail = id();
  info.name = name_;
  info.profile = plan_.profile;
  info.profile_hash = hex(plan_.profile_hash);
  info.state = kNames[static_cast<std::size_t>(state_)];
  info.uid = client_.uid;
  info.argv = shown_argv_;
  info.started = started_realtime_;
  if (reported_) info.report = report_;
  info.session = plan_.session;
  info.frozen = frozen_;
  info.labels = labels_;
  info.unenforced = unenforced_;
  if (expires_ != 0) info.expires = expires_;
  const bool first = !plan_.session && (state_ == State::kRunning || state_ == State::kStarting);
  info.jobs = static_cast<std::uint32_t>(jobs_alive() + (first ? 1 : 0));
  return info;
}

}  // namespace sandboxd::jails
