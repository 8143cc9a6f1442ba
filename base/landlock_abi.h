// What Debian 12's <linux/landlock.h>, which ends at ABI 2, lacks of Landlock (landlock(7), include/uapi/linux/landlock.h of
// Linux 6.12). The values are the kernel's ABI.
#pragma once

#include <cstdint>

namespace sandboxd::landlock_abi {

inline constexpr std::uint64_t kTruncate = 1ULL << 14;  // ABI 3
inline constexpr std::uint64_t kBindTcp = 1ULL << 0;    // ABI 4
inline constexpr std::uint64_t kConnectTcp = 1ULL << 1;
inline constexpr long kRuleNetPort = 2;
inline constexpr std::uint64_t kIoctlDev = 1ULL << 15;          // ABI 5
inline constexpr std::uint64_t kScopeAbstractUnix = 1ULL << 0;  // ABI 6
inline constexpr std::uint64_t kScopeSignal = 1ULL << 1;

}  // namespace sandboxd::landlock_abi
