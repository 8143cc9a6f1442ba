// What jail-init needs of the plan: flat bytes in a sealed memfd, written by the launch child, read without allocation.
// In this order, all by codec.h's rules:
//   u32 magic, u32 job_uid, u32 job_gid (inside), u64 wall_time, u8 stdio mode, u8 flags (InitFlag), u16 rows, u16 columns,
//   rlimits: u32 count x {u32 resource, u64 soft, u64 hard}
//   Landlock: u64 handled_fs, u64 handled_net, u64 scoped, u32 count x {bytes path\0, u64 access, u8 no symlinks},
//     TCP ports: u32 count x {u64 access, u64 port}
//   filter: u32 count, aligned to 8, count x sock_filter
//   paths of the tmpfs, in the plan's order: u32 count x bytes\0
//   workdir: bytes\0; argv: u32 count x bytes\0; env: u32 count x bytes\0
// Without argv the jail is a session: its first job takes its id, is looked at like any other, and ends instead of an exec.
// Every text ends with a NUL that its length counts, so that a pointer into the mapping can go to execve(2).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/wire/codec.h"

namespace sandboxd::wire {

inline constexpr std::uint32_t kInitPlanMagic = 0x49584253;  // "SBXI"

// Bits. kExplain: refused calls are told. kLearn: those that are allowed, too. kKeepCapabilities: in the preset `fault` only,
// jobs drop none.
enum class InitFlag : std::uint8_t { kMergeStderr = 1, kExplain = 2, kLearn = 4, kKeepCapabilities = 8 };

struct RlimitRow {
  std::uint32_t resource = 0;
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
  bool operator==(const RlimitRow&) const = default;
};

struct LandlockRow {
  std::string path{};
  std::uint64_t access = 0;
  bool no_symlinks = false;  // on any part of the path: ELOOP
};

struct LandlockPort {
  std::uint64_t access = 0;
  std::uint64_t port = 0;
};

struct InitPlan {
  std::uint32_t job_uid = 0;
  std::uint32_t job_gid = 0;
  std::uint64_t wall_time = 0;
  std::uint8_t stdio = 0;
  bool merge_stderr = false;
  bool explain = false;
  bool learn = false;
#if defined(SANDBOXD_FAULT)
  bool keep_capabilities = false;
#endif
  std::uint16_t rows = 0, columns = 0;
  std::vector<RlimitRow> rlimits{};
  std::uint64_t landlock_fs = 0;
  std::uint64_t landlock_net = 0;
  std::uint64_t landlock_scoped = 0;
  std::vector<LandlockRow> landlock{};
  std::vector<LandlockPort> landlock_ports{};
  std::vector<std::uint8_t> filter{};  // sock_filter[]
  std::vector<std::string> tmpfs{};
  std::string workdir{};
  std::vector<std::string> argv{};
  std::vector<std::string> env{};
};

[[nodiscard]] std::vector<std::uint8_t> encode_init_plan(const InitPlan& plan);

}  // namespace sandboxd::wire
