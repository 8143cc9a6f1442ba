// Id maps, the helper user namespace that files are id-mapped by, and the jail's network namespace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <linux/sched.h>

#include "base/ids.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::launcher {

struct IdRange {
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 1;
};

// One write each, through a /proc/PID directory that the caller has pinned (user_namespaces(7)).
Status write_id_maps(int proc_pid_dir, const std::vector<IdRange>& uids, const std::vector<IdRange>& gids);

// A user namespace that maps one uid and one gid of files, "inside", to ids of the jail, "outside": never the jail's own map,
// which under user root would hand files of the host's uid 0 to the job.
Result<UniqueFd> make_file_owner_namespace(int proc_dir, const IdRange& uid, const IdRange& gid);

// Of a jail's range: makes the jail's user namespace, in which it has no id. No process of a jail ever runs as it.
inline constexpr std::uint32_t kOwnerOffset = kIdsPerJail - 1;
// clone3(2) of a process whose user namespace `owner` makes: a host id that nothing runs as. 0 in the child, as there.
// Whoever makes a user namespace is charged in its parent for what the processes in it take of what is counted for each user
// (inotify's instances, queued signals, message queues). Made by root, one jail's would be all jails', and the host's root's.
Result<int> clone_owned(clone_args& args, std::uint32_t owner);

// A new network namespace for this process, owned by the host's user namespace so that the jail can't change it; lo is up.
Status enter_new_network();

// One that was made ahead (network_pool.h).
Status enter_network(int network);

// The inode of /proc/SELF_OR_PID/ns/NAME, which names a namespace (namespaces(7)).
Result<std::uint64_t> namespace_inode(int proc_pid_dir, const char* name);
// Who made its user namespace (ioctl_ns(2), NS_GET_OWNER_UID).
Result<uid_t> namespace_owner(int proc_pid_dir);

}  // namespace sandboxd::launcher
