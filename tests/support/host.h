// What is on the host: processes by id range, cgroups, mounts. For saying that nothing is left, and for reaching a jail from
// outside. Reads procfs and cgroupfs only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

#include "tests/support/program.h"

namespace sandboxd::test {

// A share of the id pool for one daemon of a test: far from the first ones, another for each call, and no other test program's
// while this one lives (suites run side by side).
std::uint32_t test_slice();

// The processes whose real uid is in first .. first + count - 1.
std::vector<pid_t> processes_of_ids(std::uint32_t first, std::uint32_t count);
std::string status_line(pid_t pid,
                        const std::string& name);  // of /proc/PID/status, without the name; empty when it is gone
std::string command_name(pid_t pid);
std::size_t open_descriptors(pid_t pid);
std::vector<pid_t> children_of(pid_t pid);

// The inside of a configuration's object, with "unenforced_limits" of what this host's cgroups can't hold, unless it has them.
std::string with_unenforced_limits(const std::string& config);
// One that a jail's cgroup would have: "memory", "pids" ...
bool has_controller(const std::string& name);

// The directory of a daemon's jails in the cgroup2 hierarchy; empty when there is none.
std::string slice_cgroup(std::uint32_t slice_first);
std::vector<std::string> jail_cgroups(std::uint32_t slice_first);
// The test program's own mount namespace, made by the first call, for all that it starts later: other tests' mounts don't show
// there. Shared within itself, as systemd leaves "/": a mount that spreads out of a jail shows. Aborts where it can't be had.
void own_mount_namespace();
// The mounts of the namespace that this process is in, each by its number and place. Of one of a daemon's programs: what a launch
// left on the host is there.
std::vector<std::string> mounts_seen_by(pid_t pid);

// Polls (no event tells of these things) until `holds` says so, or the deadline: what it said last.
bool eventually(const std::function<bool()>& holds, int timeout_ms = 10'000);

// A directory on a file system whose mounts can be id-mapped on every kernel (tmpfs can from 6.3 only), removed at the end.
// Mode 0755, root's.
class WorkDir {
 public:
  WorkDir();
  ~WorkDir();
  WorkDir(const WorkDir&) = delete;
  WorkDir& operator=(const WorkDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  // A directory of this user's below it.
  [[nodiscard]] std::string make(const std::string& name, uid_t owner, mode_t mode = 0755) const;
  [[nodiscard]] std::string write(const std::string& name, const std::string& text, uid_t owner = 0,
                                  mode_t mode = 0644) const;
  // A copy of a program of the build tree.
  [[nodiscard]] std::string copy_program(const std::string& name, const std::string& to, uid_t owner = 0,
                                         mode_t mode = 0755) const;

 private:
  std::string path_;
};

}  // namespace sandboxd::test
