// Capabilities of our own programs: none, in any of the five sets, for good. Raw system calls (capabilities(7)), so that the
// small programs link no libcap. Errors name the set or the id that is wrong; nothing is tried twice or skipped.
#pragma once

#include <sys/types.h>

#include "base/result.h"

namespace sandboxd {

// All five sets of this process are empty, the bounding set too: no exec can give a capability back.
Status check_no_capabilities();
// That, and no uid, gid or group of this process is 0: uid 0 owns files, and user namespaces of its own making, without any.
Status check_unprivileged();
Status set_no_new_privs();

// Each needs CAP_SETPCAP, and reads back what it did.
Status drop_bounding_set();
// No capability by being uid 0, none kept over setuid, no ambient one raised; locked (capabilities(7), securebits).
Status lock_securebits();
// Empties the permitted, effective, inheritable and ambient sets. Needs nothing.
Status clear_capabilities();

// What a starter does in its child before exec: bounding set, securebits, groups, gid, uid, capabilities, no_new_privs; then
// checks all of it. The ids must not be 0.
Status become_unprivileged(uid_t uid, gid_t gid);

}  // namespace sandboxd
