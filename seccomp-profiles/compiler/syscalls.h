// Names of system calls to numbers, by libseccomp's tables and a short one of our own for calls newer than it. The only
// user of libseccomp in the tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "seccomp-profiles/model/filter.h"

namespace sandboxd::filters {

struct SyscallNumber {
  std::uint32_t number = 0;
  std::string name{};
};

// The number on that architecture; nothing when it has no such call.
[[nodiscard]] std::optional<std::uint32_t> syscall_number(Arch arch, std::string_view name);
// Some architecture has it (32-bit ones too): the name is no typing error.
[[nodiscard]] bool is_syscall_name(std::string_view name);
// Every call that is known for the architecture, by number.
[[nodiscard]] std::vector<SyscallNumber> all_syscalls(Arch arch);

}  // namespace sandboxd::filters
