// cgroup v2 by directory descriptor (cgroups(7)): a path can be swapped under us, a descriptor cannot. A jail gets a fresh
// cgroup, made exclusively: what exists already is refused, never reused, since a used one keeps its counters.
// Errors are errno values with what was tried; nothing here is best effort.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::cgroups {

class Cgroup {
 public:
  explicit Cgroup(UniqueFd directory) : directory_(std::move(directory)) {}

  [[nodiscard]] int fd() const noexcept { return directory_.get(); }
  [[nodiscard]] Result<UniqueFd> open(const char* file, int flags) const;  // O_CLOEXEC is added
  [[nodiscard]] Result<std::string> read(const char* file) const;
  [[nodiscard]] Result<std::vector<std::int32_t>> processes() const;  // cgroup.procs, in the reader's pid namespace
  [[nodiscard]] Result<bool> populated() const;                       // cgroup.events
  [[nodiscard]] Result<std::uint64_t> inode() const;
  Status kill() const;  // cgroup.kill (Linux 5.14): also what is frozen, and what forks meanwhile

 private:
  UniqueFd directory_;
};

// EEXIST when the number is in use.
Result<Cgroup> create_exclusive(const Cgroup& parent, const std::string& name);
Result<Cgroup> open_child(const Cgroup& parent, const std::string& name);
// rmdir(2); EBUSY while something is in it. A freshly emptied one can be busy for a moment: tried for `patience_usec`.
Status remove_child(const Cgroup& parent, const std::string& name, std::uint64_t patience_usec);
// The names of the child cgroups.
Result<std::vector<std::string>> children(const Cgroup& parent);

}  // namespace sandboxd::cgroups
