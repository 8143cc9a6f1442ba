// libseccomp as the oracle: the same rules through its compiler, with its binary tree, must give the same answers. Only what it
// can say is compared: calls decided by no condition, and by one "has a bit of" (one rule a bit there). The rest is
// emit_test.cpp's, against the format's own meaning.
#include <algorithm>
#include <map>
#include <memory>

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/bpf.h"
#include "base/file.h"
#include "base/unique_fd.h"
#include "tests/unit/seccomp-profiles/shipped.h"

namespace sandboxd::filters {
namespace {

struct Release {
  void operator()(void* filter) const noexcept { ::seccomp_release(filter); }
};
using Context = std::unique_ptr<void, Release>;

std::uint32_t scmp_action(const Action& action) {
  return action.kind == Action::Kind::kAllow ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(action.error);
}

// One condition "has a bit of", then one rule without condition.
bool is_bit_pair(const BoundCall& call) {
  return call.rules.size() == 2 && call.rules[0]->when.size() == 1 && call.rules[0]->when[0].op == Op::kAnyBit &&
         call.rules[1]->when.empty();
}

// Not the calls that are newer than libseccomp's tables.
bool can_compare(const BoundCall& call) {
  return ::seccomp_syscall_resolve_name(call.name.c_str()) != __NR_SCMP_ERROR &&
         (call.rules[0]->when.empty() || is_bit_pair(call));
}

void add_call(void* context, const BoundCall& call, const Action& otherwise) {
  // libseccomp takes this machine's number, or its own for a call that this machine lacks, and translates.
  const int nr = ::seccomp_syscall_resolve_name(call.name.c_str());
  if (call.rules[0]->when.empty()) {
    ASSERT_EQ(::seccomp_rule_add_exact_array(context, scmp_action(call.rules[0]->action), nr, 0, nullptr), 0)
        << call.name;
    return;
  }
  const Condition& bits = call.rules[0]->when[0];
  for (unsigned i = 0; i < 32; ++i) {
    const std::uint64_t bit = 1ULL << i;
    if ((bits.mask & bit) == 0) continue;
    const scmp_arg_cmp one{bits.arg, SCMP_CMP_MASKED_EQ, bit, bit};
    ASSERT_EQ(::seccomp_rule_add_exact_array(context, scmp_action(call.rules[0]->action), nr, 1, &one), 0) << call.name;
  }
  // A rule with the default action is an error to libseccomp.
  if (call.rules[1]->action == otherwise) return;
  const scmp_arg_cmp none{bits.arg, SCMP_CMP_MASKED_EQ, bits.mask, 0};
  ASSERT_EQ(::seccomp_rule_add_exact_array(context, scmp_action(call.rules[1]->action), nr, 1, &none), 0) << call.name;
}

// libseccomp 2.5 exports to a descriptor only.
std::vector<sock_filter> exported(void* context) {
  const UniqueFd fd(::memfd_create("oracle", MFD_CLOEXEC));
  EXPECT_EQ(::seccomp_export_bpf(context, fd.get()), 0);
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_SET), 0);
  Result<std::string> bytes = read_fd(fd.get());
  EXPECT_TRUE(bytes.ok());
  std::vector<sock_filter> program(bytes->size() / sizeof(sock_filter));
  std::copy(bytes->begin(), bytes->end(), reinterpret_cast<char*>(program.data()));
  return program;
}

Context oracle_of(const Compiled& compiled) {
  Context context(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  const std::uint32_t arch = compiled.bound.arch == Arch::kX86_64 ? SCMP_ARCH_X86_64 : SCMP_ARCH_AARCH64;
  if (arch != ::seccomp_arch_native()) {
    EXPECT_EQ(::seccomp_arch_add(context.get(), arch), 0);
    EXPECT_EQ(::seccomp_arch_remove(context.get(), SCMP_ARCH_NATIVE), 0);
  }
  EXPECT_EQ(::seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), 0);
  EXPECT_EQ(::seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)), 0);
  for (const auto& [number, call] : compiled.bound.calls) {
    const bool is_default = call.rules[0]->when.empty() && call.rules[0]->action == compiled.filter.default_action;
    if (can_compare(call) && !is_default) add_call(context.get(), call, compiled.filter.default_action);
  }
  return context;
}

class Oracle : public testing::TestWithParam<std::tuple<std::string, Arch>> {};

TEST_P(Oracle, Agrees) {
  const auto compiled = compile(shipped_filter(std::get<0>(GetParam())), std::get<1>(GetParam()));
  const Context context = oracle_of(*compiled);
  const std::vector<sock_filter> program = exported(context.get());
  int compared = 0;
  for (std::uint32_t number = 0; number < 1200; ++number) {
    const auto call = compiled->bound.calls.find(number);
    if (call != compiled->bound.calls.end() && !can_compare(call->second)) continue;
    for (unsigned bit = 0; bit < 64; ++bit) {
      const std::uint64_t value = 1ULL << bit;
      const Args args = {value, value, value, value, value, value};
      seccomp_data data{
          static_cast<int>(number), audit_arch(compiled->bound.arch), 0, {value, value, value, value, value, value}};
      ASSERT_EQ(run_filter(program, data), compiled->run(number, args)) << number << " " << value;
      ++compared;
    }
  }
  EXPECT_GT(compared, 64 * 1000);
  EXPECT_EQ(run_filter(program, {1, 0x40000003, 0, {}}), compiled->run_as(0x40000003, 1, {}));
}

// One condition as a program of libseccomp's, which allows what it holds for. A negated one is its opposite, turned round: libseccomp
// takes one comparison an argument, and can't say "none of these".
class ConditionOracle {
 public:
  ConditionOracle(const Condition& condition, Arch arch) : condition_(condition), arch_(arch) {
    negated_ = condition.op == Op::kNotEqual || condition.op == Op::kMaskedNotEqual || condition.op == Op::kNoBit;
    Context context(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
    if (const auto wanted = scmp_arch(arch); wanted != ::seccomp_arch_native()) {
      EXPECT_EQ(::seccomp_arch_add(context.get(), wanted), 0);
      EXPECT_EQ(::seccomp_arch_remove(context.get(), SCMP_ARCH_NATIVE), 0);
    }
    const int nr = ::seccomp_syscall_resolve_name("read");
    for (const scmp_arg_cmp& one : comparisons()) {
      const int added = ::seccomp_rule_add_exact_array(context.get(), SCMP_ACT_ALLOW, nr, 1, &one);
      EXPECT_TRUE(added == 0 || added == -EEXIST) << condition.text;
    }
    program_ = exported(context.get());
  }

  [[nodiscard]] bool holds(const Args& args) const {
    seccomp_data data{static_cast<int>(number_of(arch_, "read")), audit_arch(arch_), 0, {}};
    std::copy(args.begin(), args.end(), data.args);
    return (run_filter(program_, data) == SECCOMP_RET_ALLOW) != negated_;
  }

 private:
  static std::uint32_t scmp_arch(Arch arch) { return arch == Arch::kX86_64 ? SCMP_ARCH_X86_64 : SCMP_ARCH_AARCH64; }

  [[nodiscard]] std::vector<scmp_arg_cmp> comparisons() const {
    const std::uint64_t whole = condition_.width == 32 ? 0xFFFFFFFFU : UINT64_MAX;
    std::vector<scmp_arg_cmp> all;
    if (condition_.op == Op::kAnyBit || condition_.op == Op::kNoBit) {
      for (unsigned i = 0; i < condition_.width; ++i) {
        const std::uint64_t bit = 1ULL << i;
        if ((condition_.mask & bit) != 0) all.push_back({condition_.arg, SCMP_CMP_MASKED_EQ, bit, bit});
      }
      return all;
    }
    const bool masked = condition_.op == Op::kMaskedEqual || condition_.op == Op::kMaskedNotEqual;
    EXPECT_TRUE(masked || condition_.op == Op::kEqual || condition_.op == Op::kNotEqual)
        << condition_.text << ": libseccomp compares all 64 bits by order; teach this test the width";
    for (const std::uint64_t value : condition_.values)
      all.push_back({condition_.arg, SCMP_CMP_MASKED_EQ, masked ? condition_.mask & whole : whole, value});
    return all;
  }

  const Condition& condition_;
  Arch arch_;
  bool negated_ = false;
  std::vector<sock_filter> program_{};
};

// Calls that are decided by conditions: libseccomp judges each condition, the first rule whose conditions all hold decides.
TEST_P(Oracle, AgreesOnEveryCondition) {
  const auto compiled = compile(shipped_filter(std::get<0>(GetParam())), std::get<1>(GetParam()));
  std::map<const Condition*, ConditionOracle> oracles;
  for (const auto& [number, call] : compiled->bound.calls) {
    for (const Rule* rule : call.rules) {
      for (const Condition& condition : rule->when) oracles.try_emplace(&condition, condition, compiled->bound.arch);
    }
  }
  const auto answer = [&](const BoundCall& call, const Args& args) {
    for (const Rule* rule : call.rules) {
      if (std::ranges::all_of(rule->when, [&](const Condition& one) { return oracles.at(&one).holds(args); }))
        return ret_of(rule->action);
    }
    return ret_of(compiled->filter.default_action);
  };
  std::size_t asked = 0;
  for (const auto& [number, call] : compiled->bound.calls) {
    if (call.rules[0]->when.empty()) continue;
    for_each_args(call, [&, n = number, &one = call](const Args& args) {
      ++asked;
      ASSERT_EQ(compiled->run(n, args), answer(one, args)) << one.name << " " << testing::PrintToString(args);
    });
  }
  EXPECT_GT(asked, 1000U);
}

INSTANTIATE_TEST_SUITE_P(All, Oracle,
                         testing::Combine(testing::ValuesIn(shipped_filters()), testing::ValuesIn(kArchs)));

}  // namespace
}  // namespace sandboxd::filters
