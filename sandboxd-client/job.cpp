#include <cerrno>

#include <poll.h>

#include "base/clock.h"
#include "base/socket.h"
#include "protocol/codec.h"
#include "sandboxd-client/inside.h"

namespace sandboxd::client {

struct Job::Inside {
  Shared client;
  Connection connection;
  HandedIn handed_in;  // kept until the start: the broker drops the descriptors when it closes
  Started how = Started::kRun;

  std::string jail{};
  std::uint32_t number = 0;
  bool terminal = false;
  bool over = false;
  std::optional<JailInfo> jail_info{};
  std::optional<JobInfo> job_info{};
  std::optional<JobReport> waiting{};  // came in one message with the start

  Expected<void> take_start(const Json& info);
  Expected<void> take_streams(Job& job);
  Expected<Update> read(const Message& message, Job& job);
  // 0 where a run's jail is meant.
  [[nodiscard]] std::uint32_t target() const { return how == Started::kRun ? 0 : number; }
};

Job::Job(std::unique_ptr<Inside> inside) noexcept : inside_(std::move(inside)) {}
Job::Job(Job&&) noexcept = default;
Job& Job::operator=(Job&&) noexcept = default;
Job::~Job() = default;

const std::string& Job::jail() const noexcept { return inside_->jail; }
std::uint32_t Job::number() const noexcept { return inside_->number; }
bool Job::has_terminal() const noexcept { return inside_->terminal; }
const std::optional<JailInfo>& Job::jail_info() const noexcept { return inside_->jail_info; }
const std::optional<JobInfo>& Job::job_info() const noexcept { return inside_->job_info; }
int Job::fd() const noexcept { return inside_->connection.fd(); }

Job make_job(Shared inside, Sent sent, Started how) {
  return Job(std::make_unique<Job::Inside>(
      Job::Inside{std::move(inside), std::move(sent.connection), std::move(sent.handed_in), how}));
}

Expected<Job> until_started(Expected<Job> job) {
  if (!job) return job;
  const Expected<std::optional<Update>> update = job->next();
  if (!update) return update.error();
  return job;
}

Expected<void> Job::Inside::take_start(const Json& info) {
  if (how == Started::kRun) {
    JailInfo value;
    if (const auto wrong = protocol::decode(info, "/parameters/started", value)) return malformed(wrong->message());
    jail = value.jail;
    number = 1;
    jail_info = std::move(value);
  } else {
    JobInfo value;
    if (const auto wrong = protocol::decode(info, "/parameters/started", value)) return malformed(wrong->message());
    jail = value.jail;
    number = value.job;
    terminal = value.tty;
    job_info = std::move(value);
  }
  handed_in.connection.reset();
  return {};
}

// Three descriptors, or the two of a terminal.
Expected<void> Job::Inside::take_streams(Job& job) {
  std::vector<UniqueFd> fds = connection.take_fds();
  if (fds.empty()) return {};
  if (fds.size() != 2 && fds.size() != 3) {
    return malformed(std::to_string(fds.size()) + " descriptors came with it, not 2 or 3");
  }
  terminal = fds.size() == 2;
  job.input.reset(fds[0].release());
  job.output.reset(fds[1].release());
  if (!terminal) job.error.reset(fds[2].release());
  return {};
}

Expected<Update> Job::Inside::read(const Message& message, Job& job) {
  if (!message.error.empty()) {
    Error refused = error_of(message);
    if (const auto why = refusal(handed_in)) refused.text = *why;
    return refused;
  }
  const Json& fields = message.parameters;
  Update update;
  if (has(fields, "started")) {
    if (Expected<void> taken = take_start(fields["started"]); !taken) return std::move(taken).error();
    if (Expected<void> taken = take_streams(job); !taken) return std::move(taken).error();
    update.started = true;
  }
  if (has(fields, "output")) {
    Expected<Output> written = output_at(fields);
    if (!written) return std::move(written).error();
    update.output = std::move(written).value();
  }
  if (has(fields, "report")) {
    Expected<JobReport> report = member<JobReport>(fields, "report");
    if (!report) return std::move(report).error();
    update.report = std::move(report).value();
  }
  if (!update.started && !update.output && !update.report) return malformed("nothing of a job in it");
  over = update.report.has_value() || !message.continues;
  return update;
}

Expected<std::optional<Update>> Job::next(Milliseconds deadline) noexcept {
  Inside& inside = *inside_;
  if (inside.over) {
    return Error{.kind = ErrorKind::kInvalid,
                 .text = "nothing comes after a job's end, or after the start of a detached one"};
  }
  Result<Message> message = inside.connection.receive(deadline_after(deadline));
  if (!message.ok()) {
    if (message.error().code == ETIMEDOUT) return std::optional<Update>();
    inside.over = true;
    Error failure = error_of(message.error());
    if (failure.kind == ErrorKind::kDisconnected)
      failure.text = "the daemon closed the connection before the job's end";
    return failure;
  }
  Expected<Update> update = inside.read(*message, *this);
  if (!update) {
    inside.over = true;
    return std::move(update).error();
  }
  return std::optional<Update>(std::move(update).value());
}

Expected<JobReport> Job::wait(Milliseconds deadline) noexcept {
  const std::uint64_t end = deadline_after(deadline);
  for (;;) {
    const std::uint64_t now = end == 0 ? 0 : monotonic_usec();
    const Milliseconds left = end == 0 ? kForever : Milliseconds(end > now ? (end - now) / 1000 : 0);
    Expected<std::optional<Update>> update = next(left);
    if (!update) return std::move(update).error();
    if (!update.value()) {
      return Error{
          .kind = ErrorKind::kTimedOut, .text = "wait for the job: the deadline has passed", .code = ETIMEDOUT};
    }
    if (update.value()->report) return std::move(*update.value()->report);
  }
}

Expected<void> Job::signal(int number) noexcept {
  Json parameters = {{"jail", inside_->jail}, {"job", inside_->number}, {"signal", number}};
  Expected<Json> answer = inside_->client->ask("org.sandboxd.Jail.Signal", parameters);
  return answer ? Expected<void>() : Expected<void>(std::move(answer).error());
}

Expected<void> Job::kill(int number, Milliseconds grace) noexcept {
  Json parameters = {{"jail", inside_->jail}, {"signal", number}};
  if (inside_->target() != 0) parameters["job"] = inside_->target();
  if (grace.count() >= 0) parameters["grace"] = grace.count() * 1000;
  Expected<Json> answer = inside_->client->ask_now("org.sandboxd.Jail.Kill", parameters);
  return answer ? Expected<void>() : Expected<void>(std::move(answer).error());
}

Expected<void> Job::resize(WindowSize size) noexcept {
  const Json parameters = {{"jail", inside_->jail}, {"job", inside_->number}, {"size", protocol::encode(size)}};
  Expected<Json> answer = inside_->client->ask("org.sandboxd.Jail.Resize", parameters);
  return answer ? Expected<void>() : Expected<void>(std::move(answer).error());
}

Expected<void> Job::detach() noexcept {
  const Json parameters = {{"jail", inside_->jail}, {"job", inside_->number}};
  Expected<Json> answer = inside_->client->ask("org.sandboxd.Jail.Detach", parameters);
  return answer ? Expected<void>() : Expected<void>(std::move(answer).error());
}

}  // namespace sandboxd::client
