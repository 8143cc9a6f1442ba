// Runs a seccomp program as the kernel would (Documentation/networking/filter.rst, seccomp(2)), in process: no kernel, any
// architecture. Stricter than the kernel's check: what seccomp_check_filter refuses, a jump out of the program, a load that
// is not an aligned word of seccomp_data, and running off the end are all answered by nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <linux/filter.h>
#include <linux/seccomp.h>

namespace sandboxd::filters {

// The action (SECCOMP_RET_...), or nothing when the program is not valid.
[[nodiscard]] std::optional<std::uint32_t> run_bpf(std::span<const sock_filter> program, const seccomp_data& data);

}  // namespace sandboxd::filters
