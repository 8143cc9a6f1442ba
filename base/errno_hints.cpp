#include "base/errno_hints.h"

#include <array>
#include <cerrno>

namespace sandboxd {
namespace {

struct Hint {
  std::string_view operation;  // occurs in the context chain
  int code;
  std::string_view hint;
};

constexpr std::array kErrnoHints = {
    Hint{"clone3", ENOSPC, "a namespace count limit is reached: see user.max_*_namespaces (namespaces(7))"},
    Hint{"clone3", EPERM, "user namespaces may be disabled on this host: see 'sandboxctl doctor'"},
    Hint{"clone3", EBUSY, "the cgroup is a threaded or a populated inner one (cgroups(7), no internal processes)"},
    Hint{"move_mount", ENOSPC, "fs.mount-max is reached (mount(2))"},
    Hint{"open_tree", ENOSPC, "fs.mount-max is reached (mount(2))"},
    Hint{"open_tree", EINVAL, "the directory belongs to another mount namespace than the launcher's"},
    Hint{"id-map", EINVAL,
         "this kernel can't id-map that file system (ext4, xfs, btrfs can; tmpfs from Linux 6.3): use a "
         "directory on one that can, or copy the files there"},
    Hint{"id-map", EPERM, "the mount belongs to another user namespace, or is id-mapped already"},
    Hint{"SECCOMP_FILTER_FLAG_NEW_LISTENER", EBUSY,
         "another program's filter watches the daemon's calls already, and a process has one listener at most "
         "(seccomp(2)): "
         "start the daemon outside of that container, or the jail without --explain-denials"},
    Hint{"mkdir cgroup", EROFS, "the cgroup2 file system is mounted read-only"},
};

}  // namespace

std::string_view errno_hint(std::string_view context, int code) {
  for (const Hint& row : kErrnoHints) {
    if (row.code == code && context.find(row.operation) != std::string_view::npos) return row.hint;
  }
  return {};
}

}  // namespace sandboxd
