// What a refused call costs that is told (SECCOMP_RET_USER_NOTIF): from the call to its answer, by way of another process that
// receives it and gives the errno, as a jail's recorder does. In nanoseconds, a sample a round of calls.
#pragma once

#include "base/result.h"
#include "bench/row.h"

namespace sandboxd::bench {

struct Notified {
  Row plain{};  // the answering process is woken as any is
  Row sync{};   // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: on the caller's processor. Empty before Linux 6.6
};

// Adds a sample to each.
Status measure_notified(int calls, Notified& to);

}  // namespace sandboxd::bench
