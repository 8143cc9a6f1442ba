// The supervisor's failures as replies, and the peer of a call as its client.
#pragma once

#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

void fail(Call& call, const jails::Failure& failure);
[[nodiscard]] jails::Client client_of(const Peer& peer);
// What the supervisor gives as JSON text; false when that is none, and then the call was answered.
[[nodiscard]] bool parse_or_fail(Call& call, std::string_view text, Json& out);

}  // namespace sandboxd::api
