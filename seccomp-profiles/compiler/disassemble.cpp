#include "seccomp-profiles/compiler/disassemble.h"

#include <cstddef>
#include <map>

#include <fmt/format.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "base/text.h"
#include "seccomp-profiles/compiler/bind.h"
#include "seccomp-profiles/compiler/syscalls.h"

namespace sandboxd::filters {
namespace {

std::string answer_text(std::uint32_t value) {
  switch (value & SECCOMP_RET_ACTION_FULL) {
    case SECCOMP_RET_ALLOW: return "allow";
    case SECCOMP_RET_ERRNO: return "errno " + errno_name(static_cast<int>(value & SECCOMP_RET_DATA));
    case SECCOMP_RET_KILL_PROCESS: return "kill_process";
    default: return fmt::format("{:#x}", value);
  }
}

std::string field_text(std::uint32_t offset) {
  if (offset == offsetof(seccomp_data, nr)) return "number of the call";
  if (offset == offsetof(seccomp_data, arch)) return "architecture";
  if (offset < offsetof(seccomp_data, args) || offset >= sizeof(seccomp_data)) return "?";
  const std::uint32_t word = (offset - static_cast<std::uint32_t>(offsetof(seccomp_data, args))) / 4;
  return fmt::format("arg{}, {} half", word / 2, word % 2 == 0 ? "lower" : "upper");
}

std::string_view test_text(std::uint16_t code) {
  switch (BPF_OP(code)) {
    case BPF_JEQ: return "jeq";
    case BPF_JGT: return "jgt";
    case BPF_JGE: return "jge";
    case BPF_JSET: return "jset";
    default: return "?";
  }
}

class Disassembler {
 public:
  explicit Disassembler(Arch arch) {
    for (SyscallNumber& call : all_syscalls(arch)) names_[call.number] = std::move(call.name);
  }

  std::string line(std::size_t at, const sock_filter& one) {
    switch (one.code) {
      case BPF_LD | BPF_W | BPF_ABS: loaded_ = one.k; return fmt::format("ld [{}]", one.k) + note(field_text(one.k));
      case BPF_ALU | BPF_AND | BPF_K: return fmt::format("and {:#x}", one.k);
      case BPF_RET | BPF_K: return fmt::format("ret {:#x}", one.k) + note(answer_text(one.k));
      case BPF_JMP | BPF_JA: return fmt::format("ja {}", at + 1 + one.k);
      default: break;
    }
    if (BPF_CLASS(one.code) != BPF_JMP || BPF_SRC(one.code) != BPF_K) return fmt::format("? {:#x}", one.code);
    return fmt::format("{} {:#x} -> {}, else {}", test_text(one.code), one.k, at + 1 + one.jt, at + 1 + one.jf) +
           note(constant_text(one.k));
  }

 private:
  static std::string note(const std::string& text) { return text.empty() ? text : "  ; " + text; }

  // What a number is compared with stands for. `loaded_` follows the lines, not the jumps: emit.h loads the number and the
  // architecture once each, at the top, before all arguments.
  [[nodiscard]] std::string constant_text(std::uint32_t k) const {
    if (loaded_ == offsetof(seccomp_data, arch)) {
      if (k == AUDIT_ARCH_X86_64) return "x86_64";
      return k == AUDIT_ARCH_AARCH64 ? "aarch64" : "";
    }
    if (loaded_ != offsetof(seccomp_data, nr)) return "";
    if (k == kX32Bit) return "x32";
    const auto name = names_.find(k);
    return name == names_.end() ? fmt::format("{}", k) : fmt::format("{}, {}", k, name->second);
  }

  std::map<std::uint32_t, std::string> names_{};
  std::uint32_t loaded_ = UINT32_MAX;
};

}  // namespace

std::string disassemble(std::span<const sock_filter> program, Arch arch) {
  Disassembler disassembler(arch);
  std::string text;
  for (std::size_t at = 0; at < program.size(); ++at)
    text += fmt::format("{:4}  {}\n", at, disassembler.line(at, program[at]));
  return text;
}

}  // namespace sandboxd::filters
