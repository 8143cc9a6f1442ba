// What jail-init gets: the job, its limits, the profile's filter, and its Landlock rules (landlock_rules.h).
#pragma once

#include "daemon/wire/init_plan.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

struct InitPlanOptions {
  int landlock_abi = 0;
  bool count_by_id = true;  // pids_max is RLIMIT_NPROC's; else the cgroup counts
};
wire::InitPlan make_init_plan(const wire::JailPlan& plan, const wire::Profile& profile, const InitPlanOptions& options);

}  // namespace sandboxd::launcher
