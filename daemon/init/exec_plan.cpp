// The exec plan's bytes as a JobPlan, without a system call and without memory of its own.
#include "daemon/wire/exec_plan.h"

#include <cerrno>

#include "daemon/init/jobs.h"

namespace sandboxd::init {
namespace {

// A text whose counted length ends with its only NUL, so that the pointer can be handed to the kernel as it is.
const char* text_of(wire::View& view) {
  const std::string_view text = view.bytes();
  std::size_t length = 0;
  while (length < text.size() && text.data()[length] != '\0') ++length;
  if (length + 1 != text.size()) {
    view.fail();
    return "";
  }
  return text.data();
}

void read_rlimits(wire::View& view, JobPlan& plan) {
  plan.rlimit_count = view.count();
  if (plan.rlimit_count > kMaxRlimits) {
    plan.rlimit_count = 0;
    return view.fail();
  }
  for (std::size_t i = 0; i < plan.rlimit_count; ++i) {
    plan.rlimits[i].resource = view.number<std::uint32_t>();
    plan.rlimits[i].soft = view.number<std::uint64_t>();
    plan.rlimits[i].hard = view.number<std::uint64_t>();
  }
}

bool flag(std::uint8_t flags, wire::ExecFlag which) { return (flags & static_cast<std::uint8_t>(which)) != 0; }

// Everything before argv; the job's number.
std::uint32_t read_head(wire::View& view, JobPlan& plan) {
  constexpr unsigned kKnown = static_cast<unsigned>(wire::ExecFlag::kMergeStderr) |
                              static_cast<unsigned>(wire::ExecFlag::kKeepSurvivors) |
                              static_cast<unsigned>(wire::ExecFlag::kProgram);
  if (view.number<std::uint32_t>() != wire::kExecPlanMagic) view.fail();
  const auto job = view.number<std::uint32_t>();
  plan.wall_time = view.number<std::uint64_t>();
  plan.stdio = view.number<std::uint8_t>();
  const auto flags = view.number<std::uint8_t>();
  if ((flags & ~kKnown) != 0) view.fail();
  plan.merge_stderr = flag(flags, wire::ExecFlag::kMergeStderr);
  plan.keep_survivors = flag(flags, wire::ExecFlag::kKeepSurvivors);
  plan.program = flag(flags, wire::ExecFlag::kProgram);
  plan.rows = view.number<std::uint16_t>();
  plan.columns = view.number<std::uint16_t>();
  read_rlimits(view, plan);
  plan.workdir = text_of(view);
  return job;
}

// The number of texts; their pointers go to `room`, where there is one, with a NULL after them.
std::size_t read_strings(wire::View& view, char** room) {
  const std::uint32_t count = view.count();
  for (std::uint32_t i = 0; i < count && view.ok(); ++i) {
    const char* text = text_of(view);
    if (room != nullptr) room[i] = const_cast<char*>(text);
  }
  if (room != nullptr) room[count] = nullptr;
  return count;
}

}  // namespace

Outcome read_exec_plan(std::span<const std::uint8_t> bytes, JobPlan& plan, ExecCounts& counts) {
  plan = JobPlan{};
  wire::View view(bytes.data(), bytes.size());
  counts.job = read_head(view, plan);
  const std::size_t arguments = read_strings(view, nullptr);
  const std::size_t variables = read_strings(view, nullptr);
  if (!view.finished()) return {-EPROTO, "decode the plan"};
  if (arguments == 0) return {-EINVAL, "the plan names no program"};
  counts.strings = arguments + variables + 2;
  return {};
}

void fill_exec_strings(std::span<const std::uint8_t> bytes, JobPlan& plan, char** room) {
  wire::View view(bytes.data(), bytes.size());
  read_head(view, plan);
  plan.argv = room;
  plan.env = room + read_strings(view, room) + 1;
  read_strings(view, plan.env);
}

}  // namespace sandboxd::init
