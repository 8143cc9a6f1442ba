// What a job does, for a profile to be made of: each call, path and port is told to sandboxd when it is new, and counted. For
// recorder.cpp alone, in whose process it runs.
// It reads the job's memory, and looks paths up, as the job's own file system ids and with no capability: whatever a job makes it
// look at, the job could have looked at itself.
#pragma once

#include <linux/seccomp.h>

#include "daemon/init/init.h"

namespace sandboxd::init {

// Before the recorder's own filter: takes the job's file system ids and drops all capabilities.
[[nodiscard]] bool be_learner(const Plan& plan);
// False: sandboxd can't be told any more.
[[nodiscard]] bool learn_call(const seccomp_notif& notif);

}  // namespace sandboxd::init
