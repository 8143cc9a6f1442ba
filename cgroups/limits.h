// Limits as a cgroup's files (Linux: admin-guide/cgroup-v2.rst): which file holds which rows of base/limits.h, in which words.
// What is written is read back and compared, and nothing is rounded up: a jail never gets more than was asked. Pure, but for
// write_limit and read_limits.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "cgroups/cgroup.h"

namespace sandboxd::cgroups {

// A jail's first process is ours, and is not counted as the user's: pids.max is pids_max and this.
inline constexpr std::uint64_t kOwnProcesses = 1;

// A whole disk, "259:0".
struct Disk {
  unsigned major = 0;
  unsigned minor = 0;
  [[nodiscard]] std::string text() const;
};
// The whole disk under the file system that an open file is on: io.max takes no partition (ENODEV), and a file system of
// several disks, or of none, has a number of its own that names none of them (ENOTBLK).
// `sys_dev_block` is /sys/dev/block.
Result<Disk> disk_under(int fd, const std::string& sys_dev_block = "/sys/dev/block");
Result<Disk> whole_disk(unsigned major, unsigned minor, const std::string& sys_dev_block);

struct LimitFile {
  std::string_view file;        // "memory.max"
  std::string_view controller;  // "memory"
  std::string_view unset;       // what a new cgroup's says; empty: it is empty
  std::string (*text)(const Limits& limits);
};
inline constexpr std::size_t kLimitFileCount = 8;
extern const std::array<LimitFile, kLimitFileCount> kLimitFiles;

// The file of a row with a controller.
[[nodiscard]] std::string_view file_of(const LimitRow& row);
// The row says something: it is not none, and not what the kernel does by itself.
[[nodiscard]] bool is_asked(const LimitRow& row, const Limits& limits);

// The text now in force. EPROTO when the kernel holds another one than was written. io.max takes its disk.
Result<std::string> write_limit(const Cgroup& cgroup, const LimitFile& row, const std::string& text,
                                const std::optional<Disk>& disk);
// Of the files that are there and say something else than a new cgroup's.
Result<std::vector<std::pair<std::string, std::string>>> read_limits(const Cgroup& cgroup);
// Whose limits io.max has; none when it has none.
Result<std::optional<Disk>> limited_disk(const Cgroup& cgroup);

}  // namespace sandboxd::cgroups
