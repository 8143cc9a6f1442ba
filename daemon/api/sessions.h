// What org.sandboxd.Jail does in and to a live jail, besides Exec (run.h). Each decodes, asks the supervisor, encodes.
#pragma once

#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

void create(jails::Supervisor& supervisor, const CallPtr& call);
void attach(jails::Supervisor& supervisor, const CallPtr& call);
void detach(jails::Supervisor& supervisor, const CallPtr& call);
void resize(jails::Supervisor& supervisor, const CallPtr& call);
void signal(jails::Supervisor& supervisor, const CallPtr& call);
void jobs(jails::Supervisor& supervisor, const CallPtr& call);
void freeze(jails::Supervisor& supervisor, const CallPtr& call);
void thaw(jails::Supervisor& supervisor, const CallPtr& call);
void extend(jails::Supervisor& supervisor, const CallPtr& call);
void logs(jails::Supervisor& supervisor, const CallPtr& call);

}  // namespace sandboxd::api
