// Reads from the kernel what is in force for a jail (proc(5), namespaces(7), cgroups(7)), and compares it with the plan.
// Nothing here trusts what the jail says of itself: processes are found through the jail's cgroup.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

// Of the launcher itself, by name ("user", "pid" ...), and the template's mount namespace: no jail may be in one of them.
struct HostNamespaces {
  std::vector<std::pair<std::string, std::uint64_t>> inodes{};
};
Result<HostNamespaces> host_namespaces(int proc_dir, int template_namespace);

struct Expected {
  const wire::JailPlan* plan = nullptr;
  std::uint32_t first_id = 0;
  std::int32_t init_pid = 0;        // in this pid namespace
  std::uint64_t network_inode = 0;  // the one that was made (or the host's)
  std::string cgroup_path{};        // its last part
  std::uint64_t core_limit = 1;
  int landlock_abi = 0;
  bool nested = false;          // Landlock was asked for nothing about files
  bool landlock_probe = false;  // jail-init's own, taken before anything of the workload ran
  const HostNamespaces* host = nullptr;
};

// The facts of a jail whose first job waits before its exec; EPERM with the fact's name on any difference.
Result<wire::Readback> read_back_launch(int proc_dir, const cgroups::Cgroup& cgroup, const Expected& expected);
// The facts alone, of a live jail. Where no job lives (an idle session), without its ids and capabilities.
Result<wire::Readback> read_back_live(int proc_dir, const cgroups::Cgroup& cgroup, std::uint32_t first_id);

}  // namespace sandboxd::launcher
