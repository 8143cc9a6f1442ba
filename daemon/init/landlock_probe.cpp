// Nothing reads a Landlock domain back, so what it forbids is tried: once, before the first job. Each probe is of a rule whose place
// no row of the plan grants, and where nothing but Landlock would refuse.
#include <cerrno>
#include <string_view>

#include <fcntl.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "base/landlock_abi.h"
#include "base/path.h"
#include "base/sys.h"
#include "daemon/init/init.h"

namespace sandboxd::init {
namespace {

using landlock_abi::kBindTcp;
using landlock_abi::kConnectTcp;
using landlock_abi::kIoctlDev;
using landlock_abi::kTruncate;

bool grants(const Plan& plan, std::string_view path, std::uint64_t access) {
  for (std::size_t i = 0; i < plan.landlock_count; ++i) {
    if ((plan.landlock[i].access & access) != 0 && is_beneath(path, plan.landlock[i].path)) return true;
  }
  return false;
}

long open_and_close(const char* path, long flags) {
  const long fd = sys::raw(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
  if (fd >= 0) sys::raw(SYS_close, fd);
  return fd;
}

// The root is everybody's to list, but for "read".
Outcome probe_read(const Plan& plan) {
  if (grants(plan, "/", LANDLOCK_ACCESS_FS_READ_DIR)) return {};
  const long r = open_and_close("/", O_RDONLY | O_DIRECTORY);
  return {r == -EACCES ? 0 : -EPERM, "reading of a directory that Landlock forbids was not refused by it"};
}

// A thread's own name: a regular file that it may write whatever its owner (proc_pid_comm(5)), and where opening with O_TRUNC does
// nothing.
Outcome probe_truncate(const Plan& plan) {
  constexpr const char* kName = "/proc/thread-self/comm";
  if ((plan.landlock_fs & kTruncate) == 0 || grants(plan, kName, kTruncate)) return {};
  if (const long r = open_and_close(kName, O_WRONLY); r < 0) return {r, "open a file for a probe of Landlock"};
  const long r = open_and_close(kName, O_WRONLY | O_TRUNC);
  return {r == -EACCES ? 0 : -EPERM, "truncation that Landlock forbids was not refused by it"};
}

// The first of these that takes no ioctl: the hook's EACCES is what no driver says here (ENOTTY, EINVAL).
Outcome probe_ioctl(const Plan& plan) {
  constexpr long kGetAttributes = 0x5401;  // TCGETS
  if ((plan.landlock_fs & kIoctlDev) == 0) return {};
  for (const char* device : {"/dev/null", "/dev/zero", "/dev/full"}) {
    if (grants(plan, device, kIoctlDev)) continue;
    const long fd = sys::raw(SYS_openat, AT_FDCWD, device, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {fd, device};
    const long r = sys::raw(SYS_ioctl, fd, kGetAttributes, nullptr);
    sys::raw(SYS_close, fd);
    return {r == -EACCES ? 0 : -EPERM, "an ioctl that Landlock forbids was not refused by it"};
  }
  return {};
}

// Read-back of a control that /proc does not show. Landlock's hook refuses a device node with EACCES before the kernel's own
// check of CAP_MKNOD can with EPERM, so the error says which of the two it was. Not a whiteout (0:0), which would need no
// capability: Linux 6.1.192 counts one as a regular file, and those may be made here.
Outcome probe_paths(State& state) {
  constexpr long kNullDevice = 0x103;  // makedev(1, 3)
  const long r = sys::raw(SYS_mknodat, AT_FDCWD, "/dev/shm/.landlock-probe", S_IFCHR | 0600, kNullDevice);
  if (r == 0) sys::raw(SYS_unlinkat, AT_FDCWD, "/dev/shm/.landlock-probe", 0);
  state.landlock_probe = r == -EACCES;
  return {state.landlock_probe ? 0 : -EPERM, "a call that Landlock forbids was not refused by it"};
}

// The first port from above that no rule allows.
std::uint16_t refused_port(const Plan& plan, std::uint64_t access) {
  std::uint64_t port = 65535;
  for (std::size_t i = 0; i < plan.port_count; ++i) {
    if ((plan.ports[i].access & access) == 0 || plan.ports[i].port != port) continue;
    --port;
    i = static_cast<std::size_t>(-1);  // another rule may be for the next one
  }
  return static_cast<std::uint16_t>(port);
}

// connect(2) and bind(2) as the plan says: the hook refuses with EACCES before the network's own code is asked.
Outcome probe_port(const Plan& plan, std::uint64_t access) {
  if ((plan.landlock_net & access) == 0) return {};
  const long fd = sys::raw(SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return {fd, "socket for a probe of Landlock"};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = __builtin_bswap16(refused_port(plan, access));
  address.sin_addr.s_addr = __builtin_bswap32(INADDR_LOOPBACK);
  const long r = sys::raw(access == kConnectTcp ? SYS_connect : SYS_bind, fd, &address, sizeof address);
  sys::raw(SYS_close, fd);
  return {r == -EACCES ? 0 : -EPERM, "a TCP port that Landlock forbids was not refused by it"};
}

}  // namespace

Outcome probe_landlock(State& state) {
  if (state.plan.landlock_fs == 0) {  // a nested jail: landlock_probe stays false, and the launcher knows
    const Outcome connect = probe_port(state.plan, kConnectTcp);
    return connect.ok() ? probe_port(state.plan, kBindTcp) : connect;
  }
  for (const Outcome outcome :
       {probe_paths(state), probe_read(state.plan), probe_truncate(state.plan), probe_ioctl(state.plan),
        probe_port(state.plan, kConnectTcp), probe_port(state.plan, kBindTcp)}) {
    state.landlock_probe = state.landlock_probe && outcome.ok();
    if (!outcome.ok()) return outcome;
  }
  return {};
}

}  // namespace sandboxd::init
