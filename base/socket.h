// Unix sockets: SOCK_SEQPACKET messages with descriptors (unix(7)). Every receive sets MSG_CMSG_CLOEXEC; a truncated
// message or control buffer (MSG_TRUNC, MSG_CTRUNC) is an error, and what came with it is closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd {

inline constexpr std::size_t kMaxFdsPerMessage = 16;

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Packet {
  std::vector<std::uint8_t> bytes{};
  std::vector<UniqueFd> fds{};
  bool end = false;  // the peer has closed
};

// Blocking unless `flags` (MSG_DONTWAIT ...) says otherwise. EPIPE instead of SIGPIPE.
Status send_packet(int socket, std::span<const std::uint8_t> bytes, std::span<const int> fds, int flags = 0);
// At most `most` bytes, at most `max_fds` descriptors; more of either is EMSGSIZE.
Result<Packet> receive_packet(int socket, std::size_t most, std::size_t max_fds, int flags = 0);

Result<PeerCredentials> peer_credentials(int socket);              // SO_PEERCRED
Result<std::vector<gid_t>> peer_groups(int socket);                // SO_PEERGROUPS
Result<UniqueFd> connect_unix(const std::string& path, int type);  // type without flags; CLOEXEC is added
Result<UniqueFd> listen_unix(const std::string& path, int type, mode_t mode, uid_t owner, int backlog);
Result<std::pair<UniqueFd, UniqueFd>> socket_pair(int type);
// Waits until `fd` is readable: false at the deadline (CLOCK_MONOTONIC, microseconds; 0 = for ever).
Result<bool> wait_readable(int fd, std::uint64_t deadline_usec);

}  // namespace sandboxd
