#include <cstdlib>

#include <unistd.h>

#include "protocol/codec.h"
#include "sandboxd-client/inside.h"

namespace sandboxd::client {
namespace {

// The answer holds nothing that counts.
Expected<void> done(const Expected<Json>& answer) { return answer ? Expected<void>() : Expected<void>(answer.error()); }

Json job_of(const std::string& jail, std::uint32_t job) {
  Json parameters = {{"jail", jail}};
  if (job != 0) parameters["job"] = job;
  return parameters;
}

// Of one reply; all_of() takes those of a list that may need several.
template <class T> Expected<void> append_items(const Json& parameters, const char* key, std::vector<T>& all) {
  if (!has(parameters, key)) return malformed(std::string("no member '") + key + "'");
  for (const Json& item : parameters[key]) {
    T value;
    if (const auto wrong = protocol::decode(item, std::string("/parameters/") + key, value)) {
      return malformed(wrong->message());
    }
    all.push_back(std::move(value));
  }
  return {};
}

template <class T, class Inside>
Expected<std::vector<T>> all_of(Inside& inside, const char* method, const Json& parameters, const char* key) {
  Expected<Sent> sent = send_call(inside, method, parameters);
  if (!sent) return std::move(sent).error();
  std::vector<T> all;
  for (;;) {
    Result<Message> message = sent->connection.receive(inside.deadline());
    if (!message.ok()) return error_of(message.error());
    if (!message->error.empty()) return error_of(*message);
    if (Expected<void> taken = append_items(message->parameters, key, all); !taken) return std::move(taken).error();
    if (!message->continues) return all;
  }
}

}  // namespace

Client::Client(std::shared_ptr<Inside> inside) noexcept : inside_(std::move(inside)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Expected<Client> Client::connect(const Options& options) noexcept {
  auto inside = std::make_shared<Inside>();
  inside->options = options;
  const std::optional<std::string> named = options.socket.empty() ? std::nullopt : std::optional(options.socket);
  inside->paths = sockets_to_try(named, ::secure_getenv("SANDBOXD_SOCKET"), ::geteuid() == 0);
  Expected<Connection> connection = inside->open();
  if (!connection) return std::move(connection).error();
  inside->calls = std::move(connection).value();
  return Client(std::move(inside));
}

Expected<Job> Client::begin_run(Request request) noexcept {
  const bool more = !request.spec.detach;
  Expected<Sent> sent = send_request(*inside_, "org.sandboxd.Jail.Run", std::move(request), more);
  if (!sent) return std::move(sent).error();
  return make_job(inside_, std::move(sent).value(), Started::kRun);
}

Expected<Job> Client::begin_exec(const std::string& jail, const ExecSpec& spec) noexcept {
  const Json parameters = {{"jail", jail}, {"spec", protocol::encode(spec)}};
  Expected<Sent> sent = send_call(*inside_, "org.sandboxd.Jail.Exec", parameters, !spec.detach);
  if (!sent) return std::move(sent).error();
  return make_job(inside_, std::move(sent).value(), Started::kExec);
}

Expected<Job> Client::run(Request request) noexcept { return until_started(begin_run(std::move(request))); }

Expected<Job> Client::exec(const std::string& jail, const ExecSpec& spec) noexcept {
  return until_started(begin_exec(jail, spec));
}

Expected<Job> Client::begin_attach(const std::string& jail, std::uint32_t job,
                                   std::optional<std::uint64_t> replay) noexcept {
  Json parameters = job_of(jail, job);
  if (replay) parameters["replay"] = *replay;
  Expected<Sent> sent = send_call(*inside_, "org.sandboxd.Jail.Attach", parameters);
  if (!sent) return std::move(sent).error();
  return make_job(inside_, std::move(sent).value(), Started::kAttached);
}

Expected<Job> Client::attach(const std::string& jail, std::uint32_t job, std::optional<std::uint64_t> replay) noexcept {
  return until_started(begin_attach(jail, job, replay));
}

Expected<void> Client::detach(const std::string& jail, std::uint32_t job) noexcept {
  return done(inside_->ask("org.sandboxd.Jail.Detach", job_of(jail, job)));
}

Expected<JailInfo> Client::create(Request request) noexcept {
  Expected<Sent> sent = send_request(*inside_, "org.sandboxd.Jail.Create", std::move(request), /*more=*/false);
  if (!sent) return std::move(sent).error();
  // No deadline: making a jail may take as long as a run's start, and giving up would leave a session that nobody knows of.
  Result<Message> answer = sent->connection.receive();
  if (!answer.ok()) return error_of(answer.error());
  if (!answer->error.empty()) {
    Error error = error_of(*answer);
    if (const auto why = refusal(sent->handed_in)) error.text = *why;
    return error;
  }
  return member<JailInfo>(answer->parameters, "jail");
}

Expected<std::string> Client::explain(Request request) noexcept {
  // Nothing claims descriptors here, so none are handed in; the token only stands for them.
  if (!request.fds.empty()) {
    Result<Token> token = random_token();
    if (!token.ok()) return error_of(token.error());
    request.spec.token = token.value();
  }
  Expected<Json> answer = inside_->ask("org.sandboxd.Jail.Explain", {{"spec", protocol::encode(request.spec)}});
  if (!answer) return std::move(answer).error();
  return has(*answer, "plan") ? Expected<std::string>(protocol::to_text((*answer)["plan"]))
                              : malformed("no member 'plan'");
}

Expected<JobReport> Client::wait(const std::string& jail, std::uint32_t job, Milliseconds deadline) noexcept {
  Expected<Sent> sent = send_call(*inside_, "org.sandboxd.Jail.Wait", job_of(jail, job), /*more=*/false);
  if (!sent) return std::move(sent).error();
  Result<Message> answer = sent->connection.receive(deadline_after(deadline));
  if (!answer.ok()) return error_of(answer.error());
  if (!answer->error.empty()) return error_of(*answer);
  return member<JobReport>(answer->parameters, "report");
}

Expected<void> Client::kill(const std::string& jail, std::uint32_t job, int number, Milliseconds grace) noexcept {
  Json parameters = job_of(jail, job);
  parameters["signal"] = number;
  if (grace.count() >= 0) parameters["grace"] = grace.count() * 1000;
  return done(inside_->ask("org.sandboxd.Jail.Kill", parameters));
}

Expected<void> Client::signal(const std::string& jail, std::uint32_t job, int number) noexcept {
  Json parameters = job_of(jail, job);
  parameters["signal"] = number;
  return done(inside_->ask("org.sandboxd.Jail.Signal", parameters));
}

Expected<void> Client::resize(const std::string& jail, std::uint32_t job, WindowSize size) noexcept {
  Json parameters = job_of(jail, job);
  parameters["size"] = protocol::encode(size);
  return done(inside_->ask("org.sandboxd.Jail.Resize", parameters));
}

Expected<void> Client::freeze(const std::string& jail) noexcept {
  return done(inside_->ask("org.sandboxd.Jail.Freeze", {{"jail", jail}}));
}

Expected<void> Client::thaw(const std::string& jail) noexcept {
  return done(inside_->ask("org.sandboxd.Jail.Thaw", {{"jail", jail}}));
}

Expected<std::uint64_t> Client::extend(const std::string& jail, Milliseconds ttl) noexcept {
  Expected<Json> answer = inside_->ask("org.sandboxd.Jail.Extend", {{"jail", jail}, {"ttl", ttl.count() * 1000}});
  if (!answer) return std::move(answer).error();
  return number_at(*answer, "expires");
}

Expected<void> Client::remove(const std::string& jail, bool force) noexcept {
  return done(inside_->ask("org.sandboxd.Jail.Remove", {{"jail", jail}, {"force", force}}));
}

Expected<std::vector<JailInfo>> Client::list() noexcept {
  return all_of<JailInfo>(*inside_, "org.sandboxd.Jail.List", Json::object(), "jails");
}

Expected<JailInfo> Client::inspect(const std::string& jail) noexcept {
  Expected<Json> answer = inside_->ask("org.sandboxd.Jail.Inspect", {{"jail", jail}});
  if (!answer) return std::move(answer).error();
  return member<JailInfo>(*answer, "jail");
}

Expected<std::vector<JailStats>> Client::stats(const std::string& jail) noexcept {
  Json parameters = Json::object();
  if (!jail.empty()) parameters["jail"] = jail;
  return all_of<JailStats>(*inside_, "org.sandboxd.Jail.Stats", parameters, "stats");
}

Expected<Denials> Client::why(const std::string& jail) noexcept {
  Expected<Json> answer = inside_->ask("org.sandboxd.Jail.Why", {{"jail", jail}});
  if (!answer) return std::move(answer).error();
  Denials denials;
  if (const auto wrong = protocol::decode(*answer, "/parameters", denials)) return malformed(wrong->message());
  return denials;
}

Expected<LearnedProfile> Client::learned(const std::string& jail, const std::string& name) noexcept {
  Expected<Json> answer = inside_->ask("org.sandboxd.Jail.Learned", {{"jail", jail}, {"name", name}});
  if (!answer) return std::move(answer).error();
  LearnedProfile learned;
  if (const auto wrong = protocol::decode(*answer, "/parameters", learned)) return malformed(wrong->message());
  return learned;
}

Expected<std::vector<Fact>> Client::update(const std::string& jail, const AskedLimits& limits) noexcept {
  Expected<Json> answer =
      inside_->ask("org.sandboxd.Jail.Update", {{"jail", jail}, {"limits", protocol::encode(limits)}});
  if (!answer) return std::move(answer).error();
  std::vector<Fact> all;
  if (Expected<void> taken = append_items(*answer, "in_force", all); !taken) return std::move(taken).error();
  return all;
}

Expected<std::vector<JobInfo>> Client::jobs(const std::string& jail) noexcept {
  Expected<Json> answer = inside_->ask("org.sandboxd.Jail.Jobs", {{"jail", jail}});
  if (!answer) return std::move(answer).error();
  std::vector<JobInfo> all;
  if (Expected<void> taken = append_items(*answer, "jobs", all); !taken) return std::move(taken).error();
  return all;
}

Expected<void> Client::logs(const std::string& jail, std::uint32_t job, bool follow,
                            const std::function<bool(const LogPart&)>& on_part) noexcept {
  Json parameters = job_of(jail, job);
  if (follow) parameters["follow"] = true;
  Expected<Sent> sent = send_call(*inside_, "org.sandboxd.Jail.Logs", parameters);
  if (!sent) return std::move(sent).error();
  for (;;) {
    Result<Message> message = sent->connection.receive(follow ? 0 : inside_->deadline());
    if (!message.ok()) return error_of(message.error());
    if (!message->error.empty()) return error_of(*message);
    LogPart part;
    part.dropped = number_at(message->parameters, "dropped");
    if (has(message->parameters, "output")) {
      Expected<Output> output = output_at(message->parameters);
      if (!output) return std::move(output).error();
      part.output = std::move(output).value();
    }
    const bool tells = part.dropped != 0 || !part.output.data.empty();
    if (tells && !on_part(part)) return {};
    if (!message->continues) return {};
  }
}

Expected<Events> Client::events(const Cursor& cursor, bool follow) noexcept {
  Json parameters = {{"after", cursor.after}};
  if (!cursor.epoch.empty()) parameters["epoch"] = cursor.epoch;
  if (!follow) parameters["follow"] = false;
  Expected<Sent> sent = send_call(*inside_, "org.sandboxd.Jail.Events", parameters);
  if (!sent) return std::move(sent).error();
  return make_events(std::move(sent->connection), cursor);
}

Files Client::files(const std::string& jail) noexcept { return make_files(inside_, jail); }

Expected<std::string> Client::call(const std::string& method, const std::string& parameters) noexcept {
  Json json;
  if (const auto wrong = protocol::parse_json(parameters, json); wrong || !json.is_object()) {
    return Error{.kind = ErrorKind::kInvalid, .text = "the parameters of a call must be a JSON object"};
  }
  Expected<Json> answer = inside_->ask(method, json);
  if (!answer) return std::move(answer).error();
  return protocol::to_text(*answer);
}

}  // namespace sandboxd::client
