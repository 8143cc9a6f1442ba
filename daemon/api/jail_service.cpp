#include "daemon/api/jail_service.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "daemon/api/failure.h"
#include "daemon/api/limits.h"
#include "daemon/api/listing.h"
#include "daemon/api/run.h"
#include "daemon/api/sessions.h"
#include "protocol/codec.h"
#include "protocol/interfaces.h"
#include "protocol/reader.h"

namespace sandboxd::api {
namespace {

constexpr std::size_t kMaxJailName = 256;
constexpr std::uint64_t kDefaultSignal = 15;
constexpr std::uint64_t kMaxSignal = 64;
constexpr std::uint64_t kDefaultGraceUsec = 10'000'000;
constexpr std::uint64_t kMaxGraceUsec = 3'600'000'000;

// The calls that have a jail as their only parameter. False: answered.
bool read_jail(Call& call, std::string& jail) {
  protocol::ObjectReader reader(call.parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  const protocol::Checked wrong = reader.finish();
  if (wrong) call.fail(*wrong);
  return !wrong;
}

}  // namespace

Json JailService::encode_event(const jails::Event& event) const {
  Json detail;
  if (protocol::parse_json(event.detail, detail)) detail = Json{{"text", event.detail}};
  return {{"cursor", event.cursor}, {"time", event.time}, {"epoch", supervisor_.epoch()},
          {"jail", event.jail},     {"kind", event.kind}, {"detail", std::move(detail)},
          {"uid", event.uid}};
}

JailService::JailService(jails::Supervisor& supervisor)
    : supervisor_(supervisor), waits_(std::make_shared<std::map<WaitKey, Waiters>>()) {}

Interface JailService::interface() {
  const auto method = [this](void (JailService::*run)(const CallPtr&)) {
    return [this, run](const CallPtr& call) { (this->*run)(call); };
  };
  const auto to = [this](void (*run)(jails::Supervisor&, const CallPtr&)) {
    return [this, run](const CallPtr& call) { run(supervisor_, call); };
  };
  return {"org.sandboxd.Jail",
          protocol::kSandboxdJailInterface,
          {{"Run", to(run)},
           {"Create", to(create)},
           {"Exec", to(exec)},
           {"Attach", to(attach)},
           {"Detach", to(detach)},
           {"Resize", to(resize)},
           {"Signal", to(signal)},
           {"Jobs", to(jobs)},
           {"Freeze", to(freeze)},
           {"Thaw", to(thaw)},
           {"Extend", to(extend)},
           {"Logs", to(logs)},
           {"Explain", method(&JailService::explain)},
           {"Wait", method(&JailService::wait)},
           {"Kill", method(&JailService::kill)},
           {"Remove", method(&JailService::remove)},
           {"List", method(&JailService::list)},
           {"Inspect", method(&JailService::inspect)},
           {"Stats", to(stats)},
           {"Why", to(why)},
           {"Learned", to(learned)},
           {"Update", to(update)},
           {"Events", method(&JailService::events)}}};
}

void JailService::explain(const CallPtr& call) {
  protocol::JobSpec spec;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("spec", protocol::object(spec));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const auto answer = supervisor_.explain(client_of(call->peer()), spec);
  if (const auto* failure = std::get_if<jails::Failure>(&answer)) return fail(*call, *failure);
  Json plan;
  if (parse_or_fail(*call, std::get<std::string>(answer), plan)) call->reply({{"plan", std::move(plan)}});
}

void JailService::wait(const CallPtr& call) {
  std::string jail;
  std::uint32_t job = 0;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.optional("job", protocol::whole(1, UINT32_MAX, protocol::into(job)));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const WaitKey key{call->peer().uid, call->peer().admin, jail, job};
  const auto [found, is_new] = waits_->try_emplace(key);
  std::erase_if(found->second, [](const std::weak_ptr<Call>& waiter) { return waiter.expired(); });
  found->second.push_back(call);
  if (!is_new) return;
  const auto done = [waits = waits_, key](const std::variant<protocol::JobReport, jails::Failure>& answer) {
    auto node = waits->extract(key);
    if (node.empty()) return;
    for (const std::weak_ptr<Call>& waiter : node.mapped()) {
      const CallPtr waiting = waiter.lock();
      if (!waiting) continue;
      if (const auto* failure = std::get_if<jails::Failure>(&answer)) {
        fail(*waiting, *failure);
      } else {
        waiting->reply({{"report", protocol::encode(std::get<protocol::JobReport>(answer))}});
      }
    }
  };
  if (job != 0) return supervisor_.wait_job(client_of(call->peer()), jail, job, done);
  supervisor_.wait(client_of(call->peer()), jail, done);
}

void JailService::kill(const CallPtr& call) {
  std::string jail;
  std::optional<std::uint32_t> job;
  int signal = kDefaultSignal;
  std::uint64_t grace = kDefaultGraceUsec;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.optional("job", protocol::whole(1, UINT32_MAX, protocol::into(job)));
  reader.optional("signal", protocol::whole(1, kMaxSignal, protocol::into(signal)));
  reader.optional("grace", protocol::whole(0, kMaxGraceUsec, protocol::into(grace)));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const jails::Client client = client_of(call->peer());
  const auto failure =
      job ? supervisor_.kill_job(client, jail, *job, signal, grace) : supervisor_.kill(client, jail, signal, grace);
  failure ? fail(*call, *failure) : call->reply(Json::object());
}

void JailService::remove(const CallPtr& call) {
  std::string jail;
  bool force = false;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.optional("force", protocol::boolean(force));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  supervisor_.remove(client_of(call->peer()), jail, force, [call](const std::optional<jails::Failure>& failure) {
    failure ? fail(*call, *failure) : call->reply(Json::object());
  });
}

void JailService::list(const CallPtr& call) {
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  auto answer = supervisor_.list(client_of(call->peer()));
  if (const auto* failure = std::get_if<jails::Failure>(&answer)) return fail(*call, *failure);
  auto jails = std::get<std::vector<protocol::JailInfo>>(std::move(answer));
  const std::size_t count = jails.size();
  reply_listing(
      call,
      {"jails", count,
       [jails = std::move(jails)](std::size_t i) { return protocol::encode(jails[i], protocol::kArgvListed); }, 0.125});
}

void JailService::inspect(const CallPtr& call) {
  std::string jail;
  if (!read_jail(*call, jail)) return;
  const auto done = [call](const std::variant<protocol::JailInfo, jails::Failure>& answer) {
    if (const auto* failure = std::get_if<jails::Failure>(&answer)) return fail(*call, *failure);
    call->reply({{"jail", protocol::encode(std::get<protocol::JailInfo>(answer))}});
  };
  supervisor_.inspect(client_of(call->peer()), jail, done);
}

// Those so far, and a reply without one that says there are no more.
void JailService::past_events(Call& call, std::uint64_t after, std::optional<std::uint64_t> gap) {
  if (gap) {
    const Json reply = {{"gap", *gap}};
    if (!call.more()) return call.reply(reply);
    call.reply_more(reply);
  }
  for (const jails::Event& event : supervisor_.past_events(client_of(call.peer()), after)) {
    const Json reply = {{"event", encode_event(event)}};
    if (!call.more()) return call.reply(reply);
    call.reply_more(reply);
  }
  call.reply(Json::object());
}

void JailService::events(const CallPtr& call) {
  std::uint64_t after = 0;
  bool follow = true;
  std::string epoch;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.optional("after", protocol::whole(0, protocol::kMaxNumber, protocol::into(after)));
  reader.optional("epoch", protocol::string(kMaxJailName, epoch));
  reader.optional("follow", protocol::boolean(follow));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  if (call->oneway()) return call->reply(Json::object());
  // Only who says where it stopped can have missed something.
  std::optional<std::uint64_t> gap;
  if (!epoch.empty() && epoch != supervisor_.epoch()) {
    gap = after = 0;
  } else if (after != 0 && supervisor_.missed_events(after) != 0) {
    gap = supervisor_.missed_events(after);
  }
  if (!follow) return past_events(*call, after, gap);
  if (gap) {
    const Json reply = {{"gap", *gap}};
    if (!call->more()) return call->reply(reply);
    call->reply_more(reply);
  }
  // Without a hold on the call: the subscription is kept by it, and ends with it.
  const auto each = [this, call = std::weak_ptr<Call>(call)](const jails::Event& event) {
    const CallPtr listening = call.lock();
    if (!listening) return;
    const Json reply = {{"event", encode_event(event)}};
    listening->more() ? listening->reply_more(reply) : listening->reply(reply);
  };
  call->keep(supervisor_.subscribe(client_of(call->peer()), after, each));
}

}  // namespace sandboxd::api
