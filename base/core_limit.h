// What a crash in a jail sets off on the host (core(5)): nothing, else there is no jail. The kernel starts the program of a
// kernel.core_pattern "|program" at every RLIMIT_CORE but 1, and connects to the socket of an "@path" (Linux 6.16) at any.
// Limits are in bytes, of the calling process. EPERM where a crash would reach the host; it never lowers a limit.
#pragma once

#include <cstdint>

#include <sys/resource.h>

#include "base/result.h"

namespace sandboxd {

// Makes room for a limit of 1 in what this process starts: sudo, for one, gives its commands a hard limit of 0. A host where that
// can't be had (no CAP_SYS_RESOURCE) is told by job_core_limit() below.
void raise_core_limit();
Result<rlim_t> hard_core_limit();

// The limit of a job, soft and hard: 1; or 0, where `hard` leaves no more and no program would be started at it.
Result<rlim_t> job_core_limit(int proc_dir, rlim_t hard);

}  // namespace sandboxd
