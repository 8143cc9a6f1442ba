// Run and Exec: one call that hears of a job from its start to its end.
#pragma once

#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

// Of each stream, in the one reply without 'more': the first and the last bytes.
inline constexpr std::size_t kCapturedHead = 192U << 10;
inline constexpr std::size_t kCapturedTail = 64U << 10;

void run(jails::Supervisor& supervisor, const CallPtr& call);
void exec(jails::Supervisor& supervisor, const CallPtr& call);

}  // namespace sandboxd::api
