// What a jail uses, read from its cgroup's files, which the launcher opened for us (daemon/wire/launcher.h): read-only, and only
// those that the host has. A file that can't be read any more (the cgroup is gone) says nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/unique_fd.h"
#include "cgroups/usage.h"
#include "daemon/wire/launcher.h"
#include "protocol/job.h"

namespace sandboxd::jails {

class Meter {
 public:
  // Takes those from kCpuStat on out of `fds`, which place_descriptors() has put in order.
  void take(std::vector<UniqueFd>& fds);
  void close();

  [[nodiscard]] int fd(wire::StartedFd which) const { return fds_.at(static_cast<std::size_t>(which)).get(); }
  [[nodiscard]] std::optional<cgroups::CpuStat> cpu() const;
  [[nodiscard]] std::optional<cgroups::MemoryEvents> memory_events() const;
  [[nodiscard]] std::optional<std::uint64_t> refused_forks() const;
  [[nodiscard]] std::optional<std::uint64_t> amount(wire::StartedFd which) const;
  [[nodiscard]] std::optional<cgroups::Pressure> pressure(wire::StartedFd which) const;
  // All that is known; the rest stays as it was.
  void read(protocol::Usage& usage) const;

 private:
  std::array<UniqueFd, wire::kStartedFds> fds_{};
};

}  // namespace sandboxd::jails
