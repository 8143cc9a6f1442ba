// The template: a mount namespace of the launcher's own, made once at its start, with the few mounts that every jail copies.
// A jail's namespace is a copy of this one instead of the host's, which has many more; and device nodes, which a user
// namespace can't make, are there as one read-only tmpfs. It receives nothing from the host and passes nothing on.
//
//   /usr (and /bin, /lib ... where they are no links)   read-only, nosuid, nodev
//   /etc    the host's, as a directory, so that a file replaced on the host is the new one in the next jail
//   /dev    null zero full random urandom tty, and empty pts shm mqueue      /cpu   /sys/devices/system/cpu
//   /proc   a fresh one: the kernel lets a user namespace mount proc only where a fully visible one is (mount_too_revealing)
//   /mnt    where a jail's root is put together    /empty  a directory without anything, to cover others with
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::launcher {

// A top-level name of the host's root that belongs to its /usr: a link ("bin" -> "usr/bin") or a directory of its own.
struct UsrEntry {
  std::string name{};
  std::string link{};  // empty: a directory
};

struct Template {
  UniqueFd mount_namespace{};
  std::vector<UsrEntry> usr{};
};

Result<Template> make_template();

}  // namespace sandboxd::launcher
