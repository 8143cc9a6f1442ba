#include "base/bpf.h"

namespace sandboxd {
namespace {

bool jump_holds(std::uint16_t test, std::uint32_t a, std::uint32_t k) {
  switch (test) {
    case BPF_JEQ: return a == k;
    case BPF_JGT: return a > k;
    case BPF_JGE: return a >= k;
    default: return (a & k) != 0;  // BPF_JSET
  }
}

}  // namespace

std::optional<std::uint32_t> run_filter(std::span<const sock_filter> program, const seccomp_data& data) noexcept {
  if (program.size() > BPF_MAXINSNS) return std::nullopt;
  std::uint32_t a = 0;
  for (std::size_t at = 0; at < program.size(); ++at) {
    const sock_filter& now = program[at];
    switch (now.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (now.k % 4 != 0 || now.k > sizeof data - 4) return std::nullopt;
        __builtin_memcpy(&a, reinterpret_cast<const char*>(&data) + now.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K: a &= now.k; break;
      case BPF_JMP | BPF_JA: at += now.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K:
      case BPF_JMP | BPF_JGT | BPF_K:
      case BPF_JMP | BPF_JGE | BPF_K:
      case BPF_JMP | BPF_JSET | BPF_K: at += jump_holds(now.code & 0xF0U, a, now.k) ? now.jt : now.jf; break;
      case BPF_RET | BPF_K: return now.k;
      default: return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace sandboxd
