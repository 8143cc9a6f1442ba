// What a launch's clone does between clone3(2) and the exec of jail-init, as a table of steps in order. It is root in the
// jail's user namespace only, and holds descriptors, never a path of the host.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/launcher/template.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

// A top-level name of a jail's root that comes from a directory (--root, or the whole-host view).
struct RootEntry {
  std::string name{};
  std::string link{};  // a symbolic link is made anew
  UniqueFd mount{};    // else a detached copy
  bool directory = true;
};

struct JailSetup {
  const wire::JailPlan& plan;
  const wire::Profile& profile;
  const Template& base;
  std::uint32_t first_id = 0;
  UniqueFd sync{};                      // this side of wire/sync.h
  UniqueFd control{};                   // jail-init's end
  UniqueFd init_plan{};                 // wire/init_plan.h
  int init_program = -1;                // jail-init, opened O_PATH
  std::vector<UniqueFd> bind_mounts{};  // detached, in plan.binds' order
  std::vector<bool> bind_is_directory{};
  std::vector<RootEntry> root_entries{};  // RootKind::kDirectory, kHost
  std::string resolv_conf{};              // NetworkMode::kHost: the host's resolver configuration
  std::vector<UniqueFd> stdio{};          // StdioMode::kInherit: three
  std::vector<int> close_first{};         // the other side's ends: a copy here would hide a death
};

// Where a nested jail has a second proc file system, which it needs to mount more of them.
inline constexpr const char* kNestedProc = "/sys/proc";

// Returns only on failure, having said so on the sync socket.
[[noreturn]] void set_up_jail(JailSetup& setup);

}  // namespace sandboxd::launcher
