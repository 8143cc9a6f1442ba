#include "daemon/launcher/init_plan_builder.h"

#include <algorithm>

#include <linux/landlock.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sandboxd::launcher {
namespace {

// Names that Debian 12's header lacks (linux/landlock.h of 6.12); values are ABI.
constexpr std::uint64_t kTruncate = 1ULL << 14;          // ABI 3
constexpr std::uint64_t kIoctlDev = 1ULL << 15;          // ABI 5
constexpr std::uint64_t kScopeAbstractUnix = 1ULL << 0;  // ABI 6
constexpr std::uint64_t kScopeSignal = 1ULL << 1;

constexpr std::uint64_t kBindTcp = 1ULL << 0;  // ABI 4
constexpr std::uint64_t kConnectTcp = 1ULL << 1;
constexpr int kTcpAbi = 4;

constexpr std::uint64_t kExecute = LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kChange =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO |
    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER | kTruncate;
// Handled, and granted nowhere.
constexpr std::uint64_t kDevices = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

std::uint64_t known_to(int abi) {
  std::uint64_t known = (1ULL << 13) - 1;
  if (abi >= 2) known |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) known |= kTruncate;
  if (abi >= 5) known |= kIoctlDev;
  return known;
}

void add_rules(wire::InitPlan& init, const wire::JailPlan& plan, const wire::Profile& profile, std::uint64_t known) {
  const auto add = [&](const std::string& path, std::uint64_t access) {
    init.landlock.push_back({path, access & known});
  };
  const wire::ProfileLandlock& more = profile.landlock;
  add("/", more.limits_execute ? kRead & ~kExecute : kRead);
  for (const std::string& path : more.execute) add(path, kExecute);
  add("/dev", LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDev);
  add("/proc",
      LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate);  // /proc/self/comm, oom_score_adj; /proc/sys is mounted read-only
  for (const wire::Tmpfs& row : plan.tmpfs) add(row.path, kChange);
  for (const wire::Bind& bind : plan.binds) {
    if (bind.access == wire::Access::kRw) add(bind.target, kChange);
  }
}

// An empty list refuses every port.
void add_ports(wire::InitPlan& init, const wire::ProfileLandlock& landlock) {
  if (landlock.limits_connect) init.landlock_net |= kConnectTcp;
  if (landlock.limits_bind) init.landlock_net |= kBindTcp;
  for (const std::uint32_t port : landlock.connect) init.landlock_ports.push_back({kConnectTcp, port});
  for (const std::uint32_t port : landlock.bind) init.landlock_ports.push_back({kBindTcp, port});
}

void add_limit(wire::InitPlan& init, std::uint32_t resource, std::uint64_t value) {
  if (value != 0) init.rlimits.push_back({resource, value, value});
}

}  // namespace

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

bool lacks_tcp(const wire::ProfileLandlock& landlock, int abi) {
  return abi < kTcpAbi && (landlock.limits_connect || landlock.limits_bind);
}

wire::InitPlan make_init_plan(const wire::JailPlan& plan, const wire::Profile& profile,
                              const InitPlanOptions& options) {
  wire::InitPlan init;
  init.job_uid = plan.inside_uid;
  init.job_gid = plan.inside_gid;
  init.wall_time = plan.limits.wall_time;
  init.stdio = static_cast<std::uint8_t>(plan.job.stdio);
  init.merge_stderr = plan.job.merge_stderr;
  init.rows = plan.job.rows;
  init.columns = plan.job.columns;
  add_limit(init, RLIMIT_NOFILE, plan.limits.nofile);
  add_limit(init, RLIMIT_FSIZE, plan.limits.file_size_max);
  // Beside the cgroup's it would refuse first, and the cgroup would not count what was refused: so a run has one of them.
  if (options.count_by_id) add_limit(init, RLIMIT_NPROC, plan.limits.pids_max);
  const std::uint64_t known = known_to(options.landlock_abi);
  init.landlock_fs = (kRead | kChange | kDevices | kIoctlDev) & known;
  init.landlock_scoped = options.landlock_abi >= 6 ? kScopeAbstractUnix | kScopeSignal : 0;
  add_rules(init, plan, profile, known);
  if (options.landlock_abi >= kTcpAbi) add_ports(init, profile.landlock);
  init.filter = profile.filter;
  for (const wire::Tmpfs& row : plan.tmpfs) init.tmpfs.push_back(row.path);
  init.workdir = plan.job.workdir;
  init.argv = plan.job.argv;
  init.env = plan.job.env;
  return init;
}

}  // namespace sandboxd::launcher
