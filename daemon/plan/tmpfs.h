// The jail's file systems in memory, within its limits. Pure.
#pragma once

#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"
#include "protocol/job.h"

namespace sandboxd::plan {

// plan.limits must be there. The profile's own keep their sizes where these fit scratch_max and inodes_max, else each is made
// smaller by the same part; a size that the request gives is kept as it is, and so may still be too much for the check.
void put_tmpfs(const protocol::JobSpec& spec, const wire::Profile& profile, wire::JailPlan& plan);

}  // namespace sandboxd::plan
