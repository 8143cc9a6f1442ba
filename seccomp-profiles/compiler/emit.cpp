#include "seccomp-profiles/compiler/emit.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include <linux/audit.h>
#include <linux/seccomp.h>

namespace sandboxd::filters {
namespace {

// Jumps in BPF go forward only, so the program is made from its end: every target's place is known when a jump to it is
// made. A Label counts instructions from the end.
using Label = std::size_t;

std::uint32_t return_value(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kAllow: return SECCOMP_RET_ALLOW;
    case Action::Kind::kErrno: return SECCOMP_RET_ERRNO | action.error;
    case Action::Kind::kKillProcess: return SECCOMP_RET_KILL_PROCESS;
  }
  return SECCOMP_RET_KILL_PROCESS;
}

class BackwardAssembler {
 public:
  Label statement(std::uint16_t code, std::uint32_t k) {
    reversed_.push_back({code, 0, 0, k});
    return reversed_.size();
  }
  Label load(std::size_t offset) { return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
  Label ret(const Action& action) { return statement(BPF_RET | BPF_K, return_value(action)); }

  // if (A `test` k) goto yes; else goto no. A conditional jump spans 255 instructions: one that is further away goes by
  // way of an unconditional one behind it.
  Label branch(std::uint16_t test, std::uint32_t k, Label yes, Label no) {
    if (yes == no) return yes == reversed_.size() ? yes : statement(BPF_JMP | BPF_JA, distance(yes));
    if (reversed_.size() - yes > kReach) yes = statement(BPF_JMP | BPF_JA, distance(yes));
    if (reversed_.size() - no > kReach) no = statement(BPF_JMP | BPF_JA, distance(no));
    reversed_.push_back({static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), static_cast<std::uint8_t>(distance(yes)),
                         static_cast<std::uint8_t>(distance(no)), k});
    return reversed_.size();
  }

  // Makes sure that what follows next is `target`.
  void fall_to(Label target) {
    if (target != reversed_.size()) statement(BPF_JMP | BPF_JA, distance(target));
  }

  [[nodiscard]] std::vector<sock_filter> take() && {
    std::ranges::reverse(reversed_);
    return std::move(reversed_);
  }

 private:
  static constexpr std::size_t kReach = 254;  // one less: the second detour may push the first target on by one

  [[nodiscard]] std::uint32_t distance(Label target) const {
    return static_cast<std::uint32_t>(reversed_.size() - target);
  }

  std::vector<sock_filter> reversed_{};
};

std::size_t low_half(std::uint8_t arg) { return offsetof(seccomp_data, args) + 8U * arg; }
std::size_t high_half(std::uint8_t arg) { return low_half(arg) + 4; }
std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

// One condition: code that goes to `yes` or `no`. Both 64-bit architectures are little-endian.
class ConditionEmitter {
 public:
  ConditionEmitter(BackwardAssembler& out, const Condition& condition) : out_(out), condition_(condition) {}

  Label emit(Label yes, Label no) {
    switch (condition_.op) {
      case Op::kEqual:
      case Op::kMaskedEqual: return any_value(yes, no);
      case Op::kNotEqual:
      case Op::kMaskedNotEqual: return any_value(no, yes);
      case Op::kAnyBit: return any_bit(yes, no);
      case Op::kNoBit: return any_bit(no, yes);
      case Op::kGreater: return ordered(BPF_JGT, yes, no);
      case Op::kGreaterOrEqual: return ordered(BPF_JGE, yes, no);
      case Op::kLess: return ordered(BPF_JGE, no, yes);
      case Op::kLessOrEqual: return ordered(BPF_JGT, no, yes);
    }
    return no;
  }

 private:
  [[nodiscard]] bool wide() const { return condition_.width == 64; }
  [[nodiscard]] bool masked() const {
    return condition_.op == Op::kMaskedEqual || condition_.op == Op::kMaskedNotEqual;
  }

  // Loads one half of the argument, masked where the operation is.
  Label load_half(std::size_t offset, std::uint32_t mask) {
    if (masked()) out_.statement(BPF_ALU | BPF_AND | BPF_K, mask);
    return out_.load(offset);
  }

  Label any_value(Label yes, Label no) {
    if (wide()) return any_wide_value(yes, no);
    Label next = no;
    for (const std::uint64_t value : condition_.values) next = out_.branch(BPF_JEQ, low(value), yes, next);
    out_.fall_to(next);
    return load_half(low_half(condition_.arg), low(condition_.mask));
  }

  Label any_wide_value(Label yes, Label no) {
    Label next = no;
    for (const std::uint64_t value : condition_.values) {
      out_.fall_to(out_.branch(BPF_JEQ, low(value), yes, next));
      const Label low_test = load_half(low_half(condition_.arg), low(condition_.mask));
      out_.fall_to(out_.branch(BPF_JEQ, high(value), low_test, next));
      next = load_half(high_half(condition_.arg), high(condition_.mask));
    }
    return next;
  }

  Label any_bit(Label yes, Label no) {
    out_.fall_to(out_.branch(BPF_JSET, low(condition_.mask), yes, no));
    const Label low_test = out_.load(low_half(condition_.arg));
    if (!wide() || high(condition_.mask) == 0) return low_test;
    out_.fall_to(out_.branch(BPF_JSET, high(condition_.mask), yes, low_test));
    return out_.load(high_half(condition_.arg));
  }

  Label ordered(std::uint16_t test, Label yes, Label no) {
    const std::uint64_t value = condition_.values[0];
    out_.fall_to(out_.branch(test, low(value), yes, no));
    const Label low_test = out_.load(low_half(condition_.arg));
    if (!wide()) return low_test;
    const Label equal_test = out_.branch(BPF_JEQ, high(value), low_test, no);
    out_.fall_to(out_.branch(BPF_JGT, high(value), yes, equal_test));
    return out_.load(high_half(condition_.arg));
  }

  BackwardAssembler& out_;
  const Condition& condition_;
};

// What becomes of a call: the conditions and actions, without names and reasons.
struct Treatment {
  std::vector<std::pair<std::vector<Condition>, Action>> steps{};
  Action last{};

  [[nodiscard]] bool same(const Treatment& other) const {
    const auto same_step = [](const auto& a, const auto& b) {
      return a.second == b.second && std::ranges::equal(a.first, b.first, [](const Condition& x, const Condition& y) {
               return x.same_test(y);
             });
    };
    return last == other.last && std::ranges::equal(steps, other.steps, same_step);
  }
};

Treatment treatment_of(const BoundCall& call, const Action& fallback) {
  Treatment treatment;
  treatment.last = fallback;
  for (const Rule* rule : call.rules) {
    if (rule->when.empty()) {
      treatment.last = rule->action;
      break;
    }
    treatment.steps.emplace_back(rule->when, rule->action);
  }
  // A last condition that answers as the rest does needs no test.
  while (!treatment.steps.empty() && treatment.steps.back().second == treatment.last) treatment.steps.pop_back();
  return treatment;
}

Label emit_treatment(BackwardAssembler& out, const Treatment& treatment) {
  Label next = out.ret(treatment.last);
  for (auto step = treatment.steps.rbegin(); step != treatment.steps.rend(); ++step) {
    Label yes = out.ret(step->second);
    for (auto condition = step->first.rbegin(); condition != step->first.rend(); ++condition) {
      yes = ConditionEmitter(out, *condition).emit(yes, next);
    }
    next = yes;
  }
  return next;
}

struct Range {
  std::uint32_t first = 0;  // to the next range's first
  std::size_t treatment = 0;
};

// Every number from 0 on, as ranges of calls that are treated alike.
class Ranges {
 public:
  explicit Ranges(const BoundFilter& bound) {
    const Action& fallback = bound.filter->default_action;
    std::uint32_t next = 0;
    for (const auto& [number, call] : bound.calls) {
      if (number != next) add(next, Treatment{{}, fallback});
      add(number, treatment_of(call, fallback));
      next = number + 1;
    }
    add(next, Treatment{{}, fallback});
    if (bound.arch == Arch::kX86_64) add(kX32Bit, Treatment{{}, bound.filter->foreign_action});
  }

  [[nodiscard]] const std::vector<Range>& ranges() const { return ranges_; }
  [[nodiscard]] const std::vector<Treatment>& treatments() const { return treatments_; }

 private:
  void add(std::uint32_t first, const Treatment& treatment) {
    const auto known = std::ranges::find_if(treatments_, [&](const Treatment& other) { return other.same(treatment); });
    const auto index = static_cast<std::size_t>(known - treatments_.begin());
    if (known == treatments_.end()) treatments_.push_back(treatment);
    if (ranges_.empty() || ranges_.back().treatment != index) ranges_.push_back({first, index});
  }

  std::vector<Range> ranges_{};
  std::vector<Treatment> treatments_{};
};

Label emit_tree(BackwardAssembler& out, std::span<const Range> ranges, const std::vector<Label>& treatments) {
  if (ranges.size() == 1) return treatments[ranges[0].treatment];
  const std::size_t middle = ranges.size() / 2;
  const Label upper = emit_tree(out, ranges.subspan(middle), treatments);
  const Label lower = emit_tree(out, ranges.first(middle), treatments);
  return out.branch(BPF_JGE, ranges[middle].first, upper, lower);
}

}  // namespace

Result<std::vector<sock_filter>> emit_bpf(const BoundFilter& bound) {
  const Ranges ranges(bound);
  BackwardAssembler out;
  const Label foreign = out.ret(bound.filter->foreign_action);
  std::vector<Label> labels(ranges.treatments().size());
  // The plain answers last, so that they lie nearest to the tree.
  const auto emit_where = [&](bool with_conditions) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      const Treatment& treatment = ranges.treatments()[i];
      if (treatment.steps.empty() != with_conditions) labels[i] = emit_treatment(out, treatment);
    }
  };
  emit_where(true);
  emit_where(false);
  out.fall_to(emit_tree(out, ranges.ranges(), labels));
  const Label tree = out.load(offsetof(seccomp_data, nr));
  const std::uint32_t arch = bound.arch == Arch::kX86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
  out.fall_to(out.branch(BPF_JEQ, arch, tree, foreign));
  out.load(offsetof(seccomp_data, arch));
  std::vector<sock_filter> program = std::move(out).take();
  if (program.size() > BPF_MAXINSNS) {
    return sys_error_code(E2BIG, "filter '{}': {} instructions (at most {})", bound.filter->name, program.size(),
                          BPF_MAXINSNS);
  }
  return program;
}

Result<std::vector<sock_filter>> compile_filter(const Filter& filter, Arch arch, const Parameters& parameters) {
  TRY_ASSIGN(const BoundFilter bound, bind_filter(filter, arch, parameters));
  return emit_bpf(bound);
}

std::vector<std::uint8_t> to_bytes(std::span<const sock_filter> program) {
  std::vector<std::uint8_t> bytes(program.size() * sizeof(sock_filter));
  std::memcpy(bytes.data(), program.data(), bytes.size());
  return bytes;
}

}  // namespace sandboxd::filters
