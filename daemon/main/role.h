// The daemon itself: what `sandboxd` without options is, started with its sockets (the standalone parent, or units), an id of
// its own and no capability. It locks itself in before it reads a byte from anyone, serves clients once the launcher and the
// audit program are there, and at SIGTERM ends its jails and waits for their records.
#pragma once

#include "base/result.h"

namespace sandboxd::main {

Status run_role();

}  // namespace sandboxd::main
