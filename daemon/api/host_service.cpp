#include "daemon/api/host_service.h"

#include <optional>

#include <nlohmann/json.hpp>

#include "daemon/api/failure.h"
#include "protocol/codec.h"
#include "protocol/errors.h"
#include "protocol/interfaces.h"
#include "protocol/reader.h"

namespace sandboxd::api {
namespace {

bool has_no_parameters(Call& call) {
  const protocol::Checked wrong = protocol::ObjectReader(call.parameters(), "/parameters").finish();
  if (wrong) call.fail(*wrong);
  return !wrong;
}

void profiles(jails::Supervisor& supervisor, Call& call) {
  std::optional<std::string> name;
  protocol::ObjectReader reader(call.parameters(), "/parameters");
  reader.optional("name", protocol::matching(protocol::is_name, "a profile's name", protocol::into(name)));
  if (const protocol::Checked wrong = reader.finish()) return call.fail(*wrong);
  Json list;
  if (!parse_or_fail(call, supervisor.profiles(name), list)) return;
  if (name && list.empty()) return fail(call, jails::NotFound{"profile", *name});
  call.reply({{"profiles", std::move(list)}});
}

}  // namespace

Interface host_interface(jails::Supervisor& supervisor) {
  const auto text = [](const char* key, auto ask) {
    return [key, ask](const CallPtr& call) {
      Json value;
      if (has_no_parameters(*call) && parse_or_fail(*call, ask(), value)) call->reply({{key, std::move(value)}});
    };
  };
  return {"org.sandboxd.Host",
          protocol::kSandboxdHostInterface,
          {{"Info", text("info", [&supervisor] { return supervisor.host_info(); })},
           {"Features", text("features", [&supervisor] { return supervisor.host_features(); })},
           {"Profiles", [&supervisor](const CallPtr& call) { profiles(supervisor, *call); }}}};
}

Interface common_interface() {
  const auto version = [](const CallPtr& call) {
    if (!has_no_parameters(*call)) return;
    call->reply({{"version", SANDBOXD_VERSION}, {"protocol", protocol::kProtocolVersion}});
  };
  return {"org.sandboxd", protocol::kSandboxdInterface, {{"Version", version}}};
}

}  // namespace sandboxd::api
