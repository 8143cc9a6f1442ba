// Listening sockets that are handed over at exec, the way systemd's socket activation does it (sd_listen_fds(3)): LISTEN_PID,
// LISTEN_FDS and LISTEN_FDNAMES in the environment, descriptors from 3. Without libsystemd, which the broker and the
// launcher don't link. Errors name the socket that is missing; nothing falls back to a socket of its own making.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd {

// The descriptor that was passed under `name`, now CLOEXEC; each can be taken once (EBADF after that).
Result<UniqueFd> take_listen_fd(std::string_view name);
// Takes the three variables out of the environment, so that no child reads them as its own. After the last take.
void forget_listen_fds();

struct NamedFd {
  std::string name{};  // no ':' and no control character
  int fd = -1;
};
// The other side, for a child between fork and exec, with one thread: puts `fds` at 3, 4 ... without CLOEXEC and sets the
// variables for this process. Descriptors that were at these numbers are gone after it.
Status give_listen_fds(std::span<const NamedFd> fds);

}  // namespace sandboxd
