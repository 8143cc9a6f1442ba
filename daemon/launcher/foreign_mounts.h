// A client in a mount namespace of its own (a container, a unit with PrivateTmp): open_tree(2) copies mounts of the caller's
// own namespace only. A child that has loaded a filter of four calls enters the client's namespace, copies the mount that a
// descriptor is on, and hands it back. It opens no file there: no library, locale or nsswitch.conf of the client's is ever
// read (CVE-2019-14271).
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::launcher {

// EPERM from setns when the namespace is not one that the client could be in.
Result<UniqueFd> clone_in_namespace(int mount_namespace, int fd, bool recursive);

}  // namespace sandboxd::launcher
