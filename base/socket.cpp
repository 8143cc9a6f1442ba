#include "base/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

namespace sandboxd {
namespace {

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return sys_error_code(ENAMETOOLONG, "socket path {} (at most {} bytes)", quoted(path), sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

void take_fds(msghdr& header, std::vector<UniqueFd>& fds) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
}

}  // namespace

Status send_packet(int socket, std::span<const std::uint8_t> bytes, std::span<const int> fds, int flags) {
  if (fds.size() > kMaxFdsPerMessage) return sys_error_code(EMSGSIZE, "send {} descriptors", fds.size());
  iovec part{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  for (;;) {
    const ssize_t sent = ::sendmsg(socket, &header, flags | MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(bytes.size())) return {};
    if (sent >= 0) return sys_error_code(EMSGSIZE, "send message: {} of {} bytes", sent, bytes.size());
    if (errno != EINTR) return sys_error("send message");
  }
}

Result<Packet> receive_packet(int socket, std::size_t most, std::size_t max_fds, int flags) {
  // One for all: most messages are a few hundred bytes, and room for the longest is not cleared for each look at a socket.
  thread_local std::vector<std::uint8_t> buffer;
  if (buffer.size() < most) buffer.resize(most);
  Packet packet;
  iovec part{buffer.data(), most};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  // Without a control buffer the kernel drops descriptors before they enter this process.
  if (max_fds > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * std::min(max_fds, kMaxFdsPerMessage));
  }
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return sys_error("receive message");
  take_fds(header, packet.fds);
  if ((header.msg_flags & MSG_TRUNC) != 0 || ((header.msg_flags & MSG_CTRUNC) != 0 && max_fds > 0) ||
      packet.fds.size() > max_fds) {
    return sys_error_code(EMSGSIZE, "receive message (at most {} bytes and {} descriptors)", most, max_fds);
  }
  packet.bytes.assign(buffer.begin(), buffer.begin() + got);
  packet.end = got == 0;
  return packet;
}

Result<PeerCredentials> peer_credentials(int socket) {
  ucred cred{};
  socklen_t size = sizeof cred;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0) return sys_error("getsockopt SO_PEERCRED");
  return PeerCredentials{cred.pid, cred.uid, cred.gid};
}

Result<std::vector<gid_t>> peer_groups(int socket) {
  std::vector<gid_t> groups(64);
  for (;;) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE) return sys_error("getsockopt SO_PEERGROUPS");
    groups.resize(size / sizeof(gid_t));
  }
}

Result<UniqueFd> connect_unix(const std::string& path, int type) {
  TRY_ASSIGN(const sockaddr_un address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return sys_error("socket AF_UNIX");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return sys_error("connect to {}", quoted(path));
  }
  return fd;
}

Result<UniqueFd> listen_unix(const std::string& path, int type, mode_t mode, uid_t owner, int backlog) {
  TRY_ASSIGN(const sockaddr_un address, address_of(path));
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sys_error("socket AF_UNIX");
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) return sys_error("unlink old socket {}", quoted(path));
  // Born 0600 and widened after the owner is set: there is no moment at which somebody else could connect.
  const mode_t old = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int code = errno;
  ::umask(old);
  if (bound < 0) return sys_error_code(code, "bind {}", quoted(path));
  if (owner != ::geteuid() && ::chown(path.c_str(), owner, static_cast<gid_t>(-1)) < 0) {
    return sys_error("chown {}", quoted(path));
  }
  if (::chmod(path.c_str(), mode) < 0) return sys_error("chmod {}", quoted(path));
  if (::listen(fd.get(), backlog) < 0) return sys_error("listen on {}", quoted(path));
  return fd;
}

Result<std::pair<UniqueFd, UniqueFd>> socket_pair(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0) return sys_error("socketpair");
  return std::pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<bool> wait_readable(int fd, std::uint64_t deadline_usec) {
  for (;;) {
    int timeout_ms = -1;
    if (deadline_usec != 0) {
      const std::uint64_t now = monotonic_usec();
      timeout_ms = now >= deadline_usec
                       ? 0
                       : static_cast<int>(std::min<std::uint64_t>((deadline_usec - now + 999) / 1000, 1'000'000));
    }
    pollfd entry{fd, POLLIN, 0};
    const int ready = ::poll(&entry, 1, timeout_ms);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return sys_error("poll");
    if (ready == 0 && deadline_usec != 0 && monotonic_usec() >= deadline_usec) return false;
  }
}

}  // namespace sandboxd
