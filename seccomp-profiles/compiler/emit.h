// A bound filter to classic BPF for seccomp(2): the architecture is checked, then a tree over ranges of numbers whose
// calls are treated alike, then argument checks with BPF_JSET for bits. Half the instructions of libseccomp's tree, and so
// half its load time (the kernel runs the filter for every number once when it is loaded); and first match wins, which
// libseccomp can't say (one comparison an argument, no masked "not equal").
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <linux/filter.h>

#include "base/result.h"
#include "seccomp-profiles/compiler/bind.h"

namespace sandboxd::filters {

// E2BIG past BPF_MAXINSNS.
Result<std::vector<sock_filter>> emit_bpf(const BoundFilter& bound);

// Names, binding and code in one.
Result<std::vector<sock_filter>> compile_filter(const Filter& filter, Arch arch, const Parameters& parameters);

[[nodiscard]] std::vector<std::uint8_t> to_bytes(std::span<const sock_filter> program);

}  // namespace sandboxd::filters
