// The exec plan as jail-init reads it. The first byte chooses: bytes as they come; or a good plan in which the rest of the input
// is laid over, from an offset on. What is read must be written again as the very same bytes, and every pointer lies inside.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "daemon/init/jobs.h"
#include "daemon/wire/exec_plan.h"

namespace sandboxd {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes good_plan() {
  wire::ExecPlan plan;
  plan.job = 7;
  plan.stdio = wire::StdioMode::kPipes;
  plan.rlimits = {{7, 64, 128}};
  plan.workdir = "/work";
  plan.argv = {"/bin/echo", "a b", ""};
  plan.env = {"PATH=/usr/bin"};
  return wire::encode_exec_plan(plan);
}

std::vector<std::string> texts_of(char** texts) {
  std::vector<std::string> all;
  for (; *texts != nullptr; ++texts) all.emplace_back(*texts);
  return all;
}

void try_plan(const Bytes& bytes) {
  init::JobPlan plan;
  init::ExecCounts counts;
  if (!init::read_exec_plan(bytes, plan, counts).ok()) return;
  std::vector<char*> room(counts.strings);
  init::fill_exec_strings(bytes, plan, room.data());
  wire::ExecPlan again;
  again.job = counts.job;
  again.wall_time = plan.wall_time;
  again.stdio = static_cast<wire::StdioMode>(plan.stdio);
  again.merge_stderr = plan.merge_stderr;
  again.keep_survivors = plan.keep_survivors;
  again.program = plan.program;
  again.rows = plan.rows;
  again.columns = plan.columns;
  for (std::size_t i = 0; i < plan.rlimit_count; ++i)
    again.rlimits.push_back({plan.rlimits[i].resource, plan.rlimits[i].soft, plan.rlimits[i].hard});
  again.workdir = plan.workdir;
  again.argv = texts_of(plan.argv);
  again.env = texts_of(plan.env);
  if (again.argv.empty() || again.argv.size() + again.env.size() + 2 != counts.strings) std::abort();
  if (wire::encode_exec_plan(again) != bytes) std::abort();
}

}  // namespace
}  // namespace sandboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  // A copy of its own: a read past the end is found.
  sandboxd::Bytes bytes(data + 1, data + size);
  if (data[0] % 2 == 1) {
    bytes = sandboxd::good_plan();
    const std::size_t at = data[1] % bytes.size();
    const std::size_t count = std::min(size - 2, bytes.size() - at);
    std::memcpy(bytes.data() + at, data + 2, count);
  }
  sandboxd::try_plan(bytes);
  return 0;
}
