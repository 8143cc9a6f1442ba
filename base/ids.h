// The id pool: host uids and gids that belong to jails and to our own programs, and to nobody else. They lie above
// systemd's container range and below its foreign one (systemd, docs/UIDS-GIDS.md). 16 ids a jail.
#pragma once

#include <cstdint>

namespace sandboxd {

inline constexpr std::uint32_t kPoolFirst = 1879048192;  // 0x70000000
inline constexpr std::uint32_t kPoolLast = 2147352575;   // 0x7FFDFFFF
inline constexpr std::uint32_t kIdsPerJail = 16;
// One daemon's share: 16,384 numbers. Number 0 is the daemon's own programs, jails count from 1.
inline constexpr std::uint32_t kIdsPerSlice = 262144;
inline constexpr std::uint32_t kNumbersPerSlice = kIdsPerSlice / kIdsPerJail;

// Offsets in range number 0.
enum class OwnId : std::uint32_t { kSandboxd = 0, kBroker = 1, kAudit = 2, kProfilec = 3 };
// Offsets in a jail's range.
inline constexpr std::uint32_t kInitOffset = 0;
inline constexpr std::uint32_t kJobOffset = 1;
// The id that jail-init has *inside* every jail: of the pool, so that no caller's own id can be the same.
inline constexpr std::uint32_t kInitInsideId = kPoolFirst;

constexpr bool is_pool_id(std::uint32_t id) { return id >= kPoolFirst && id <= kPoolLast; }
constexpr std::uint32_t own_id(std::uint32_t slice_first, OwnId which) {
  return slice_first + static_cast<std::uint32_t>(which);
}
constexpr std::uint32_t first_id_of(std::uint32_t slice_first, std::uint32_t number) {
  return slice_first + number * kIdsPerJail;
}
constexpr std::uint32_t number_of(std::uint32_t slice_first, std::uint32_t id) {
  return (id - slice_first) / kIdsPerJail;
}

}  // namespace sandboxd
