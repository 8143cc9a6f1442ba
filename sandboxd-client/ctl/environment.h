// The job's environment: cleared to PATH, HOME, TERM and LANG of the caller, plus what was asked. Later ones win.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sandboxd::ctl {

using Environment = std::vector<std::pair<std::string, std::string>>;

// `files`: lines NAME=value or NAME, '#' comments and empty lines; nothing is unquoted or expanded. `settings`: NAME=value
// or NAME. NAME alone copies the caller's, and is left out when the caller has none (as podman-run(1) does it).
// `own`: environ(7).
Result<Environment> make_environment(const std::vector<std::string>& files, const std::vector<std::string>& settings,
                                     const char* const* own);
// For a job in a jail that has an environment: `settings` and `files` alone, and TERM where the job has a terminal.
Result<Environment> make_additions(const std::vector<std::string>& files, const std::vector<std::string>& settings,
                                   const char* const* own, bool terminal);

}  // namespace sandboxd::ctl
