// What sandboxd writes for an exec is what jail-init reads; anything else is refused as a whole.
#include "daemon/wire/exec_plan.h"

#include <algorithm>
#include <cerrno>

#include <gtest/gtest.h>

#include "daemon/init/jobs.h"

namespace sandboxd {
namespace {

using Bytes = std::vector<std::uint8_t>;

wire::ExecPlan sample() {
  wire::ExecPlan plan;
  plan.job = 7;
  plan.wall_time = 5'000'000;
  plan.stdio = wire::StdioMode::kTerminal;
  plan.keep_survivors = true;
  plan.rows = 24;
  plan.columns = 80;
  plan.rlimits = {{7, 64, 128}, {1, 0, 0}};
  plan.workdir = "/work";
  plan.argv = {"/bin/echo", "a b", ""};
  plan.env = {"PATH=/usr/bin", "A="};
  return plan;
}

struct Read {
  init::Outcome outcome{};
  init::JobPlan plan{};
  init::ExecCounts counts{};
  std::vector<char*> room{};
};

Read read(const Bytes& bytes) {
  Read result;
  result.outcome = init::read_exec_plan(bytes, result.plan, result.counts);
  if (!result.outcome.ok()) return result;
  result.room.resize(result.counts.strings);
  init::fill_exec_strings(bytes, result.plan, result.room.data());
  return result;
}

TEST(ExecPlan, ComesBackAsItWasWritten) {
  const Bytes bytes = wire::encode_exec_plan(sample());
  const Read got = read(bytes);
  ASSERT_TRUE(got.outcome.ok()) << got.outcome.text;
  EXPECT_EQ(got.counts.job, 7U);
  EXPECT_EQ(got.plan.wall_time, 5'000'000U);
  EXPECT_EQ(got.plan.stdio, 3U);
  EXPECT_EQ(got.plan.rows, 24U);
  EXPECT_EQ(got.plan.columns, 80U);
  EXPECT_STREQ(got.plan.workdir, "/work");
  ASSERT_EQ(got.plan.rlimit_count, 2U);
  EXPECT_EQ(got.plan.rlimits[0].resource, 7U);
  EXPECT_EQ(got.plan.rlimits[0].soft, 64U);
  EXPECT_EQ(got.plan.rlimits[0].hard, 128U);
  EXPECT_STREQ(got.plan.argv[1], "a b");
  EXPECT_STREQ(got.plan.argv[2], "");
  EXPECT_EQ(got.plan.argv[3], nullptr);
  EXPECT_STREQ(got.plan.env[1], "A=");
  EXPECT_EQ(got.plan.env[2], nullptr);
}

TEST(ExecPlan, TellsItsFlagsApart) {
  for (unsigned flags = 0; flags < 8; ++flags) {
    wire::ExecPlan plan = sample();
    plan.merge_stderr = (flags & 1U) != 0;
    plan.keep_survivors = (flags & 2U) != 0;
    plan.program = (flags & 4U) != 0;
    const Read got = read(wire::encode_exec_plan(plan));
    ASSERT_TRUE(got.outcome.ok());
    EXPECT_EQ(got.plan.merge_stderr, plan.merge_stderr);
    EXPECT_EQ(got.plan.keep_survivors, plan.keep_survivors);
    EXPECT_EQ(got.plan.program, plan.program);
  }
}

TEST(ExecPlan, IsRefusedWhenCutAnywhere) {
  const Bytes whole = wire::encode_exec_plan(sample());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(read({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}).outcome.ok())
        << "cut at " << size;
  }
}

TEST(ExecPlan, IsRefusedWithBytesLeftOver) {
  Bytes bytes = wire::encode_exec_plan(sample());
  bytes.push_back(0);
  EXPECT_FALSE(read(bytes).outcome.ok());
}

TEST(ExecPlan, IsRefusedWithAFlagThatNobodyKnows) {
  Bytes bytes = wire::encode_exec_plan(sample());
  constexpr std::size_t kFlags = 4 + 4 + 8 + 1;
  bytes[kFlags] |= 8U;
  EXPECT_FALSE(read(bytes).outcome.ok());
}

TEST(ExecPlan, IsRefusedWithANulInAText) {
  Bytes bytes = wire::encode_exec_plan(sample());
  const std::string inside = "a b";
  const auto at = std::search(bytes.begin(), bytes.end(), inside.begin(), inside.end());
  ASSERT_NE(at, bytes.end());
  at[1] = 0;
  EXPECT_FALSE(read(bytes).outcome.ok());
}

TEST(ExecPlan, NeedsAProgram) {
  wire::ExecPlan plan = sample();
  plan.argv.clear();
  const Read got = read(wire::encode_exec_plan(plan));
  EXPECT_EQ(got.outcome.code, -EINVAL);
}

TEST(ExecPlan, TakesNoMoreLimitsThanItHasRoomFor) {
  wire::ExecPlan plan = sample();
  plan.rlimits.assign(init::kMaxRlimits, {1, 1, 1});
  EXPECT_TRUE(read(wire::encode_exec_plan(plan)).outcome.ok());
  plan.rlimits.push_back({1, 1, 1});
  EXPECT_FALSE(read(wire::encode_exec_plan(plan)).outcome.ok());
}

}  // namespace
}  // namespace sandboxd
