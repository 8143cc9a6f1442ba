// What a seccomp filter answers to a call, worked out in our own process: for jail-init, which gives a refused call the errno
// that its filter would have given, and for whoever explains one. It knows the instructions that our compiler makes
// (seccomp-profiles/compiler/emit.h) and no others. Stricter than the kernel's check: a jump out of the program, a load that is no
// aligned word of seccomp_data, and running off the end are answered by nothing. No libc, no memory, bounded by the length.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <linux/filter.h>
#include <linux/seccomp.h>

namespace sandboxd {

// The action (SECCOMP_RET_...), or nothing when the program is not valid.
[[nodiscard]] std::optional<std::uint32_t> run_filter(std::span<const sock_filter> program,
                                                      const seccomp_data& data) noexcept;

}  // namespace sandboxd
