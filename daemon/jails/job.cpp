#include "daemon/jails/job.h"

#include <cerrno>
#include <csignal>
#include <utility>

#include <spdlog/spdlog.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "daemon/jails/records.h"
#include "daemon/plan/redact.h"
#include "protocol/names.h"

namespace sandboxd::jails {
namespace {

using protocol::JobReport;
using protocol::Stdio;
using protocol::Verdict;

constexpr std::size_t kArgvKept = 1U << 10;
constexpr std::uint64_t kWallBackstop = 2'000'000;  // jail-init keeps the deadline; this is for one that doesn't
constexpr std::uint64_t kGoneWithin = 4'000'000;    // what outlived the job has this long to go

StreamKind kind_of(const wire::ExecPlan& plan) {
  if (plan.stdio == wire::StdioMode::kTerminal) return StreamKind::kTerminal;
  return plan.merge_stderr ? StreamKind::kMerged : StreamKind::kPipes;
}

EndCause out_of_time(std::uint64_t wall_time) {
  Limits limits;
  limits.wall_time = wall_time;
  return {Verdict::kTimeoutWall, reached("wall_time", limits)};
}

}  // namespace

Job::Job(Links links, JobRequest request)
    : links_(std::move(links)),
      client_(std::move(request.client)),
      jail_(std::move(request.jail)),
      profile_(std::move(request.profile)),
      profile_hash_(std::move(request.profile_hash)),
      request_(std::move(request.request)),
      plan_(std::move(request.plan)),
      stdio_(request.spec.stdio),
      stdin_data_(std::move(request.spec.stdin_data).value_or("")),
      log_(std::move(request.log)),
      program_(std::move(request.program)),
      observer_(std::move(request.observer)),
      shown_argv_(plan::shown_argv(request.hidden_names, plan_.argv, plan_.env)),
      started_realtime_(realtime_usec()),
      started_monotonic_(monotonic_usec()),
      attachable_(plan_.stdio == wire::StdioMode::kTerminal ||
                  (request.spec.detach && plan_.stdio == wire::StdioMode::kPipes && stdio_ != Stdio::kPass)),
      detached_(request.spec.detach),
      explains_(request.spec.explain_denials),
      output_max_(request.output_max),
      enforced_(std::move(request.enforced)),
      unenforced_(std::move(request.unenforced)) {
  plan_.program = program_.valid();
  std::vector<std::string> kept = cut_argv(shown_argv_, kArgvKept);
  argv_cut_ = kept != shown_argv_ || kept.size() != plan_.argv.size();
  shown_argv_ = std::move(kept);
}

void Job::start() {
  const std::string detail =
      fmt::format(R"({{"job":{},"argv":{},"arguments":{}}})", number(), argv_text(shown_argv_), plan_.argv.size());
  wire::AuditRecord intent{"jail.exec", wire::AuditPhase::kIntent, "allow", request_, jail_, client_.uid, detail};
  links_.audit->append(std::move(intent), [weak = weak_from_this()](const Result<std::uint64_t>& index) {
    if (const auto self = weak.lock()) self->on_intent(index);
  });
}

void Job::prepare() {
  prepared_ = true;
  const std::vector<std::uint8_t> bytes = wire::encode_exec_plan(plan_);
  auto memory = sealed_memfd("exec", bytes);
  Status sent = memory.ok() ? Status() : Status(memory.error());
  if (memory.ok()) {
    std::vector<int> fds = {memory->get()};
    if (program_) fds.push_back(program_.get());
    sent = links_.command(wire::InitCommand::kExec, 0, number(), fds);
  }
  plan_.argv = {};
  plan_.env = {};
  program_.reset();
  if (!sent.ok()) return fail(Unavailable{"jail", sent.error().message()});
  release();
}

void Job::on_intent(const Result<std::uint64_t>& index) {
  if (state_ == State::kEnded) return;
  if (!index.ok()) {
    kill_now();
    return fail(Unavailable{"audit", index.error().message()});
  }
  on_record_ = true;
  release();
}

void Job::on_streams(std::vector<UniqueFd> fds) {
  const bool asked = plan_.stdio == wire::StdioMode::kPipes || plan_.stdio == wire::StdioMode::kTerminal;
  if (!asked || std::exchange(has_streams_, true) || fds.size() != descriptors_of(kind_of(plan_)))
    return links_.breach("streams that nobody asked for");
  const Status taken = take_streams(std::move(fds), pass_fds_);
  if (taken.ok()) return release();
  kill_now();
  fail(Unavailable{"sandboxd", taken.error().message()});
}

Status Job::take_streams(std::vector<UniqueFd> fds, std::vector<UniqueFd>& theirs) {
  const StreamKind kind = kind_of(plan_);
  const bool pass = stdio_ == Stdio::kPass;
  // Nothing asks to see what goes by: the client has the job's own pipes.
  const bool seen = explains_ || log_ || output_max_ != 0 || links_.active;
  if (pass && kind != StreamKind::kTerminal && !seen) {
    theirs = std::move(fds);
    return {};
  }
  Streams::Options options;
  options.kind = kind;
  options.input = std::move(stdin_data_);
  options.attachable = attachable_;
  options.after_others = explains_;
  options.log = log_;
  options.most = output_max_;
  options.over = [this] {
    Limits limits;
    limits.output_max = output_max_;
    end_by({Verdict::kOutputLimit, reached("output_max", limits)});
  };
  options.active = links_.active;
  if (pass && kind != StreamKind::kTerminal) {
    options.keep_input = true;
    theirs.push_back(std::move(fds[0]));
  }
  if (!pass && observer_.output && !detached_) {
    options.output = [this](int stream, std::string_view bytes) {
      const auto output = observer_.output;
      if (output) output(stream, bytes);
    };
  }
  TRY(streams_.start(links_.loop, std::move(fds), std::move(options), [this] { maybe_report(); }));
  if (!pass) return {};
  TRY_ASSIGN(std::vector<UniqueFd> made, streams_.attach(0, own_attachment_));
  for (std::size_t i = theirs.empty() ? 0 : 1; i < made.size(); ++i) theirs.push_back(std::move(made[i]));
  return {};
}

void Job::on_event(const wire::InitEventRecord& record) {
  if (state_ == State::kEnded) return;  // it was given up, or is reported as stuck
  switch (record.event) {
    case wire::InitEvent::kJobReady:
      if (!prepared_ || std::exchange(ready_, true)) return links_.breach("a job is ready twice");
      return;
    case wire::InitEvent::kJobStarted:
      if (!released_ || begun_) return links_.breach("a job started that was not released");
      begun_ = true;
      return links_.changed();
    case wire::InitEvent::kWallTime:
      if (!cause_) cause_ = out_of_time(plan_.wall_time);
      return;
    case wire::InitEvent::kJobFailed: return on_failed(record);
    case wire::InitEvent::kJobExited: return on_exited(record);
    case wire::InitEvent::kJobGone:
      if (!exited_ || gone_) return links_.breach("a job is gone that did not end");
      gone_ = true;
      late_.stop();
      report_->survivors = static_cast<std::uint32_t>(std::max(record.value, 0));
      streams_.writers_are_gone();
      record_end();
      return maybe_report();
    case wire::InitEvent::kFull: return links_.breach("an answer of a job that is the jail's");
    case wire::InitEvent::kDenied:
    case wire::InitEvent::kLearned:
    case wire::InitEvent::kStreams: return;
  }
}

// What is prepared meanwhile is our own code; nothing of the job runs before its record can't be lost. jail-init need not have
// come as far as kJobReady: it goes on then without asking.
void Job::release() {
  const bool streams = plan_.stdio == wire::StdioMode::kNull || has_streams_;
  if (!prepared_ || !streams || !on_record_ || released_ || state_ == State::kEnded) return;
  released_ = true;
  if (const Status sent = links_.command(wire::InitCommand::kRelease, 0, number(), {}); !sent.ok())
    return fail(Unavailable{"jail", sent.error().message()});
  state_ = State::kRunning;
  if (plan_.wall_time != 0) {
    (void)wall_.arm(links_.loop, plan_.wall_time + kWallBackstop, [this] { end_by(out_of_time(plan_.wall_time)); });
  }
  emit("job_started", fmt::format(R"({{"job":{}}})", number()));
  const auto started = observer_.started;
  if (started) started(info(), std::exchange(pass_fds_, {}));
}

void Job::on_failed(const wire::InitEventRecord& record) {
  if (exited_ || begun_) return links_.breach("a job failed that was running");
  fail(SetupFailed{escaped(record.step), record.code, escaped(record.text)});
}

void Job::on_exited(const wire::InitEventRecord& record) {
  if (!is_end(record.value)) return links_.breach("an end of a job that is none");
  if (std::exchange(exited_, true)) return links_.breach("a second end of a job");
  begun_ = true;
  wall_.stop();
  grace_.stop();
  decide(record);
  const Status armed = late_.arm(links_.loop, kGoneWithin, [this] {
    // What outlives it can't be killed (a process in D state); the job's own end is known.
    gone_ = true;
    report_->detail = "processes that outlived it could not be killed";
    streams_.writers_are_gone();
    record_end();
    maybe_report();
  });
  if (!armed.ok()) gone_ = true;
  links_.changed();
}

JobReport Job::new_report() const {
  JobReport report;
  report.jail = jail_;
  report.job = number();
  report.profile = profile_;
  report.profile_hash = profile_hash_;
  report.enforced_by = enforced_;
  report.unenforced = unenforced_;
  report.usage.wall = monotonic_usec() - started_monotonic_;
  return report;
}

void Job::decide(const wire::InitEventRecord& end) {
  JobReport report = new_report();
  report.usage.cpu_user = end.user_usec;
  report.usage.cpu_system = end.system_usec;
  report.usage.memory_peak = end.max_rss_bytes;
  // Killed by nobody that we know: the kernel may have killed all of the jail, which is heard of a moment later.
  const bool unexplained = WIFSIGNALED(end.value) && WTERMSIG(end.value) == SIGKILL && !cause_;
  judge(end.value, {unexplained ? links_.cause_of_death() : cause_, kill_reason_}, report);
  links_.ended(report);
  report_ = std::move(report);
}

void Job::record_end() {
  const bool ok = report_ && report_->verdict == Verdict::kExited;
  const std::string detail = report_ ? report_text(*report_) : failure_detail(*failure_);
  links_.audit->append_soon(
      {"jail.exec", wire::AuditPhase::kResult, ok ? "ok" : "error", request_, jail_, client_.uid, detail},
      [jail = jail_](const Result<std::uint64_t>& index) {
        if (!index.ok()) spdlog::error("jail {}: exec's result: {}", jail, index.error().message());
      });
  emit(report_ ? "job_exited" : "job_failed",
       report_ ? detail : fmt::format(R"({{"job":{},"failure":{}}})", number(), detail));
}

// Before it ran, or instead of its end: nobody will say more of it.
void Job::fail(Failure failure) {
  if (state_ == State::kEnded || exited_) return;
  failure_ = std::move(failure);
  record_end();
  streams_.stop();
  deliver();
  links_.changed();
}

void Job::jail_ended(const EndCause& cause) {
  if (state_ == State::kEnded) return;
  if (!report_) {
    report_ = new_report();
    report_->verdict = cause.verdict;
    report_->detail = cause.detail;
    if (cause.verdict != Verdict::kStuck) report_->signal = SIGKILL;
  }
  if (!gone_) record_end();
  exited_ = gone_ = begun_ = true;
  late_.stop();
  wall_.stop();
  grace_.stop();
  streams_.writers_are_gone();
  maybe_report();
}

void Job::kill_now() {
  if (std::exchange(killed_, true) || exited_ || !prepared_) return;
  (void)links_.command(wire::InitCommand::kKillJob, 0, number(), {});
  const Status armed = grace_.arm(links_.loop, links_.stuck_after, [this] {
    if (exited_) return;
    jail_ended({Verdict::kStuck, "it has processes that can't be killed"});
  });
  if (!armed.ok()) spdlog::error("jail {}: {}", jail_, armed.error().message());
}

void Job::end_by(EndCause cause) {
  if (!cause_) cause_ = std::move(cause);
  kill_now();
}

void Job::signal(int signal, std::uint64_t grace_usec, const std::string& why) {
  if (state_ == State::kEnded || exited_) return;
  if (grace_usec != kNoKill && kill_reason_.empty()) kill_reason_ = why;
  if (state_ == State::kStarting && grace_usec != kNoKill) {
    kill_now();
    return fail(SetupFailed{"killed", 0, why});
  }
  if (signal == SIGKILL || grace_usec == 0) return kill_now();
  if (const Status sent = links_.command(wire::InitCommand::kSignal, signal, number(), {}); !sent.ok())
    spdlog::warn("jail {}: signal: {}", jail_, sent.error().message());
  if (grace_usec == kNoKill) return;
  const Status armed = grace_.arm(links_.loop, grace_usec, [this] { kill_now(); });
  if (!armed.ok()) kill_now();
}

void Job::maybe_report() {
  const auto self = shared_from_this();  // a callback may drop the last reference
  if (reported_ || !exited_ || !gone_ || streams_.running()) return;
  deliver();
  links_.changed();
}

void Job::deliver() {
  if (std::exchange(reported_, true)) return;
  const auto self = shared_from_this();
  state_ = State::kEnded;
  const JobObserver observer = std::exchange(observer_, {});
  const auto waiting = std::exchange(waiting_, {});
  if (report_) {
    if (observer.report) observer.report(*report_);
  } else if (observer.failure) {
    observer.failure(*failure_);
  }
  for (const Waiter& waiter : waiting) report_ ? waiter.done(*report_) : waiter.done(*failure_);
}

void Job::wait(Waiter waiter) {
  if (!reported_) {
    std::erase_if(waiting_, [](const Waiter& other) { return other.gone(); });
    waiting_.push_back(std::move(waiter));
  } else if (report_) {
    waiter.done(*report_);
  } else {
    waiter.done(*failure_);
  }
}

void Job::cut_output() {
  if (!streams_.running()) return;
  streams_.stop();
  maybe_report();
}

void Job::forget_observer() {
  observer_ = {};
  own_attachment_.reset();
  streams_.pause(false);  // what nobody hears holds nothing back
}

Result<std::vector<UniqueFd>> Job::attach(std::uint64_t replay, std::shared_ptr<void>& token) {
  TRY_ASSIGN(std::vector<UniqueFd> fds, streams_.attach(replay, token));
  return fds;
}

void Job::emit(const std::string& kind, const std::string& detail) {
  links_.events->add(Event{0, 0, jail_, kind, detail, client_.uid, client_.admin});
}

protocol::JobInfo Job::info() const {
  protocol::JobInfo info;
  info.jail = jail_;
  info.job = number();
  info.state = protocol::kJobStateNames.at(static_cast<std::size_t>(state_));
  info.argv = shown_argv_;
  info.argv_cut = argv_cut_;
  info.started = started_realtime_;
  info.tty = plan_.stdio == wire::StdioMode::kTerminal;
  info.detached = detached_;
  info.attached = streams_.attached();
  if (reported_) info.report = report_;
  if (reported_ && !report_) info.failure = failure_of_job(*failure_);
  return info;
}

}  // namespace sandboxd::jails
