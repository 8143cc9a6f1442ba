// What jail-init needs to run one more job in a live jail: flat bytes in a sealed memfd, written by sandboxd, read without
// allocation. The job's ids, Landlock and filter are jail-init's own and not to be chosen here.
// In this order, all by codec.h's rules:
//   u32 magic, u32 job, u64 wall_time (microseconds, 0: none but the jail's), u8 stdio mode, u8 flags (ExecFlag),
//   u16 rows, u16 columns (StdioMode::kTerminal),
//   rlimits: u32 count x {u32 resource, u64 soft, u64 hard}
//   workdir: bytes\0; argv: u32 count x bytes\0; env: u32 count x bytes\0
// Every text ends with a NUL that its length counts, so that a pointer into the mapping can go to execve(2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/wire/init_plan.h"
#include "daemon/wire/plan.h"

namespace sandboxd::wire {

inline constexpr std::uint32_t kExecPlanMagic = 0x45584253;  // "SBXE"
inline constexpr std::size_t kMaxExecPlanBytes = 4U << 20;   // more than ARG_MAX on common hosts lets through
enum class ExecFlag : std::uint8_t {
  kMergeStderr = 1,
  kKeepSurvivors = 2,
  kProgram = 4
};  // bits; kProgram: execveat(2) it

struct ExecPlan {
  std::uint32_t job = 0;
  std::uint64_t wall_time = 0;
  StdioMode stdio = StdioMode::kNull;
  bool merge_stderr = false;
  bool keep_survivors = false;
  bool program = false;  // argv runs the program that comes as a descriptor with the command
  std::uint16_t rows = 0, columns = 0;
  std::vector<RlimitRow> rlimits{};
  std::string workdir{};
  std::vector<std::string> argv{};
  std::vector<std::string> env{};
  bool operator==(const ExecPlan&) const = default;
};

[[nodiscard]] std::vector<std::uint8_t> encode_exec_plan(const ExecPlan& plan);

}  // namespace sandboxd::wire
