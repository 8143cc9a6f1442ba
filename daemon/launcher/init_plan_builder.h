// What jail-init gets: the job, its limits, the profile's filter, and the Landlock rules that follow from the plan's mounts.
#pragma once

#include "daemon/wire/init_plan.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

// The kernel's Landlock ABI (landlock(7)); 0 when there is none, and then nothing is launched.
int landlock_abi();

struct InitPlanOptions {
  int landlock_abi = 0;
  bool count_by_id = true;  // pids_max is RLIMIT_NPROC's; else the cgroup counts
};
// The profile limits TCP ports and the kernel can't hold that (ABI below 4).
[[nodiscard]] bool lacks_tcp(const wire::ProfileLandlock& landlock, int abi);
wire::InitPlan make_init_plan(const wire::JailPlan& plan, const wire::Profile& profile, const InitPlanOptions& options);

}  // namespace sandboxd::launcher
