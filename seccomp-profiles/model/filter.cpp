#include "seccomp-profiles/model/filter.h"

#include <algorithm>

namespace sandboxd::filters {

std::string_view to_text(Arch arch) { return arch == Arch::kX86_64 ? "x86_64" : "aarch64"; }

Result<Arch> arch_from_text(std::string_view text) {
  for (const Arch arch : kArchs) {
    if (to_text(arch) == text) return arch;
  }
  return make_error("unknown architecture '{}'; known: x86_64, aarch64", text);
}

Arch host_arch() {
#if defined(__x86_64__)
  return Arch::kX86_64;
#elif defined(__aarch64__)
  return Arch::kAarch64;
#else
#error "no filter for this architecture: add it to Arch and to every filter file"
#endif
}

std::string to_text(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kAllow: return "allow";
    case Action::Kind::kErrno: return "errno " + errno_name(action.error);
    case Action::Kind::kKillProcess: return "kill_process";
  }
  return "?";
}

bool Condition::holds(std::uint64_t value) const {
  if (width == 32) value &= 0xFFFFFFFFU;
  const auto listed = [this](std::uint64_t wanted) { return std::ranges::find(values, wanted) != values.end(); };
  switch (op) {
    case Op::kEqual: return listed(value);
    case Op::kNotEqual: return !listed(value);
    case Op::kLess: return value < values[0];
    case Op::kLessOrEqual: return value <= values[0];
    case Op::kGreater: return value > values[0];
    case Op::kGreaterOrEqual: return value >= values[0];
    case Op::kMaskedEqual: return listed(value & mask);
    case Op::kMaskedNotEqual: return !listed(value & mask);
    case Op::kAnyBit: return (value & mask) != 0;
    case Op::kNoBit: return (value & mask) == 0;
  }
  return false;
}

bool Condition::same_test(const Condition& other) const {
  return arg == other.arg && width == other.width && op == other.op && mask == other.mask && values == other.values;
}

bool applies(const Rule& rule, const Parameters& parameters) {
  return std::ranges::all_of(rule.profile, [&](const auto& wanted) {
    const auto given = parameters.find(wanted.first);
    return given != parameters.end() && std::ranges::find(wanted.second, given->second) != wanted.second.end();
  });
}

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (text.empty() || text.size() > 64 || !letter(text.front())) return false;
  return std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
}

}  // namespace sandboxd::filters
