// What the suites saw, as JSON for page.py: written to the folder that SANDBOXD_ESCAPE_REPORT names, if it is set.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace sandboxd::test {

// NAME-KERNEL.json: "table-6.1.0-38-amd64.json".
void write_report(const std::string& name, const nlohmann::json& content);
[[nodiscard]] std::string kernel_release();

}  // namespace sandboxd::test
