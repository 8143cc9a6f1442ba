#include "daemon/launcher/init_plan_builder.h"

#include <sys/resource.h>

#include "daemon/launcher/landlock_rules.h"

namespace sandboxd::launcher {
namespace {

void add_limit(wire::InitPlan& init, std::uint32_t resource, std::uint64_t value) {
  if (value != 0) init.rlimits.push_back({resource, value, value});
}

}  // namespace

wire::InitPlan make_init_plan(const wire::JailPlan& plan, const wire::Profile& profile,
                              const InitPlanOptions& options) {
  wire::InitPlan init;
  init.job_uid = plan.inside_uid;
  init.job_gid = plan.inside_gid;
  init.wall_time = plan.limits.wall_time;
  init.stdio = static_cast<std::uint8_t>(plan.job.stdio);
  init.merge_stderr = plan.job.merge_stderr;
  init.explain = plan.explain_denials;
  init.learn = plan.learn;
  init.rows = plan.job.rows;
  init.columns = plan.job.columns;
  add_limit(init, RLIMIT_NOFILE, plan.limits.nofile);
  add_limit(init, RLIMIT_FSIZE, plan.limits.file_size_max);
  // Beside the cgroup's it would refuse first, and the cgroup would not count what was refused: so a run has one of them.
  if (options.count_by_id) add_limit(init, RLIMIT_NPROC, plan.limits.pids_max);
  put_landlock(init, plan, profile.landlock, options.landlock_abi);
  if (profile
          .nested) {  // whom Landlock holds to any rule about files, it refuses every mount (landlock(7), Current limitations)
    init.landlock_fs = 0;
    init.landlock.clear();
  }
  init.filter = profile.filter;
  for (const wire::Tmpfs& row : plan.tmpfs) init.tmpfs.push_back(row.path);
  init.workdir = plan.job.workdir;
  init.argv = plan.job.argv;
  init.env = plan.job.env;
  return init;
}

}  // namespace sandboxd::launcher
