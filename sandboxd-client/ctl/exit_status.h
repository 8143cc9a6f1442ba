// How a job's end becomes sandboxctl's exit status: the job's own, 128+n for a signal, 124 for a clock, 125 for our own
// failure, 126 and 127 as a shell has them (command found but not executable, not found). Pure.
#pragma once

#include <sandboxd/client.h>

#include "protocol/job.h"

namespace sandboxd::ctl {

[[nodiscard]] int exit_status(const protocol::JobReport& report);
// Of a run that the daemon refused, or that never reached the job's first instruction.
[[nodiscard]] int exit_status(const client::Error& refused);

}  // namespace sandboxd::ctl
