// org.sandboxd.Jail.Stats, Why, Learned and Update.
#pragma once

#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

void stats(jails::Supervisor& supervisor, const CallPtr& call);
void why(jails::Supervisor& supervisor, const CallPtr& call);
void learned(jails::Supervisor& supervisor, const CallPtr& call);
void update(jails::Supervisor& supervisor, const CallPtr& call);

}  // namespace sandboxd::api
