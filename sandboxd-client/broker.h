// Hands descriptors to sandboxd-broker, which vouches for whose they are (base/broker_message.h). They are opened by this
// process, with its own rights; sandboxd itself never sees them. Failures are errno values; a refusal of the broker is
// found by refusal() once a call that cites the token has failed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::client {

using Token = std::array<std::uint8_t, 16>;

struct HandedIn {
  Token token{};
  UniqueFd connection{};  // keep it open until the jail has started: the broker drops the descriptors when it closes
};

Result<Token> random_token();  // getrandom(2)
// `mount_namespace`: sends /proc/self/ns/mnt as the last one, for a client whose mounts the launcher can't clone.
Result<HandedIn> hand_in(const std::string& broker_socket, std::span<const int> fds, bool mount_namespace);
// Why the broker refused, when it did; never waits.
[[nodiscard]] std::optional<std::string> refusal(const HandedIn& handed_in);

// True when both /proc/self/ns/mnt and /proc/1/ns/mnt can be read and differ. Reading the latter takes ptrace rights over
// pid 1 (proc(5)), so an ordinary user's answer is false; and a container with a pid namespace of its own compares with
// its own pid 1. Both need to be told (sandboxctl's --mount-namespace).
[[nodiscard]] bool in_other_mount_namespace();

}  // namespace sandboxd::client
