// One launch, in a child of the launcher of its own: only this child changes namespaces, receives a client's descriptors, and
// may hang on one. It answers sandboxd on the connection that it inherited, and exits.
#pragma once

#include <cstdint>
#include <string>

#include "base/unique_fd.h"
#include "cgroups/root.h"
#include "daemon/launcher/read_back.h"
#include "daemon/launcher/template.h"
#include "daemon/wire/message.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::launcher {

// What the launcher has made at its start and every launch uses.
struct Host {
  const wire::ProfileSet& profiles;
  const Template& base;
  const cgroups::Root& jails;
  int proc_dir = -1;      // the host's /proc, O_PATH
  int init_program = -1;  // jail-init, O_PATH
  std::uint32_t slice_first = 0;
  int landlock_abi = 0;
  int network = -1;  // a network namespace made ahead, for this launch alone; -1: it makes its own
  const HostNamespaces& namespaces;
  std::string runtime_dir{};
};

inline constexpr std::uint64_t kLaunchTimeUsec = 20'000'000;

[[nodiscard]] std::string cgroup_name(std::uint32_t number);
[[nodiscard]] std::string slice_name(std::uint32_t slice_first);  // the directory of one daemon's jails

// A daemon may have locked less than a whole slice (id_pool): a number beyond that would be another daemon's.
[[nodiscard]] bool in_range(std::uint32_t number, const wire::Config& config);

// Never returns. Exit status 0 when an answer was sent.
[[noreturn]] void launch_child(const Host& host, int connection, const wire::Message& request);

}  // namespace sandboxd::launcher
