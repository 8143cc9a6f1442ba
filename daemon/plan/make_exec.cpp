#include "daemon/plan/make_exec.h"

#include <optional>
#include <string_view>

#include <fmt/core.h>
#include <sys/resource.h>

#include "daemon/wire/narrow.h"

namespace sandboxd::plan {
namespace {

// The asked limit as a row for jail-init; nothing when it isn't asked for, or wider than the jail's (0: none).
std::optional<Denied> put_limit(std::string_view name, std::uint32_t resource, std::optional<std::uint64_t> asked,
                                std::uint64_t most, wire::ExecPlan& plan) {
  if (!asked) return {};
  if (most != 0 && *asked > most) return Denied{fmt::format("the jail's {}", name), fmt::format("at most {}", most)};
  plan.rlimits.push_back({resource, *asked, *asked});
  return {};
}

std::vector<std::string> environment_of(const protocol::ExecSpec& spec, const JobBase& base) {
  std::vector<std::string> env = base.env;
  for (const auto& [name, value] : spec.env) {
    const std::string start = name + "=";
    std::erase_if(env, [&start](const std::string& entry) { return entry.starts_with(start); });
    env.push_back(start + value);
  }
  return env;
}

wire::StdioMode mode_of(const protocol::ExecSpec& spec) {
  if (spec.stdio == protocol::Stdio::kNull) return wire::StdioMode::kNull;
  return spec.tty ? wire::StdioMode::kTerminal : wire::StdioMode::kPipes;
}

}  // namespace

ExecOutcome make_exec(const protocol::ExecSpec& spec, const JobBase& base, std::uint32_t job) {
  wire::JobPlan checked;
  checked.argv = spec.argv;
  checked.env = environment_of(spec, base);
  checked.workdir = spec.workdir.value_or(base.workdir);
  checked.stdio = mode_of(spec);
  checked.merge_stderr = spec.merge_stderr && checked.stdio == wire::StdioMode::kPipes;
  if (checked.stdio == wire::StdioMode::kTerminal) {
    checked.rows = spec.tty->rows;
    checked.columns = spec.tty->columns;
  }
  if (const auto breach = wire::find_job_breach(checked))
    return InvalidArgument{"/parameters/spec/" + breach->rule, breach->value, breach->allowed};

  wire::ExecPlan plan;
  plan.job = job;
  plan.wall_time = spec.wall_time.value_or(0);
  const std::uint64_t most = base.limits.wall_time;
  if (most != 0 && plan.wall_time > most) return Denied{"the jail's wall_time", fmt::format("at most {} us", most)};
  if (auto denied = put_limit("nofile", RLIMIT_NOFILE, spec.nofile, base.limits.nofile, plan)) return *denied;
  if (auto denied = put_limit("file_size_max", RLIMIT_FSIZE, spec.file_size_max, base.limits.file_size_max, plan))
    return *denied;
  const std::uint64_t output = base.limits.output_max;
  if (spec.output_max && output != 0 && *spec.output_max > output)
    return Denied{"the jail's output_max", fmt::format("at most {}", output)};
  plan.stdio = checked.stdio;
  plan.merge_stderr = checked.merge_stderr;
  plan.keep_survivors = spec.survivors == protocol::Survivors::kKeep;
  plan.rows = checked.rows;
  plan.columns = checked.columns;
  plan.workdir = std::move(checked.workdir);
  plan.argv = std::move(checked.argv);
  plan.env = std::move(checked.env);
  return plan;
}

}  // namespace sandboxd::plan
