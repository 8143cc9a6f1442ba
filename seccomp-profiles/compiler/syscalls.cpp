#include "seccomp-profiles/compiler/syscalls.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include <seccomp.h>

namespace sandboxd::filters {
namespace {

// Calls that libseccomp 2.5.4 doesn't know. From 424 on a call has the same number everywhere.
struct NewerCall {
  std::string_view name;
  std::uint32_t number;
  std::uint8_t archs;
};
constexpr std::uint8_t kX86Only = arch_bit(Arch::kX86_64);
constexpr std::array kNewerCalls = {
    NewerCall{"uretprobe", 335, kX86Only},  // Linux 6.11
    NewerCall{"uprobe", 336, kX86Only},     // 6.18
    NewerCall{"cachestat", 451, kAllArchs},
    NewerCall{"fchmodat2", 452, kAllArchs},
    NewerCall{"map_shadow_stack", 453, kAllArchs},
    NewerCall{"futex_wake", 454, kAllArchs},
    NewerCall{"futex_wait", 455, kAllArchs},
    NewerCall{"futex_requeue", 456, kAllArchs},
    NewerCall{"statmount", 457, kAllArchs},
    NewerCall{"listmount", 458, kAllArchs},
    NewerCall{"lsm_get_self_attr", 459, kAllArchs},
    NewerCall{"lsm_set_self_attr", 460, kAllArchs},
    NewerCall{"lsm_list_modules", 461, kAllArchs},
    NewerCall{"mseal", 462, kAllArchs},
    NewerCall{"setxattrat", 463, kAllArchs},
    NewerCall{"getxattrat", 464, kAllArchs},
    NewerCall{"listxattrat", 465, kAllArchs},
    NewerCall{"removexattrat", 466, kAllArchs},
    NewerCall{"open_tree_attr", 467, kAllArchs},
    NewerCall{"file_getattr", 468, kAllArchs},
    NewerCall{"file_setattr", 469, kAllArchs},
};

constexpr int kNumbersEnd = 600;  // above every call of today

std::uint32_t token(Arch arch) { return arch == Arch::kX86_64 ? SCMP_ARCH_X86_64 : SCMP_ARCH_AARCH64; }

struct Free {
  void operator()(char* text) const noexcept { std::free(text); }
};

}  // namespace

std::optional<std::uint32_t> syscall_number(Arch arch, std::string_view name) {
  for (const NewerCall& call : kNewerCalls) {
    if (call.name == name && (call.archs & arch_bit(arch)) != 0) return call.number;
  }
  // Below zero are libseccomp's own numbers for calls of other architectures.
  const int number = ::seccomp_syscall_resolve_name_arch(token(arch), std::string(name).c_str());
  if (number < 0) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

bool is_syscall_name(std::string_view name) {
  if (std::ranges::any_of(kNewerCalls, [&](const NewerCall& call) { return call.name == name; })) return true;
  return ::seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, std::string(name).c_str()) != __NR_SCMP_ERROR;
}

std::vector<SyscallNumber> all_syscalls(Arch arch) {
  std::vector<SyscallNumber> all;
  for (int number = 0; number < kNumbersEnd; ++number) {
    const std::unique_ptr<char, Free> name(::seccomp_syscall_resolve_num_arch(token(arch), number));
    if (name) all.push_back({static_cast<std::uint32_t>(number), name.get()});
  }
  for (const NewerCall& call : kNewerCalls) {
    const auto known = [&](const SyscallNumber& other) { return other.number == call.number; };
    if ((call.archs & arch_bit(arch)) == 0 || std::ranges::any_of(all, known)) continue;
    all.push_back({call.number, std::string(call.name)});
  }
  std::ranges::sort(all, {}, &SyscallNumber::number);
  return all;
}

}  // namespace sandboxd::filters
