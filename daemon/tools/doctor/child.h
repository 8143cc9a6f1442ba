// Tries something in a short-lived child, so that neither this process nor the host is changed by it. The child is made by
// clone3(2) without CLONE_VM, so it may allocate: there is one thread. It is killed at a deadline of 10 s (ETIMEDOUT).
#pragma once

#include <cstdint>
#include <functional>

#include "base/result.h"

namespace sandboxd::doctor {

struct Child {
  std::uint64_t flags = 0;  // CLONE_NEW...; CLONE_PIDFD is added
  int cgroup = -1;          // born in it (CLONE_INTO_CGROUP)
  // In the parent, before the child goes on: writes its id maps, say.
  std::function<Status(int pid, int pidfd)> prepare{};
  std::function<Status()> body{};
};

// The error of clone3 ("clone3: ..."), of `prepare`, or of `body` with its errno.
Status in_child(const Child& child);

// For `prepare` of a child with CLONE_NEWUSER: its uid and gid 0 are this process's own.
Status map_own_ids(int pid);
// As root: `count` ids from `inside` to `outside`.
Status map_ids(int pid, std::uint32_t inside, std::uint32_t outside, std::uint32_t count);

}  // namespace sandboxd::doctor
