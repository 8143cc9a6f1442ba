#include "daemon/api/limits.h"

#include <nlohmann/json.hpp>

#include "daemon/api/failure.h"
#include "daemon/api/listing.h"
#include "protocol/codec.h"
#include "protocol/reader.h"

namespace sandboxd::api {
namespace {

constexpr std::size_t kMaxJailName = 256;

}  // namespace

void stats(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.optional("jail", protocol::string(kMaxJailName, jail));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  std::optional<std::string> name;
  if (!jail.empty()) name = jail;
  auto answer = supervisor.stats(client_of(call->peer()), name);
  if (const auto* failure = std::get_if<jails::Failure>(&answer)) return fail(*call, *failure);
  auto rows = std::get<std::vector<protocol::JailStats>>(std::move(answer));
  const std::size_t count = rows.size();
  // A dozen files of each jail's cgroup are read.
  reply_listing(call,
                {"stats", count, [rows = std::move(rows)](std::size_t i) { return protocol::encode(rows[i]); }, 1});
}

void why(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const auto answer = supervisor.why(client_of(call->peer()), jail);
  if (const auto* failure = std::get_if<jails::Failure>(&answer)) return fail(*call, *failure);
  call->reply(protocol::encode(std::get<protocol::Denials>(answer)));
}

void learned(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  std::string name;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.required("name", protocol::string(kMaxJailName, name));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const auto answer = supervisor.learned(client_of(call->peer()), jail, name);
  if (const auto* failure = std::get_if<jails::Failure>(&answer)) return fail(*call, *failure);
  call->reply(protocol::encode(std::get<protocol::LearnedProfile>(answer)));
}

void update(jails::Supervisor& supervisor, const CallPtr& call) {
  std::string jail;
  protocol::AskedLimits limits;
  protocol::ObjectReader reader(call->parameters(), "/parameters");
  reader.required("jail", protocol::string(kMaxJailName, jail));
  reader.required("limits", protocol::object(limits));
  if (const protocol::Checked wrong = reader.finish()) return call->fail(*wrong);
  const auto done = [call](const std::variant<std::vector<protocol::Fact>, jails::Failure>& answer) {
    if (const auto* failure = std::get_if<jails::Failure>(&answer)) return fail(*call, *failure);
    Json facts = Json::array();
    for (const protocol::Fact& fact : std::get<std::vector<protocol::Fact>>(answer))
      facts.push_back({{"name", fact.name}, {"value", fact.value}});
    call->reply({{"in_force", std::move(facts)}});
  };
  supervisor.update(client_of(call->peer()), jail, limits, done);
}

}  // namespace sandboxd::api
