// Which of a plan's limits are held by what on this host. A limit that nothing here can hold refuses the jail, unless an admin
// has listed it in unenforced_limits: then it is told as unenforced. Limits that jail-init and sandboxd hold by themselves
// (times, output) are not told of here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "cgroups/limits.h"
#include "cgroups/root.h"
#include "daemon/wire/init_control.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

struct Holding {
  std::vector<wire::Enforced> enforced{};
  std::vector<std::string> unenforced{};
  std::vector<const cgroups::LimitFile*> files{};  // to be written for this
  bool needs_disk = false;                         // io.max is one of them
};

// EOPNOTSUPP with the limit, its controller and what to do. `proc_dir` is the host's /proc.
// `reserve`: the jail's, as below; with a session's, pids_max is RLIMIT_NPROC's.
Result<Holding> hold_limits(const Limits& limits, const cgroups::Root& root, const wire::Config& config, int proc_dir,
                            std::uint64_t reserve);
// pids_max is RLIMIT_NPROC's where the kernel can't count a cgroup's processes: no other jail has these ids.
[[nodiscard]] bool counts_by_id(const cgroups::Root& root);

// What a session's cgroup counts beside its jobs' processes: keepers, and who signals all. They must always be had, also beside a bomb
// that has taken all that its jobs may have; so there RLIMIT_NPROC, of the jobs' id alone, is the limit, and the cgroup the bound.
inline constexpr std::uint64_t kSessionReserve = wire::kMaxJobs + 1;
// The recorder, in a jail whose refused calls are told.
inline constexpr std::uint64_t kRecorderReserve = 1;
// Noted on the cgroup, for updates (xattr trusted.sandboxd.reserve); 0 of a run without.
Status note_reserve(const cgroups::Cgroup& cgroup, std::uint64_t reserve);
Result<std::uint64_t> noted_reserve(const cgroups::Cgroup& cgroup);
[[nodiscard]] Limits with_reserve(Limits limits, std::uint64_t reserve);

// Of the files of `holding` but io.max; then io.max alone, whose disk is known later. What is in force is added to `facts`.
Status write_limits(const cgroups::Cgroup& cgroup, const Holding& holding, const Limits& limits,
                    std::vector<wire::Fact>& facts);
Status write_disk_limits(const cgroups::Cgroup& cgroup, const Limits& limits, const cgroups::Disk& disk,
                         std::vector<wire::Fact>& facts);
// "cgroup.memory.max" and so on: of a live jail's cgroup.
Status add_limit_facts(const cgroups::Cgroup& cgroup, std::vector<wire::Fact>& facts);

// The profile that a jail was started with, on its cgroup (xattr trusted.sandboxd.profile).
Status note_profile(const cgroups::Cgroup& cgroup, const Sha256Digest& hash);
Result<Sha256Digest> noted_profile(const cgroups::Cgroup& cgroup);

}  // namespace sandboxd::launcher
