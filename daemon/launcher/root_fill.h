// What a jail's root directory holds: the host's /usr with a synthetic /etc, or the top-level entries of a directory.
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/launcher/jail_setup.h"

namespace sandboxd::launcher {

// Names at the top of a root that are always ours, whatever a directory or the host has there.
[[nodiscard]] bool is_reserved_name(const std::string& name);

// In the launch child, before it leaves the host's mount namespace: copies of a directory's top-level entries. Symbolic
// links are made anew; what is neither a link, a directory nor a regular file is left out. For the whole-host view `skip`
// names what is hidden.
Result<std::vector<RootEntry>> collect_root_entries(int directory, int user_namespace, bool whole_host);

Status fill_from_usr(int root, const JailSetup& setup);
Status fill_from_entries(int root, const JailSetup& setup);
// Covers what of /proc tells about the host, and makes its knobs read-only.
Status mask_proc(int root, int proc);
// An empty file as the place for a file's bind; an existing one is taken as it is.
Status touch_file(int root, const std::string& path);

}  // namespace sandboxd::launcher
