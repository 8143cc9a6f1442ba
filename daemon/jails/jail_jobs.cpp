// The third part of daemon/jails/jail.h: the jobs of a live jail, and what is done to one that runs.
#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "daemon/jails/jail.h"
#include "daemon/jails/random_id.h"
#include "daemon/jails/records.h"

namespace sandboxd::jails {
namespace {

constexpr std::size_t kPreparing = 12;  // at a time: jail-init has stacks for a few more
constexpr std::size_t kEndedJobs = 64;
constexpr std::uint64_t kFreezeWithin = 10'000'000;

}  // namespace

Status Jail::send_command(wire::InitCommand command, std::int32_t value, std::uint32_t job, std::span<const int> fds) {
  if (command == wire::InitCommand::kExec) control_.expect_job();
  return control_.send(command, value, job, fds);
}

std::variant<std::uint32_t, Failure> Jail::exec(JobRequest request) {
  if (state_ != State::kRunning) return InvalidArgument{"/parameters/jail", info().state, "a jail that is running"};
  if (frozen_) return InvalidArgument{"/parameters/jail", "frozen", "a jail that is not frozen: thaw it first"};
  if (jobs_alive() + 1 >= wire::kMaxJobs) return LimitReached{"jobs", wire::kMaxJobs - 1, "jail"};
  trim_jobs();
  request.jail = id();
  request.profile = plan_.profile;
  request.profile_hash = sandboxd::hex(plan_.profile_hash);
  request.request = random_id("r-");
  request.hidden_names = hidden_names_;
  request.plan.job = ++last_job_;
  Job::Links links;
  links.loop = services_.loop;
  links.audit = services_.audit;
  links.events = services_.events;
  links.stuck_after = services_.stuck_after;
  links.command = [this](wire::InitCommand command, std::int32_t value, std::uint32_t job, std::span<const int> fds) {
    return send_command(command, value, job, fds);
  };
  links.cause_of_death = [this] { return cause_of_death(); };
  if (plan_.limits.idle_time != 0) links.active = [this] { clocks_.saw_output(); };
  links.ended = [this](const protocol::JobReport& report) { note_limit(report); };
  request.enforced = enforced_;
  request.unenforced = unenforced_;
  links.breach = [this](const std::string& why) { on_breach(why); };
  links.changed = [this] {
    start_waiting_jobs();
    end_if_empty();
    look_whether_told();
  };
  auto made = std::make_shared<Job>(std::move(links), std::move(request));
  jobs_[made->number()] = made;
  unprepared_.push_back(made);
  made->start();
  start_waiting_jobs();
  return made->number();
}

void Jail::start_waiting_jobs() {
  const auto preparing = [this] {
    return std::ranges::count_if(jobs_, [](const auto& entry) { return entry.second->being_prepared(); });
  };
  while (!unprepared_.empty() && static_cast<std::size_t>(preparing()) < kPreparing) {
    const auto next = unprepared_.front().lock();
    unprepared_.pop_front();
    if (next && next->state() == Job::State::kStarting) next->prepare();
  }
}

// A session that is to end, and in which nothing is left to hear a signal, waits for nothing more.
void Jail::end_if_empty() {
  if (!kill_reason_.empty() && plan_.session && state_ == State::kRunning && jobs_alive() == 0) ladder_.kill();
}

// Never from within a job: it would go while it runs.
void Jail::trim_jobs() {
  std::size_t ended = 0;
  for (const auto& [number, job] : jobs_) ended += job->state() == Job::State::kEnded ? 1 : 0;
  for (auto at = jobs_.begin(); at != jobs_.end() && ended > kEndedJobs;) {
    if (at->second->state() != Job::State::kEnded) {
      ++at;
      continue;
    }
    at = jobs_.erase(at);
    --ended;
  }
}

std::shared_ptr<Job> Jail::job(std::uint32_t number) const {
  const auto found = jobs_.find(number);
  return found == jobs_.end() ? nullptr : found->second;
}

std::uint64_t Jail::descriptors() const { return kJailDescriptors + jobs_alive() * kJobDescriptors; }

std::size_t Jail::jobs_alive() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(jobs_, [](const auto& entry) { return entry.second->state() != Job::State::kEnded; }));
}

std::vector<protocol::JobInfo> Jail::jobs() const {
  std::vector<protocol::JobInfo> infos;
  if (!plan_.session) infos.push_back(first_job());
  for (const auto& [number, job] : jobs_) infos.push_back(job->info());
  return infos;
}

protocol::JobInfo Jail::first_job() const {
  protocol::JobInfo info;
  info.jail = id();
  info.job = wire::kFirstJob;
  info.state = reported_ ? "ended" : state_ == State::kStarting ? "starting" : "running";
  info.argv = shown_argv_;
  info.started = started_realtime_;
  info.tty = plan_.job.stdio == wire::StdioMode::kTerminal;
  info.detached = detached_;
  info.attached = streams_.attached();
  if (reported_) info.report = report_;
  if (reported_ && failure_) info.failure = failure_of_job(*failure_);
  return info;
}

void Jail::end_jobs() {
  unprepared_.clear();
  const auto jobs = jobs_;
  using protocol::Verdict;
  const auto limit = gone_ ? cause_of_death() : std::nullopt;
  const EndCause cause = limit.value_or(
      EndCause{gone_ ? Verdict::kKilled : Verdict::kStuck, kill_reason_.empty() ? "its jail ended" : kill_reason_});
  for (const auto& [number, job] : jobs) job->jail_ended(cause);
}

std::variant<std::vector<UniqueFd>, Failure> Jail::attach_first(std::uint64_t replay, std::shared_ptr<void>& token) {
  if (plan_.session) return NotFound{"job", "1"};
  if (!streams_.attachable())
    return InvalidArgument{"/parameters/job", "1", "a job with a terminal, or one that was started with detach"};
  auto fds = streams_.attach(replay, token);
  if (!fds.ok()) return Unavailable{"sandboxd", fds.error().message()};
  return std::move(fds).value();
}

std::optional<Failure> Jail::detach_first() {
  if (plan_.session) return NotFound{"job", "1"};
  if (!streams_.attachable())
    return InvalidArgument{"/parameters/job", "1", "a job with a terminal, or one that was started with detach"};
  detached_ = true;
  return {};
}

std::optional<Failure> Jail::signal(std::optional<std::uint32_t> number, int signal) {
  if (state_ != State::kRunning) return InvalidArgument{"/parameters/jail", info().state, "a jail that is running"};
  if (number && *number != wire::kFirstJob) {
    const auto found = job(*number);
    if (!found) return NotFound{"job", fmt::format("{}", *number)};
    found->signal(signal, Job::kNoKill, {});
    return {};
  }
  if (number && plan_.session) return NotFound{"job", "1"};
  const auto command = number ? wire::InitCommand::kSignal : wire::InitCommand::kSignalAll;
  const Status sent = control_.send(command, signal, wire::kFirstJob);
  if (!sent.ok()) return Unavailable{"jail", sent.error().message()};
  return {};
}

void Jail::freeze(bool frozen, std::function<void(std::optional<Failure>)> done) {
  if (state_ != State::kRunning)
    return done(InvalidArgument{"/parameters/jail", info().state, "a jail that is running"});
  wire::AuditRecord intent{frozen ? "jail.freeze" : "jail.thaw",
                           wire::AuditPhase::kIntent,
                           "allow",
                           random_id("r-"),
                           id(),
                           client_.uid,
                           "{}"};
  services_.audit->append(
      std::move(intent), [weak = weak_from_this(), frozen, done](const Result<std::uint64_t>& index) {
        const auto self = weak.lock();
        if (!self || !index.ok())
          return done(Unavailable{"audit", index.ok() ? "the jail ended" : index.error().message()});
        self->write_freeze(frozen, done);
      });
}

// cgroup.freeze takes the wish; cgroup.events says when it has come true, which may take as long as a system call of the jail.
void Jail::write_freeze(bool frozen, const std::function<void(std::optional<Failure>)>& done) {
  const ssize_t wrote = cgroup_freeze_ ? ::pwrite(cgroup_freeze_.get(), frozen ? "1" : "0", 1, 0) : -1;
  if (wrote != 1) {
    if (done) done(Unavailable{"jail", sys_error("write cgroup.freeze").message()});
    return;
  }
  frozen_ = frozen;
  clocks_.freeze(frozen);
  freeze_waiting_.push_back(done);
  const auto changed = [this](std::uint32_t) { check_frozen(); };
  if (!freeze_watch_.active()) (void)freeze_watch_.start(services_.loop, cgroup_events_.get(), EPOLLPRI, changed);
  (void)freeze_late_.arm(services_.loop, kFreezeWithin, [this] {
    answer_freeze(Unavailable{"jail", "cgroup.events does not say yet that it has come true"});
  });
  check_frozen();
}

void Jail::check_frozen() {
  char text[256];
  const ssize_t got = ::pread(cgroup_events_.get(), text, sizeof text, 0);
  const std::string_view want = frozen_ ? "frozen 1" : "frozen 0";
  if (got <= 0 || std::string_view(text, static_cast<std::size_t>(got)).find(want) == std::string_view::npos) return;
  emit(frozen_ ? "frozen" : "thawed", "{}");
  answer_freeze({});
}

void Jail::answer_freeze(const std::optional<Failure>& answer) {
  freeze_watch_.stop();
  freeze_late_.stop();
  for (const auto& done : std::exchange(freeze_waiting_, {})) {
    if (done) done(answer);
  }
}

void Jail::arm_session() {
  if (!plan_.session || session_ttl_ == 0) return;
  expires_ = realtime_usec() + session_ttl_;
  const Status armed =
      session_.arm(services_.loop, session_ttl_, [this] { kill(15, 2'000'000, "its session's time is over"); });
  if (!armed.ok()) spdlog::error("jail {}: {}", id(), armed.error().message());
}

std::variant<std::uint64_t, Failure> Jail::extend(std::uint64_t ttl) {
  if (!plan_.session) return InvalidArgument{"/parameters/jail", id(), "a session"};
  if (state_ != State::kRunning) return InvalidArgument{"/parameters/jail", info().state, "a session that is running"};
  session_ttl_ = ttl;
  arm_session();
  emit("extended", fmt::format(R"({{"expires":{}}})", expires_));
  return expires_;
}

void Jail::client_gone(std::uint64_t connection) {
  const auto jobs = jobs_;
  for (const auto& [number, job] : jobs) {
    if (!job->attached_to(connection)) continue;
    job->forget_observer();
    job->signal(9, 0, "its client went away");
  }
  if (detached_ || over() || client_.connection != connection) return;
  forget_observer();
  kill_now("its client went away");
}

}  // namespace sandboxd::jails
