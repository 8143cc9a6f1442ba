// The new mount API (open_tree(2), mount_setattr(2), fsopen(2), move_mount(2), openat2(2)), by descriptor only. Nothing here
// takes a path from the root of the file system: a path is resolved in a root that the caller holds, and never through a
// symbolic link that leaves it (CVE-2021-30465, CVE-2025-31133). There is no fallback by path.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include <sys/mount.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::launcher {

inline constexpr std::uint64_t kProtected = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// A detached copy of the mount at `path` below `fd` ("" for `fd` itself); dropping it unmounts it.
Result<UniqueFd> clone_tree(int fd, const char* path, bool recursive);
// Attributes are only added, and propagation is cut. `user_namespace`: id-map by it (-1: no). Every copy goes through this
// before anything is mounted on it.
Status add_attributes(int mount, std::uint64_t attributes, bool recursive, int user_namespace = -1);
// Cuts propagation in both directions, recursively.
Status make_private(int mount);

using Options = std::initializer_list<std::pair<const char*, std::string>>;  // a value of "" sets a flag
Result<UniqueFd> new_filesystem(const char* type, const Options& options, unsigned attributes);

// openat2 with RESOLVE_IN_ROOT: `path` is absolute in `root`.
Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, unsigned mode = 0);
// mkdir -p; symbolic links on the way are refused (ELOOP).
Result<UniqueFd> make_directory(int root, const std::string& path, unsigned mode = 0755);
Status ensure_directory(int root, const std::string& path,
                        unsigned mode = 0755);  // the same, for who needs no descriptor
Status make_file(int root, const std::string& path, std::string_view text, unsigned mode = 0644);
Status make_symlink(int root, const std::string& path, const std::string& to);
// Moves a detached mount onto the directory or file `path` of `root`.
Status attach(int mount, int root, const std::string& path);

}  // namespace sandboxd::launcher
