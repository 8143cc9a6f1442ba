// What a seccomp filter answers to a call, worked out in our own process: for jail-init, which gives a refused call the errno
// that its filter would have given, and for whoever explains one. It knows the instructions that our compiler makes
// (seccomp-profiles/compiler/emit.h) and no others. No libc, no memory, bounded by the program's length.
#pragma once

#include <cstddef>
#include <cstdint>

#include <linux/filter.h>
#include <linux/seccomp.h>

namespace sandboxd {

// A program of anything else, or one that runs off its end: SECCOMP_RET_KILL_PROCESS.
[[nodiscard]] std::uint32_t run_filter(const sock_filter* program, std::size_t size, const seccomp_data& data) noexcept;

}  // namespace sandboxd
