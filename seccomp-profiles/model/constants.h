// The names that a filter file may use for numbers: flags of system calls, errno names. Only those whose value is the same
// on x86-64 and aarch64 (O_DIRECTORY, O_NOFOLLOW, O_DIRECT and O_LARGEFILE are not, and so are left out on purpose).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::filters {

// "AF_UNIX", "S_ISUID|S_ISGID", "0x5412", "04000" (octal, as chmod(1) has it), "12".
[[nodiscard]] std::optional<std::uint64_t> constant_value(std::string_view text);
[[nodiscard]] std::span<const std::string_view> constant_names();

// "EPERM" -> 1.
[[nodiscard]] std::optional<std::uint16_t> errno_value(std::string_view name);

}  // namespace sandboxd::filters
