// The second half of daemon/jails/jail.h: how a jail ends, what is said about it, and when its number is free.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "daemon/jails/jail.h"
#include "daemon/jails/records.h"

namespace sandboxd::jails {
namespace {

using Json = nlohmann::json;
using protocol::JobReport;
using protocol::Verdict;

constexpr std::uint64_t kLongestRemoval = 500'000;
constexpr std::uint64_t kStuckRemoval = 10'000'000;

}  // namespace

void Jail::on_gone() {
  gone_watch_.stop();
  wall_.stop();
  settle_.stop();
  session_.stop();
  ladder_.stop();
  stop_limits();
  control_.drain();  // jail-init's last words came before its end
  gone_ = true;
  decide();
  end_jobs();
  answer_freeze(Unavailable{"jail", "it ended"});
  streams_.writers_are_gone();
  if (!told_started_ && state_ != State::kStarting) tell_started({});
  maybe_report();
}

void Jail::on_stuck() {
  if (gone_) return;
  spdlog::error("jail {}: still there {} s after cgroup.kill", id(), services_.stuck_after / 1'000'000);
  stop_limits();
  decide();
  state_ = State::kStuck;
  emit("stuck", "{}");
  streams_.stop();
  end_jobs();
  maybe_report();
}

void Jail::decide_verdict(JobReport& report) const {
  if (job_end_ && job_end_->event == wire::InitEvent::kJobFailed) {
    report.verdict = Verdict::kSetupFailed;
    report.detail = escaped(fmt::format("{}: {}: {}", job_end_->step, job_end_->text, errno_name(job_end_->code)));
    return;
  }
  const bool killed = !job_end_ || (WIFSIGNALED(job_end_->value) && WTERMSIG(job_end_->value) == SIGKILL);
  const std::optional<EndCause> limit = killed ? cause_of_death() : cause_;
  if (job_end_) return judge(job_end_->value, {limit, kill_reason_}, report);
  // No word of the job's end: jail-init was killed with it, or nothing could be killed.
  const std::string why = limit ? limit->detail : kill_reason_;
  if (!gone_) {
    report.verdict = Verdict::kStuck;
    report.detail = fmt::format("{}{}it has processes that can't be killed", why, why.empty() ? "" : "; ");
    return;
  }
  report.signal = SIGKILL;
  report.verdict = limit ? limit->verdict : Verdict::kKilled;
  report.detail = why.empty() ? "ended from outside" : why;
}

void Jail::read_usage(JobReport& report) const {
  report.usage.wall = monotonic_usec() - started_monotonic_;
  if (job_end_) {
    report.usage.memory_peak = job_end_->max_rss_bytes;
    report.usage.cpu_user = job_end_->user_usec;
    report.usage.cpu_system = job_end_->system_usec;
  }
  // The cgroup counts every process, what jail-init says only those that it reaped.
  meter_.read(report.usage);
}

void Jail::decide() {
  if (std::exchange(decided_, true)) return;
  if (state_ != State::kStuck) state_ = State::kEnding;
  JobReport report;
  report.jail = id();
  report.job = plan_.session ? 0 : wire::kFirstJob;
  report.profile = plan_.profile;
  report.profile_hash = hex(plan_.profile_hash);
  report.enforced_by = enforced_;
  report.unenforced = unenforced_;
  decide_verdict(report);
  read_usage(report);
  if (job_end_ && job_end_->event == wire::InitEvent::kJobFailed) {
    failure_ = SetupFailed{escaped(job_end_->step), job_end_->code, escaped(job_end_->text)};
  }
  note_limit(report);
  const std::string detail = report_text(report);
  const bool ok = report.verdict == Verdict::kExited;
  report_ = std::move(report);
  emit("exited", detail);
  wire::AuditRecord record{
      "jail.exit", wire::AuditPhase::kResult, ok ? "ok" : "error", plan_.request, id(), client_.uid, detail};
  services_.audit->append(std::move(record), [weak = weak_from_this()](Result<std::uint64_t> index) {
    if (const auto self = weak.lock()) self->on_exit_record(std::move(index));
  });
}

void Jail::on_exit_record(Result<std::uint64_t> index) {
  recorded_ = true;
  if (index.ok()) {
    report_->audit_index = *index;
  } else {
    spdlog::error("jail {}: {}", id(), index.error().message());
    failure_ = Unavailable{"audit", index.error().message()};
  }
  maybe_report();
}

void Jail::maybe_report() {
  const auto self = shared_from_this();  // a callback may drop the last reference
  if (decided_ && recorded_ && !reported_ && !streams_.running()) {
    // Pipes that are still on their way would be lost.
    if (!gone_ && !told_started_ && state_ != State::kStuck) return;
    reported_ = true;
    if (failure_) {
      deliver(*failure_);
    } else {
      deliver(*report_);
    }
  }
  if (gone_ && recorded_ && removal_since_ == 0) remove();
  look_whether_told();
}

void Jail::deliver(std::variant<JobReport, Failure> end) {
  const RunObserver observer = std::exchange(observer_, {});
  const auto waiting = std::exchange(waiting_, {});
  if (const auto* report = std::get_if<JobReport>(&end)) {
    if (observer.report) observer.report(*report);
  } else if (observer.failure) {
    observer.failure(std::get<Failure>(end));
  }
  // Who waits for a job that could not be started gets the verdict; only a jail that never was has no report.
  for (const Waiter& waiter : waiting) {
    if (report_) {
      waiter.done(*report_);
    } else {
      waiter.done(std::get<Failure>(end));
    }
  }
}

void Jail::wait(Waiter waiter) {
  if (!reported_) {
    std::erase_if(waiting_, [](const Waiter& other) { return other.gone(); });
    waiting_.push_back(std::move(waiter));
  } else if (report_) {
    waiter.done(*report_);
  } else {
    waiter.done(*failure_);
  }
}

void Jail::when_over(std::function<void()> done) {
  if (over()) return done();
  over_waiting_.push_back(std::move(done));
}

void Jail::when_told(std::function<void()> done) {
  if (told()) return done();
  told_waiting_.push_back(std::move(done));
}

// Not from here: who waits may drop the jail, and one of its jobs may be above on the stack.
void Jail::look_whether_told() {
  if (told_waiting_.empty() || !told()) return;
  const Status armed = told_.arm(services_.loop, 0, [this] {
    for (const auto& done : std::exchange(told_waiting_, {})) done();
  });
  if (!armed.ok()) spdlog::error("jail {}: {}", id(), armed.error().message());
}

void Jail::cut_output() {
  const auto jobs = jobs_;
  for (const auto& [number, job] : jobs) job->cut_output();
  if (!streams_.running()) return;
  streams_.stop();
  maybe_report();
}

void Jail::remove() {
  if (removal_since_ == 0) removal_since_ = monotonic_usec();
  services_.launcher->request(wire::LauncherMessage::kRemove, wire::NumberRequest{number()},
                              [weak = weak_from_this()](Result<wire::Message> answer) {
                                if (const auto self = weak.lock()) self->on_removed(std::move(answer));
                              });
}

void Jail::on_removed(Result<wire::Message> answer) {
  if (!answer.ok()) return remove_later(answer.error().message());
  if (answer->type == static_cast<std::uint16_t>(wire::LauncherMessage::kDone)) return finish();
  const auto failed = wire::body_of<wire::Failed>(*answer);
  if (failed.ok() && failed->code == ENOENT) return finish();  // a start that never got as far as its cgroup
  remove_later(failed.ok() ? fmt::format("{}: {} ({})", failed->step, failed->detail, errno_name(failed->code))
                           : failed.error().message());
}

void Jail::remove_later(const std::string& why) {
  const std::uint64_t now = monotonic_usec();
  const bool late = now - removal_since_ > services_.stuck_after;
  if (late && state_ != State::kStuck && services_.launcher->connected()) {
    spdlog::error("jail {}: can't be removed: {}", id(), why);
    state_ = State::kStuck;
    emit("stuck", Json{{"detail", why}}.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  if (pidfd_) {
    ladder_.rewrite();
  } else {
    services_.launcher->request(wire::LauncherMessage::kKill, wire::NumberRequest{number()},
                                {});  // a start whose outcome is unknown
  }
  removal_usec_ = std::min(removal_usec_ * 2, state_ == State::kStuck ? kStuckRemoval : kLongestRemoval);
  const Status armed = removal_.arm(services_.loop, removal_usec_, [this] { remove(); });
  if (!armed.ok()) spdlog::error("jail {}: {}", id(), armed.error().message());
}

void Jail::finish() {
  const auto self = shared_from_this();
  state_ = State::kEnded;
  over_since_ = monotonic_usec();
  pidfd_.reset();
  cgroup_freeze_.reset();
  cgroup_events_.reset();
  meter_.close();
  ladder_.release();
  control_.close();
  emit("ended", "{}");
  services_.free_number(number());
  for (const auto& done : std::exchange(over_waiting_, {})) done();
}

}  // namespace sandboxd::jails
