// What a client sends to broker.sock (or broker-admin.sock), as one SOCK_SEQPACKET packet with its descriptors: 128 random
// bits of its own choice, under which a later varlink call names descriptors by index. It need not wait for an answer; the
// broker sends one byte back only when it refuses (a BrokerRefusal), and closes. The descriptors live until the jail is
// launched, the connection closes, or kBrokerHold has passed.
// Directories are opened for reading (O_RDONLY | O_DIRECTORY): O_PATH is refused, since opening with it needs no right.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

namespace sandboxd {

inline constexpr std::uint32_t kBrokerMagic = 0x42584253;  // "SBXB"
inline constexpr std::uint32_t kBrokerVersion = 1;
inline constexpr std::uint64_t kBrokerHoldUsec = 30'000'000;
inline constexpr std::uint32_t kBrokerMaxFds = 15;  // and one mount namespace

struct BrokerMessage {
  std::uint32_t magic = kBrokerMagic;
  std::uint32_t version = kBrokerVersion;
  std::array<std::uint8_t, 16> token{};
  std::uint32_t fds = 0;           // how many come with it, the mount namespace counted
  std::uint32_t has_mount_ns = 0;  // 1: the last one is /proc/self/ns/mnt
};
static_assert(std::is_trivially_copyable_v<BrokerMessage> && sizeof(BrokerMessage) == 32);

enum class BrokerRefusal : std::uint8_t { kMalformed = 1, kTokenInUse = 2, kTooMany = 3, kNotAllowed = 4 };

}  // namespace sandboxd
