// org.sandboxd.Jail.Run: relays an attached run's output as replies, or collects it for the one reply of a call without
// `more`.
#pragma once

#include <cstddef>

#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

inline constexpr std::size_t kCaptured = 256U << 10;  // bytes of each stream that one reply has room for

void run(jails::Supervisor& supervisor, const CallPtr& call);

}  // namespace sandboxd::api
