// A filter for one architecture and one profile: for each number the rules that can decide it, in order. `decide` is the
// meaning of the format; the BPF that emit.h makes must agree with it on every call (a test holds them together).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "seccomp-profiles/model/filter.h"

namespace sandboxd::filters {

// The upper half of a number on x86-64 marks the x32 ABI (asm/unistd.h: __X32_SYSCALL_BIT).
inline constexpr std::uint32_t kX32Bit = 0x40000000;

struct BoundCall {
  std::string name{};
  std::vector<const Rule*> rules{};  // up to and with the first that has no condition
};

struct BoundFilter {
  const Filter* filter = nullptr;  // must outlive this
  Arch arch = Arch::kX86_64;
  std::map<std::uint32_t, BoundCall> calls{};
};

struct Verdict {
  Action action{};
  const Rule* rule = nullptr;  // null: the filter's default, or its answer to a foreign ABI
};

// Errors: a name that no architecture has, or that is not marked as being another architecture's.
Result<BoundFilter> bind_filter(const Filter& filter, Arch arch, const Parameters& parameters);
// The names of every rule, on every architecture; done by bind_filter too.
Status check_names(const Filter& filter);
[[nodiscard]] Verdict decide(const BoundFilter& bound, std::uint32_t number, const std::array<std::uint64_t, 6>& args);

}  // namespace sandboxd::filters
