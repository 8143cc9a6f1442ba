// What a client's one packet must be. Pure but for questions about the descriptors (fcntl, fstat, fstatfs, NS_GET_NSTYPE): it
// reads none of them. On the client's own FUSE mount those questions may hang: only a child of the broker asks them.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/broker_message.h"
#include "base/unique_fd.h"

namespace sandboxd::broker {

struct Vetted {
  std::array<std::uint8_t, 16> token{};
  bool has_mount_ns = false;  // the last of `fds`
  std::vector<UniqueFd> fds{};
};

// Every descriptor is open for more than its name (no O_PATH), and a directory, a regular file, a FIFO or /dev/null. A
// refusal leaves `fds` as they were, for the caller to close.
[[nodiscard]] std::variant<Vetted, BrokerRefusal> vet(std::span<const std::uint8_t> packet, std::vector<UniqueFd>& fds);

}  // namespace sandboxd::broker
