// What `profile diff` and `profile compile` stand on: the difference of two filters, and a program as text.
#include "seccomp-profiles/compiler/compare.h"

#include <linux/seccomp.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "seccomp-profiles/compiler/disassemble.h"
#include "tests/unit/seccomp-profiles/shipped.h"

namespace sandboxd::filters {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::unique_ptr<Compiled> filter_with(const std::string& rules) {
  const std::string text = R"({"name":"f","description":"d","default":{"action":"errno","errno":"ENOSYS","why":"w"},
    "foreign_abi":{"action":"kill_process","why":"w"},"rules":[)" +
                           rules + "]}";
  Result<Filter> filter = load_filter("f", loader_of({{"f", text}}));
  EXPECT_TRUE(filter.ok()) << filter.error().message();
  return compile(std::move(filter).value(), Arch::kX86_64);
}

TEST(CompareFilters, SeesNoDifferenceInTheSameRules) {
  const auto one = compile(shipped_filter("default"), Arch::kAarch64);
  const auto other = compile(shipped_filter("default"), Arch::kAarch64);
  EXPECT_THAT(compare_filters(one->bound, other->bound), IsEmpty());
}

TEST(CompareFilters, GathersCallsThatChangeAlike) {
  const auto one = filter_with(R"({"syscalls":["read","write"],"action":"allow","why":"w"})");
  const auto other = filter_with(R"({"syscalls":["read","write","close"],"action":"errno","errno":"EPERM","why":"w"})");
  const std::vector<CallDifference> differences = compare_filters(one->bound, other->bound);
  ASSERT_EQ(differences.size(), 2U);
  EXPECT_THAT(differences[0].calls, ElementsAre("read", "write"));
  EXPECT_EQ(differences[0].before, "allow");
  EXPECT_EQ(differences[0].after, "errno EPERM");
  EXPECT_THAT(differences[1].calls, ElementsAre("close"));
  EXPECT_EQ(differences[1].before, "errno ENOSYS");
}

TEST(CompareFilters, SeesAConditionAndWhatTheProfileSettles) {
  const auto none = compile(shipped_filter("default"), Arch::kX86_64, "none");
  const auto any = compile(shipped_filter("default"), Arch::kX86_64, "any");
  const std::vector<CallDifference> differences = compare_filters(none->bound, any->bound);
  ASSERT_EQ(differences.size(), 2U);
  EXPECT_THAT(differences[0].calls, ElementsAre("socket"));
  EXPECT_THAT(differences[0].after, HasSubstr("allow if arg0 == AF_UNIX; "));
  EXPECT_THAT(differences[1].calls, ElementsAre("socketpair"));
}

TEST(CompareFilters, SaysTheDefaultWhereNoRuleIsTheLast) {
  const auto one = filter_with(
      R"({"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":32,"op":"equal","value":1}]})");
  EXPECT_EQ(treatment_text(one->bound, 0), "allow if arg0 == 1; errno ENOSYS otherwise");
  EXPECT_EQ(treatment_text(one->bound, 1), "errno ENOSYS");
}

TEST(Disassemble, SaysWhatEachInstructionIsAbout) {
  const auto one = filter_with(
      R"({"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":1,"width":64,"op":"any_bit","mask":"0x100000002"}]})");
  const std::string text = disassemble(one->program, Arch::kX86_64);
  EXPECT_THAT(text, HasSubstr("   0  ld [4]  ; architecture\n   1  jeq 0xc000003e -> 2, else "));
  EXPECT_THAT(text, HasSubstr("; x86_64\n   2  ld [0]  ; number of the call\n"));
  EXPECT_THAT(text, HasSubstr("  ; 1, write\n"));
  EXPECT_THAT(text, HasSubstr("ld [28]  ; arg1, upper half\n"));
  EXPECT_THAT(text, HasSubstr("jset 0x1 -> "));
  EXPECT_THAT(text, HasSubstr("ret 0x7fff0000  ; allow\n"));
  EXPECT_THAT(text, HasSubstr("ret 0x50026  ; errno ENOSYS\n"));
  EXPECT_THAT(text, HasSubstr("ret 0x80000000  ; kill_process\n"));
}

// Every jump is written with the line that it leads to.
TEST(Disassemble, NumbersTheTargetsOfJumps) {
  for (const Arch arch : kArchs) {
    const auto compiled = compile(shipped_filter("default"), arch);
    const std::string text = disassemble(compiled->program, arch);
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '\n')), compiled->program.size());
    EXPECT_EQ(text.find('?'), std::string::npos);
    for (std::size_t at = 0; at < compiled->program.size(); ++at) {
      const sock_filter& one = compiled->program[at];
      if (BPF_CLASS(one.code) != BPF_JMP || BPF_OP(one.code) == BPF_JA) continue;
      EXPECT_THAT(text, HasSubstr(fmt::format("{:4}  {} {:#x} -> {}, else {}", at,
                                              BPF_OP(one.code) == BPF_JEQ   ? "jeq"
                                              : BPF_OP(one.code) == BPF_JGT ? "jgt"
                                              : BPF_OP(one.code) == BPF_JGE ? "jge"
                                                                            : "jset",
                                              one.k, at + 1 + one.jt, at + 1 + one.jf)));
    }
  }
}

}  // namespace
}  // namespace sandboxd::filters
