// Where a read-only bind lies below a place that the job may write. Landlock's rights are inherited across a mount, and a
// read-only mount stops neither FIFOs nor sockets: such a bind needs an id map without groups (daemon/launcher/namespaces.h).
// Pure; the plan is one that check_narrows() has let through, so nothing lies below /dev or /proc.
#pragma once

#include <string>

#include "daemon/wire/plan.h"

namespace sandboxd::wire {

// The tmpfs or writable bind that holds the target of this read-only bind; null when there is none, or the bind is writable.
const std::string* writable_above(const JailPlan& plan, const Bind& bind);

}  // namespace sandboxd::wire
