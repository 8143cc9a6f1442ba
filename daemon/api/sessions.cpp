#include "daemon/api/sessions.h"

#include <string>

#include <nlohmann/json.hpp>

#include "daemon/api/failure.h"
#include "protocol/codec.h"
#include "protocol/reader.h"

namespace sandboxd::api {
namespace {

constexpr std::size_t kMaxJailName = 256;
constexpr int kDefaultSignal = 15;
constexpr std::uint64_t kMaxSignal = 64;

// What most of these calls have: a jail, and one of its jobs, the first when it isn't said.
struct Target {
  std::string jail{};
  std::uint32_t job = 1;
};

protocol::Read job_number(std::uint32_t& out) { return protocol::whole(1, UINT32_MAX, protocol::into(out)); }

template <class More> bool read_target(const CallPtr& call, Target& target, More more) {
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, target.jail));
  reader.optional("job", job_number(target.job));
  more(reader);
  const protocol::Checked wrong = reader.finish();
  if (wrong) call->fail(*wrong);
  return !wrong;
}

void answer(const CallPtr& call, const std::optional<jails::Failure>& failure) {
  failure ? fail(*call, *failure) : call->reply(Json::object());
}

void set_frozen(jails::Supervisor& supervisor, const CallPtr& call, bool frozen) {
  std::string jail;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  supervisor.freeze(client_of(call->peer()), jail, frozen,
                    [call](const std::optional<jails::Failure>& failure) { answer(call, failure); });
}

}  // namespace

void create(jails::Supervisor& supervisor, const CallPtr& call) {
  protocol::JobSpec spec;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("spec", protocol::object(spec));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const auto done = [call](const std::variant<protocol::JailInfo, jails::Failure>& made) {
    if (const auto* failure = std::get_if<jails::Failure>(&made)) return fail(*call, *failure);
    call->reply({{"jail", protocol::encode(std::get<protocol::JailInfo>(made))}});
  };
  supervisor.create(client_of(call->peer()), spec, done);
}

void attach(jails::Supervisor& supervisor, const CallPtr& call) {
  Target target;
  std::optional<std::uint64_t> replay;
  const auto more = [&](protocol::ObjectReader& reader) {
    reader.optional("replay", protocol::whole(0, protocol::kMaxNumber, protocol::into(replay)));
  };
  if (!read_target(call, target, more)) return;
  if (!call->more())
    return call->fail(protocol::Invalid{"/more", "false", "true: descriptors come with the first reply"});
  // Without a hold on the call: what is attached is kept by it, and ends with it.
  const std::weak_ptr<Call> weak = call;
  jails::JobObserver observer;
  observer.started = [weak](const protocol::JobInfo& info, std::vector<UniqueFd> fds) {
    if (const CallPtr open = weak.lock()) open->reply_more({{"started", protocol::encode(info)}}, std::move(fds));
  };
  observer.report = [weak](const protocol::JobReport& report) {
    if (const CallPtr open = weak.lock()) open->reply({{"report", protocol::encode(report)}});
  };
  observer.failure = [weak](const jails::Failure& failure) {
    if (const CallPtr open = weak.lock()) fail(*open, failure);
  };
  auto token = supervisor.attach(client_of(call->peer()), target.jail, target.job, replay, std::move(observer));
  if (token) call->keep(std::move(token));
}

void detach(jails::Supervisor& supervisor, const CallPtr& call) {
  Target target;
  if (!read_target(call, target, [](protocol::ObjectReader&) {})) return;
  answer(call, supervisor.detach(client_of(call->peer()), target.jail, target.job));
}

void resize(jails::Supervisor& supervisor, const CallPtr& call) {
  Target target;
  protocol::WindowSize size;
  const auto more = [&](protocol::ObjectReader& reader) { reader.required("size", protocol::object(size)); };
  if (!read_target(call, target, more)) return;
  answer(call, supervisor.resize(client_of(call->peer()), target.jail, target.job, size));
}

void signal(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  std::optional<std::uint32_t> job;
  int number = kDefaultSignal;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.optional("job", protocol::whole(1, UINT32_MAX, protocol::into(job)));
  reader.optional("signal", protocol::whole(1, kMaxSignal, protocol::into(number)));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  answer(call, supervisor.signal(client_of(call->peer()), jail, job, number));
}

void jobs(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const auto found = supervisor.jobs(client_of(call->peer()), jail);
  if (const auto* failure = std::get_if<jails::Failure>(&found)) return fail(*call, *failure);
  Json list = Json::array();
  for (const protocol::JobInfo& info : std::get<0>(found)) list.push_back(protocol::encode(info));
  call->reply({{"jobs", std::move(list)}});
}

void freeze(jails::Supervisor& supervisor, const CallPtr& call) { set_frozen(supervisor, call, true); }
void thaw(jails::Supervisor& supervisor, const CallPtr& call) { set_frozen(supervisor, call, false); }

void extend(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  std::uint64_t ttl = 0;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.required("ttl", protocol::whole(1, protocol::kMaxDuration, protocol::into(ttl)));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const auto expires = supervisor.extend(client_of(call->peer()), jail, ttl);
  if (const auto* failure = std::get_if<jails::Failure>(&expires)) return fail(*call, *failure);
  call->reply({{"expires", std::get<std::uint64_t>(expires)}});
}

void logs(jails::Supervisor& supervisor, const CallPtr& call) {
  Target target;
  bool follow = false;
  const auto more = [&](protocol::ObjectReader& reader) { reader.optional("follow", protocol::boolean(follow)); };
  if (!read_target(call, target, more)) return;
  if (!call->more()) return call->fail(protocol::Invalid{"/more", "false", "true: a log takes several replies"});
  const std::weak_ptr<Call> weak = call;
  jails::Supervisor::LogObserver observer;
  observer.piece = [weak](const jails::LogPiece& piece) {
    const CallPtr open = weak.lock();
    if (!open) return;
    Json reply = Json::object();
    reply["output"] = {{"stream", piece.stream == 2 ? "stderr" : "stdout"},
                       {"data", protocol::bytes_to_json(piece.bytes)}};
    if (piece.dropped != 0) reply["dropped"] = piece.dropped;
    open->reply_more(reply);
  };
  observer.done = [weak](const std::optional<jails::Failure>& failure) {
    if (const CallPtr open = weak.lock()) answer(open, failure);
  };
  auto flow = supervisor.logs(client_of(call->peer()), target.jail, target.job, follow, std::move(observer));
  if (!flow) return;
  call->on_pressure([flow = flow.get()](bool pressed) { flow->pause(pressed); });
  call->keep(std::move(flow));
}

}  // namespace sandboxd::api
