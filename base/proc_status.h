// /proc/PID/status (proc(5)) as a value: what the kernel says about a process's ids, capabilities, filter and namespaces.
// For read-back after a set-up: every member must be in the text exactly once, else it is an error and never a default.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sandboxd {

enum class SeccompMode : std::uint32_t { kNone = 0, kStrict = 1, kFilter = 2 };

struct ProcStatus {
  std::array<std::uint32_t, 4> uid{};  // real, effective, saved, file system
  std::array<std::uint32_t, 4> gid{};
  std::vector<std::uint32_t> groups{};
  std::vector<std::int32_t> nspid{};  // outermost namespace (of the procfs) first
  std::uint64_t cap_inheritable = 0;
  std::uint64_t cap_permitted = 0;
  std::uint64_t cap_effective = 0;
  std::uint64_t cap_bounding = 0;
  std::uint64_t cap_ambient = 0;
  bool no_new_privs = false;
  SeccompMode seccomp = SeccompMode::kNone;
  std::uint32_t seccomp_filters = 0;
  std::uint32_t threads = 0;

  bool operator==(const ProcStatus&) const = default;
};

Result<ProcStatus> parse_proc_status(std::string_view text);
// Of the process whose /proc directory this is (O_PATH does), so that a reused pid can't be meant.
Result<ProcStatus> read_proc_status(int proc_pid_dir_fd);
Result<ProcStatus> read_own_status();  // /proc/thread-self/status

}  // namespace sandboxd
