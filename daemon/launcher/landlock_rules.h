// What jail-init gives to Landlock: what follows from the plan's mounts, and what the profile says beyond that, in the rights
// that this kernel's ABI has. A profile's rules only narrow: nothing is writable that no writable mount is, whatever `write`
// says. A rule that the kernel can't hold is for lacking() to tell; nothing of it is handed on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "daemon/wire/init_plan.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

// The kernel's Landlock ABI (landlock(7)); 0 when there is none, and then nothing is launched.
int landlock_abi();

// A rule of the profile's that needs a later ABI.
struct LackingRule {
  std::string_view rule{};  // its key: "tcp_connect"
  int abi = 0;              // that would do
  std::string_view word{};  // of "optional"
  bool optional = false;
};
[[nodiscard]] std::vector<LackingRule> lacking(const wire::ProfileLandlock& landlock, int abi);
// EOPNOTSUPP, with the rule and the ABI: the first that the kernel lacks and that is not optional. EPERM: a word stands for one kind
// of mounts, and another, which the list leaves out, lies below one of them; Landlock can't grant a directory without what is below.
Status check_held(const wire::JailPlan& plan, const wire::ProfileLandlock& landlock, int abi);

void put_landlock(wire::InitPlan& init, const wire::JailPlan& plan, const wire::ProfileLandlock& landlock, int abi);

// What is in force beyond the mounts, and what is not: "landlock_write", "landlock_tcp_bind" ..., "landlock_unenforced".
[[nodiscard]] std::vector<wire::Fact> landlock_facts(const wire::JailPlan& plan, const wire::ProfileLandlock& landlock,
                                                     int abi);

}  // namespace sandboxd::launcher
