// How the command line names a job: JAIL or JAIL/N, where JAIL is an id or a name (neither holds a '/'). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sandboxd::ctl {

struct JobName {
  std::string jail{};
  std::uint32_t job = 0;  // 0: none was named
  bool operator==(const JobName&) const = default;
};

// Nothing for an empty jail, and for a job that is no number from 1.
[[nodiscard]] std::optional<JobName> job_name_from_text(std::string_view text);
[[nodiscard]] std::string to_text(const JobName& name);

}  // namespace sandboxd::ctl
