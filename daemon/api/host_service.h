// org.sandboxd.Host and org.sandboxd: what the daemon and its host are. Decides nothing.
#pragma once

#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

[[nodiscard]] Interface host_interface(jails::Supervisor& supervisor);
[[nodiscard]] Interface common_interface();  // Version, and the errors that all have

}  // namespace sandboxd::api
