// Of each limit that takes the kernel's help: what holds it on this host.
#include <algorithm>
#include <array>

#include <fcntl.h>
#include <fmt/core.h>

#include "base/file.h"
#include "base/text.h"
#include "cgroups/limits.h"
#include "cgroups/root.h"
#include "daemon/tools/doctor/doctor.h"

namespace sandboxd::doctor {
namespace {

constexpr std::string_view kTurnsOff =
    "that limit: a jail that asks for it is refused, or starts without it and says so where unenforced_limits lists it";

bool has_swap() {
  const auto text = read_file(AT_FDCWD, "/proc/swaps");
  return text.ok() && std::ranges::count(*text, '\n') > 1;  // a heading, and a line for each
}

Outcome held(std::string_view limit, const Context& context) {
  const LimitRow& row = *find_limit(limit);
  const auto prospect = cgroups::look_for_root(context.cgroup_root);
  const std::string_view file = cgroups::file_of(row);
  if (prospect.ok() && std::ranges::find(prospect->controllers, row.controller) != prospect->controllers.end())
    return offered(fmt::format("cgroup {}", file));
  if (row.member == &Limits::pids_max) return offered("RLIMIT_NPROC of the jail's own id");
  if (row.member == &Limits::memory_swap_max && !has_swap()) return offered("this host has no swap");
  const bool listed = std::ranges::find(context.unenforced, row.group) != context.unenforced.end();
  const std::string why = prospect.ok() ? fmt::format("no controller {} for {}", sandboxd::quoted(row.controller),
                                                      sandboxd::quoted(prospect->path))
                                        : prospect.error().message();
  return missing(fmt::format("{}: {}", listed ? "not enforced, unenforced_limits lists it" : "refused", why));
}

constexpr std::array kProbes = {
    Probe{"limit-memory_max", "memory of a jail", Need::kOptional, kTurnsOff,
          [](const Context& context) { return held("memory_max", context); }},
    Probe{"limit-memory_high", "memory above which a jail is slowed down", Need::kOptional, kTurnsOff,
          [](const Context& context) { return held("memory_high", context); }},
    Probe{"limit-memory_swap_max", "swap of a jail", Need::kOptional, kTurnsOff,
          [](const Context& context) { return held("memory_swap_max", context); }},
    Probe{"limit-cpu_max", "processors of a jail", Need::kOptional, kTurnsOff,
          [](const Context& context) { return held("cpu_max", context); }},
    Probe{"limit-cpu_weight", "a jail's share of the processors", Need::kOptional, kTurnsOff,
          [](const Context& context) { return held("cpu_weight", context); }},
    Probe{"limit-pids_max", "processes of a jail", Need::kOptional, kTurnsOff,
          [](const Context& context) { return held("pids_max", context); }},
    Probe{"limit-io_max", "the disk under a workspace", Need::kOptional, kTurnsOff,
          [](const Context& context) { return held("io_max_rbps", context); }},
    Probe{"limit-scratch_max", "scratch space of a jail", Need::kOptional, kTurnsOff,
          [](const Context&) { return offered("tmpfs size and nr_inodes"); }},
};

}  // namespace

const std::span<const Probe> kLimitProbes = kProbes;

std::string unenforceable_limits(const Context& context) {
  const auto prospect = cgroups::look_for_root(context.cgroup_root);
  if (!prospect.ok()) return "[]\n";
  std::string text;
  for (const std::string& group : cgroups::unenforceable(*prospect))
    text += fmt::format("{}\"{}\"", text.empty() ? "" : ", ", group);
  return "[" + text + "]\n";
}

}  // namespace sandboxd::doctor
