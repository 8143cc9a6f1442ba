// The BPF answers what the format means, for every call, on both architectures.
#include <algorithm>
#include <map>
#include <set>

#include <linux/audit.h>
#include <linux/seccomp.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "seccomp-profiles/compiler/syscalls.h"
#include "tests/unit/seccomp-profiles/shipped.h"

namespace sandboxd::filters {
namespace {

constexpr Args kNoArgs = {};

struct Case {
  std::string filter;
  Arch arch;
  std::string unix_sockets;
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.filter << " " << to_text(one.arch) << " " << one.unix_sockets;
}

class ShippedFilter : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    compiled_ = compile(shipped_filter(GetParam().filter), GetParam().arch, GetParam().unix_sockets);
  }
  std::unique_ptr<Compiled> compiled_;
};

TEST_P(ShippedFilter, AnswersEveryCallAsItsRulesSay) {
  std::size_t asked = 0;
  for (const auto& [number, call] : compiled_->bound.calls) {
    for_each_args(call, [&, n = number](const Args& args) {
      ++asked;
      const std::uint32_t wanted = ret_of(decide(compiled_->bound, n, args).action);
      ASSERT_EQ(compiled_->run(n, args), wanted)
          << compiled_->bound.calls.at(n).name << " " << testing::PrintToString(args);
    });
  }
  EXPECT_GT(asked, 1000U);
}

TEST_P(ShippedFilter, AnswersEveryUnlistedNumberWithEnosys) {
  for (std::uint32_t number = 0; number < 2048; ++number) {
    if (compiled_->bound.calls.contains(number)) continue;
    ASSERT_EQ(compiled_->run(number, kNoArgs), ret_errno(ENOSYS)) << number;
  }
  EXPECT_EQ(compiled_->run(0x3FFFFFFF, kNoArgs), ret_errno(ENOSYS));
  EXPECT_EQ(compiled_->run(0xFFFFFFFF, kNoArgs), ret_errno(ENOSYS));
}

TEST_P(ShippedFilter, RefusesEveryCallOfAnotherAbi) {
  for (const std::int64_t other : std::initializer_list<std::int64_t>{
           AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_AARCH64, AUDIT_ARCH_X86_64, 0, INT32_MAX}) {
    const auto arch = static_cast<std::uint32_t>(other);
    if (arch == audit_arch(GetParam().arch)) continue;
    for (std::uint32_t number = 0; number < 600; ++number)
      ASSERT_EQ(compiled_->run_as(arch, number, kNoArgs), ret_errno(ENOSYS));
  }
}

TEST_P(ShippedFilter, RefusesEveryCallWithTheX32Bit) {
  for (std::uint32_t number = 0; number < 2048; ++number) {
    ASSERT_EQ(compiled_->run(number | kX32Bit, kNoArgs), ret_errno(ENOSYS)) << number;
    ASSERT_EQ(compiled_->run(number | 0x80000000U, kNoArgs), ret_errno(ENOSYS)) << number;
  }
}

TEST_P(ShippedFilter, LeavesNoKnownCallWithoutARule) {
  for (const SyscallNumber& call : all_syscalls(GetParam().arch)) {
    EXPECT_TRUE(compiled_->bound.calls.contains(call.number)) << call.name << " is in no rule: judge it";
  }
}

TEST_P(ShippedFilter, HasNoRuleThatNeverDecides) {
  std::set<const Rule*> deciding;
  for (const auto& [number, call] : compiled_->bound.calls) {
    for_each_args(call, [&, n = number](const Args& args) { deciding.insert(decide(compiled_->bound, n, args).rule); });
  }
  for (const Rule& rule : compiled_->filter.rules) {
    const bool here =
        std::ranges::any_of(rule.calls, [](const NamedCall& c) { return (c.archs & arch_bit(GetParam().arch)) != 0; });
    if (here && applies(rule, {{"unix_sockets", GetParam().unix_sockets}})) {
      EXPECT_TRUE(deciding.contains(&rule)) << rule.file << " line " << rule.line;
    }
  }
}

// Each rule, for each call that it names: some arguments come as far as this rule, and the program then answers as it says. A
// rule that only stands behind another one for that call (the group is wider than what it has left) is none of these.
TEST_P(ShippedFilter, ExecutesEveryRuleForEachOfItsCalls) {
  std::size_t executed = 0;
  for (const auto& [number, call] : compiled_->bound.calls) {
    std::map<const Rule*, std::uint32_t> answers;
    for_each_args(call, [&, n = number](const Args& args) {
      const Rule* rule = decide(compiled_->bound, n, args).rule;
      if (rule != nullptr && !answers.contains(rule)) answers[rule] = compiled_->run(n, args);
    });
    for (const Rule* rule : call.rules) {
      ASSERT_TRUE(answers.contains(rule))
          << call.name << ": " << rule->file << " line " << rule->line << " never decides";
      EXPECT_EQ(answers[rule], ret_of(rule->action)) << call.name << ": " << rule->file << " line " << rule->line;
      ++executed;
    }
  }
  EXPECT_GT(executed, 300U);
}

// The kernel runs the filter for every number when it is loaded, so its size is start-up time.
TEST_P(ShippedFilter, StaysSmall) { EXPECT_LT(compiled_->program.size(), 300U); }

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const std::string& filter : shipped_filters()) {
    for (const Arch arch : kArchs) {
      for (const std::string unix_sockets : {"none", "any"}) {
        // strict has no rule for it.
        if (filter != "strict" || unix_sockets == "none") cases.push_back({filter, arch, unix_sockets});
      }
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, ShippedFilter, testing::ValuesIn(all_cases()), [](const auto& param) {
  std::string name = param.param.filter + "_" + std::string(to_text(param.param.arch)) + "_" + param.param.unix_sockets;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(ShippedFilters, AreAllHere) {
  EXPECT_THAT(shipped_filters(), testing::ElementsAre("default", "language", "language-wx", "nested", "strict"));
}

// Each operation at both widths, on values that a shipped filter may not have.
class Operation : public testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Operation, MeansTheSameInBpf) {
  const auto& [operands, width] = GetParam();
  const std::string text = R"({"name":"f","description":"d","default":{"action":"errno","errno":"ENOSYS","why":"w"},
    "foreign_abi":{"action":"errno","errno":"ENOSYS","why":"w"},"rules":[{"syscalls":["read"],"why":"w","action":"allow",
    "when":[{"arg":3,"width":)" +
                           std::to_string(width) + "," + operands + "}]}]}";
  Result<Filter> filter = load_filter("f", loader_of({{"f", text}}));
  ASSERT_TRUE(filter.ok()) << filter.error().message();
  const auto compiled = compile(std::move(filter).value(), Arch::kX86_64);
  std::set<std::uint64_t> values;
  for (const std::uint64_t base : {0ULL, 5ULL, 0xFF00ULL, 0x80000000ULL, 0x100000005ULL, 0x7FFFFFFFFFFFFFFFULL}) {
    for (std::uint64_t i = 0; i < 9; ++i) values.insert({base + i, base - i, ~(base + i), base << i, (base + i) << 32});
  }
  std::set<std::uint32_t> answers;
  for (const std::uint64_t value : values) {
    const Args args = {0, 0, 0, value, 0, 0};
    const std::uint32_t got = compiled->run(0, args);
    EXPECT_EQ(got, ret_of(decide(compiled->bound, 0, args).action)) << std::hex << value;
    answers.insert(got);
  }
  EXPECT_EQ(answers.size(), 2U) << "the values don't tell the cases apart";
}

INSTANTIATE_TEST_SUITE_P(
    All, Operation,
    testing::Combine(testing::Values(R"("op":"equal","value":5)", R"("op":"equal","value":[5,7,65280])",
                                     R"("op":"not_equal","value":5)", R"("op":"not_equal","value":[5,0])",
                                     R"("op":"less","value":5)", R"("op":"less_or_equal","value":5)",
                                     R"("op":"greater","value":5)", R"("op":"greater_or_equal","value":65280)",
                                     R"("op":"masked_equal","mask":7,"value":[5,1])",
                                     R"("op":"masked_not_equal","mask":65280,"value":0)",
                                     R"("op":"any_bit","mask":"0x80000001")", R"("op":"no_bit","mask":5)"),
                     testing::Values(32, 64)));

TEST(Operation64, LooksAtTheUpperHalf) {
  const std::string text = R"({"name":"f","description":"d","default":{"action":"errno","errno":"ENOSYS","why":"w"},
    "foreign_abi":{"action":"errno","errno":"ENOSYS","why":"w"},"rules":[
    {"syscalls":["read"],"why":"w","action":"allow","when":[{"arg":0,"width":64,"op":"masked_equal","mask":"0xF00000000F","value":"0x3000000002"}]},
    {"syscalls":["read"],"why":"w","action":"errno","errno":"EPERM","when":[{"arg":0,"width":64,"op":"any_bit","mask":"0x100000000"}]},
    {"syscalls":["read"],"why":"w","action":"errno","errno":"EIO","when":[{"arg":0,"width":64,"op":"greater","value":"0x5000000005"}]}]})";
  Result<Filter> filter = load_filter("f", loader_of({{"f", text}}));
  ASSERT_TRUE(filter.ok()) << filter.error().message();
  const auto compiled = compile(std::move(filter).value(), Arch::kX86_64);
  EXPECT_EQ(compiled->run(0, {0x3000000012}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(compiled->run(0, {0x0000000012}), ret_errno(ENOSYS));
  EXPECT_EQ(compiled->run(0, {0x0100000000}), ret_errno(EPERM));
  EXPECT_EQ(compiled->run(0, {0x5000000005}), ret_errno(ENOSYS));
  EXPECT_EQ(compiled->run(0, {0x5000000006}), ret_errno(EIO));
  EXPECT_EQ(compiled->run(0, {0x6000000000}), ret_errno(EIO));
}

// Conditional jumps reach 255 instructions: a filter with long argument checks needs detours.
TEST(Emit, ReachesAcrossLongFilters) {
  std::string rules;
  const std::vector<SyscallNumber> all = all_syscalls(Arch::kX86_64);
  for (std::size_t i = 0; i < all.size(); i += 3) {
    rules += fmt::format(R"({}{{"syscalls":["{}"],"architectures":["x86_64"],"why":"w","action":"allow",
                         "when":[{{"arg":0,"width":64,"op":"equal","value":[{},{}]}}]}})",
                         rules.empty() ? "" : ",", all[i].name, i, i + 1000);
  }
  const std::string text = R"({"name":"f","description":"d","default":{"action":"errno","errno":"ENOSYS","why":"w"},
    "foreign_abi":{"action":"errno","errno":"EPERM","why":"w"},"rules":[)" +
                           rules + "]}";
  Result<Filter> filter = load_filter("f", loader_of({{"f", text}}));
  ASSERT_TRUE(filter.ok()) << filter.error().message();
  const auto compiled = compile(std::move(filter).value(), Arch::kX86_64);
  ASSERT_GT(compiled->program.size(), 1000U);
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (const std::uint64_t value : std::initializer_list<std::uint64_t>{i, i + 1000, i + 1, i | 1ULL << 32}) {
      const Args args = {value};
      ASSERT_EQ(compiled->run(all[i].number, args), ret_of(decide(compiled->bound, all[i].number, args).action))
          << all[i].name;
    }
  }
  EXPECT_EQ(compiled->run(kX32Bit, kNoArgs), ret_errno(EPERM));
}

}  // namespace
}  // namespace sandboxd::filters
