// From what a client asks for and the jail that it is asked for in, to what jail-init needs for one more job. Pure. Limits that
// exceed the jail's are Denied, what no jail would take is InvalidArgument.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "daemon/plan/make_plan.h"
#include "daemon/wire/exec_plan.h"
#include "protocol/job.h"

namespace sandboxd::plan {

// What a jail's jobs start from.
struct JobBase {
  std::vector<std::string> env{};  // NAME=value
  std::string workdir{};
  Limits limits{};
};

using ExecOutcome = std::variant<wire::ExecPlan, Denied, InvalidArgument>;

[[nodiscard]] ExecOutcome make_exec(const protocol::ExecSpec& spec, const JobBase& base, std::uint32_t job);

}  // namespace sandboxd::plan
