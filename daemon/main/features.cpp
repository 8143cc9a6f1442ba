#include "daemon/main/features.h"

#include <array>
#include <string_view>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/socket.h"
#include "daemon/confine/landlock.h"

namespace sandboxd::main {
namespace {

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

bool landlock_at_least(int wanted) {
  const auto abi = landlock::abi();
  return abi.ok() && *abi >= wanted;
}

// An action that the kernel's filters know, by its name in the list (seccomp(2)).
bool filters_know(std::string_view action) {
  const auto text = read_file(AT_FDCWD, "/proc/sys/kernel/seccomp/actions_avail", 4096);
  return text.ok() && text->find(action) != std::string::npos;
}

// With a bad argument a call that is there says EINVAL, EBADF or EFAULT, one that isn't ENOSYS.
bool has_call(long number) { return ::syscall(number, -1, nullptr, -1, nullptr, -1) >= 0 || errno != ENOSYS; }

bool has_peer_pidfd() {
  const auto pair = socket_pair(SOCK_STREAM);
  if (!pair.ok()) return false;
  int pidfd = -1;
  socklen_t size = sizeof pidfd;
  if (::getsockopt(pair->first.get(), SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0) return false;
  const UniqueFd close(pidfd);
  return true;
}

bool has_controllers() {
  for (const char* path : {"/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"}) {
    const auto text = read_file(AT_FDCWD, path, 4096);
    if (text.ok() && text->find("memory") != std::string::npos && text->find("pids") != std::string::npos) return true;
  }
  return false;
}

bool user_namespaces() {
  const auto text = read_file(AT_FDCWD, "/proc/sys/user/max_user_namespaces", 64);
  return text.ok() && !text->empty() && text->front() != '0';
}

struct Feature {
  std::string_view name;
  bool (*have)();
  std::string_view without;
};
constexpr std::array kFeatures = {
    Feature{"user_namespaces", user_namespaces, "no jail can be started"},
    Feature{"seccomp_filter", [] { return filters_know("kill_process"); }, "no jail can be started"},
    Feature{"landlock", [] { return landlock_at_least(2); }, "no jail can be started"},
    Feature{"mount_setattr", [] { return has_call(SYS_mount_setattr); }, "no jail can be started"},
    Feature{"landlock_truncate", [] { return landlock_at_least(3); }, "truncate(2) is held by mounts and modes alone"},
    Feature{"landlock_tcp", [] { return landlock_at_least(4); }, "TCP is held by the network namespace alone"},
    Feature{"landlock_ioctl", [] { return landlock_at_least(5); },
            "ioctls of the jail's devices are held by the filter alone"},
    Feature{"landlock_scopes", [] { return landlock_at_least(6); },
            "with the host's network, socket(AF_UNIX) is refused"},
    Feature{"peer_pidfd", has_peer_pidfd, "a client's process is known by its pid only"},
    Feature{
        "cgroup_controllers", has_controllers,
        "jails that ask for limits of memory, processors or disks are refused, unless unenforced_limits lists those"},
};

}  // namespace

std::string probe_features() {
  utsname name{};
  ::uname(&name);
  nlohmann::json list = nlohmann::json::array();
  for (const Feature& feature : kFeatures)
    list.push_back({{"name", feature.name}, {"have", feature.have()}, {"without", feature.without}});
  const auto abi = landlock::abi();
  const nlohmann::json value = {
      {"kernel", name.release}, {"machine", name.machine}, {"landlock_abi", abi.ok() ? *abi : 0}, {"features", list}};
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace sandboxd::main
