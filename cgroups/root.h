// The directory that holds all jails of one daemon, and what controllers the kernel has for cgroups in it. It lies
//
//   1. below the configured cgroup_root, an absolute path on a cgroup2 mount; or
//   2. in the subtree that systemd has delegated to us: the nearest cgroup above ours that carries its mark (xattr
//      trusted.delegate or user.delegate, systemd.resource-control(5)) and is root's; or
//   3. below the mount itself: "sandboxd" in /sys/fs/cgroup.
//
// A controller is there for a cgroup only when all above it pass it on (cgroup.subtree_control). We switch on what we need in
// our own directories, in the delegated one, and in the mount's root; never in a directory that is somebody else's. A cgroup
// with processes of its own passes nothing on (EBUSY): `trouble` says so, and what to do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cgroups/cgroup.h"

namespace sandboxd::cgroups {

struct Root {
  Cgroup cgroup;                     // the daemon's own part
  std::string path{};                // of it
  std::vector<std::string> files{};  // of kLimitFiles, those that a jail's cgroup will have
  std::string trouble{};             // why controllers are missing, where that is known

  [[nodiscard]] bool has(std::string_view file) const;
};

// `name` is the daemon's own part ("slice-1879048192").
Result<Root> open_root(const std::string& configured, const std::string& name);
// At the daemon's end; EBUSY while a jail is in it. The directory above it stays (others may share it).
Status remove_root(const Root& root);

// Where open_root() would put it, and the controllers that could be switched on there; nothing is made or changed.
struct Prospect {
  std::string path{};                      // without the daemon's own part
  std::vector<std::string> controllers{};  // "memory" ...
};
Result<Prospect> look_for_root(const std::string& configured);
// What "unenforced_limits" would have to list there, for jails with these limits to start at all: groups of kLimitRows.
// pids_max is never one: RLIMIT_NPROC holds it as well.
[[nodiscard]] std::vector<std::string> unenforceable(const Prospect& prospect);

// In a delegated cgroup whose only process we are: into its child "supervisor", so that the cgroup can pass controllers on.
// Else nothing is changed.
Status leave_delegated_top();

// The first cgroup2 mount of this mount namespace ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"); ENOENT without one.
Result<std::string> find_mount();
// The path after "0::" of /proc/PID/cgroup (cgroups(7)).
Result<std::string> own_cgroup(std::string_view proc_cgroup);

}  // namespace sandboxd::cgroups
