#include "sandboxd-client/ctl/job_name.h"

#include <limits>

#include "base/text.h"

namespace sandboxd::ctl {

std::optional<JobName> job_name_from_text(std::string_view text) {
  const std::size_t slash = text.find('/');
  JobName name{.jail = std::string(text.substr(0, slash))};
  if (name.jail.empty()) return std::nullopt;
  if (slash == std::string_view::npos) return name;
  const auto job = parse_uint(text.substr(slash + 1), std::numeric_limits<std::uint32_t>::max());
  if (!job || *job == 0) return std::nullopt;
  name.job = static_cast<std::uint32_t>(*job);
  return name;
}

std::string to_text(const JobName& name) {
  return name.job == 0 ? name.jail : name.jail + "/" + std::to_string(name.job);
}

}  // namespace sandboxd::ctl
