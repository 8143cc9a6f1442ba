// The key "landlock" of a profile file. For load_profile.cpp alone.
#pragma once

#include "base/result.h"
#include "seccomp-profiles/model/json_tree.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::filters {

// A list that the file gives takes the place of an inherited one.
Status read_landlock(const Cursor& at, ProfileLandlock& landlock);

}  // namespace sandboxd::filters
