#include "daemon/broker/vet.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

namespace sandboxd::broker {
namespace {

// Pidfds are files of this file system since Linux 6.9 (linux/magic.h of Debian 12 is older).
constexpr long kPidFsMagic = 0x50494446;

bool is_null_device(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3); }

long file_system_of(int fd) {
  struct statfs info {};
  return ::fstatfs(fd, &info) < 0 ? -1 : static_cast<long>(info.f_type);
}

bool is_mount_namespace(int fd) {
  return file_system_of(fd) == NSFS_MAGIC && ::ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNS;
}

// O_PATH opens what its opener may not read: it would make the launcher read it for them.
bool is_opened_for_use(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_PATH) == 0;
}

bool is_client_file(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return false;
  if (S_ISFIFO(info.st_mode) || is_null_device(info)) return true;
  if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) return false;
  // Namespaces and processes look like regular files.
  const long kind = file_system_of(fd);
  return kind != -1 && kind != NSFS_MAGIC && kind != kPidFsMagic;
}

bool is_well_formed(const BrokerMessage& message, std::size_t fds) {
  return message.magic == kBrokerMagic && message.version == kBrokerVersion && message.has_mount_ns <= 1 &&
         message.fds == fds && message.fds >= message.has_mount_ns &&
         message.fds - message.has_mount_ns <= kBrokerMaxFds && message.token != std::array<std::uint8_t, 16>{};
}

}  // namespace

std::variant<Vetted, BrokerRefusal> vet(std::span<const std::uint8_t> packet, std::vector<UniqueFd>& fds) {
  BrokerMessage message;
  if (packet.size() != sizeof message) return BrokerRefusal::kMalformed;
  std::memcpy(&message, packet.data(), sizeof message);
  if (!is_well_formed(message, fds.size())) return BrokerRefusal::kMalformed;
  const std::size_t files = fds.size() - message.has_mount_ns;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    const int fd = fds[i].get();
    if (!is_opened_for_use(fd)) return BrokerRefusal::kNotAllowed;
    if (i < files ? !is_client_file(fd) : !is_mount_namespace(fd)) return BrokerRefusal::kNotAllowed;
  }
  return Vetted{message.token, message.has_mount_ns == 1, std::move(fds)};
}

}  // namespace sandboxd::broker
