// The rows of checks.h, by what they attack.
#pragma once

#include "tests/escape/checks.h"

namespace sandboxd::test {

std::vector<Check> proc_checks();
std::vector<Check> privilege_checks();
std::vector<Check> call_checks();
std::vector<Check> socket_checks();
std::vector<Check> file_checks();
std::vector<Check> workspace_checks();
std::vector<Check> mount_checks();
std::vector<Check> channel_checks();

}  // namespace sandboxd::test
