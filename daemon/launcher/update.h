// One change of a live jail's limits, in a child of the launcher of its own: it waits for the audit log, and a memory limit below
// what is in use makes the kernel reclaim before the write returns.
#pragma once

#include "daemon/launcher/launch.h"

namespace sandboxd::launcher {

// Never returns. Exit status 0 when an answer was sent.
[[noreturn]] void update_child(const Host& host, int connection, const wire::Message& request);

}  // namespace sandboxd::launcher
