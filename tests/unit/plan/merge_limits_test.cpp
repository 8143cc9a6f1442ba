// Which limits a jail gets, and what its file systems in memory become within them.
#include "daemon/plan/merge_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/wire/narrow.h"
#include "protocol/limits.h"

namespace sandboxd::plan {
namespace {

using protocol::JobSpec;
using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20;

wire::Profile some_profile() {
  wire::Profile profile;
  profile.name = "default";
  profile.filter.assign(8, 0);
  profile.workspace = 3;
  profile.tmpfs = {{"/run", 16 * kMiB, 4096, 0755}, {"/tmp", 512 * kMiB, 131'072, 01777}};
  profile.limits = no_limits();
  profile.limits.nofile = 8192;
  profile.limits.pids_max = 4096;
  profile.limits.memory_max = 1024 * kMiB;
  profile.limits.scratch_max = 1024 * kMiB;
  profile.limits.inodes_max = 262'144;
  profile.limits.wall_time = 3'600'000'000;
  return profile;
}

std::vector<wire::Preset> some_presets() {
  wire::Preset normal{"default", "d", no_limits()};
  normal.limits.memory_max = 2048 * kMiB;
  normal.limits.memory_swap_max = 0;
  normal.limits.cpu_weight = 100;
  normal.limits.pids_max = 512;
  normal.limits.nofile = 4096;
  wire::Preset small{"small", "d", normal.limits};
  small.limits.memory_max = 64 * kMiB;
  small.limits.scratch_max = 128 * kMiB;
  small.limits.cpu_max = 500;
  return {normal, small};
}

LimitsOutcome merged(const JobSpec& spec) {
  const std::vector<wire::Preset> presets = some_presets();
  return merge_limits(spec, some_profile(), presets);
}
Limits limits_of(const JobSpec& spec) {
  const LimitsOutcome outcome = merged(spec);
  const auto* limits = std::get_if<Limits>(&outcome);
  EXPECT_NE(limits, nullptr);
  return limits == nullptr ? Limits{} : *limits;
}
Denied denial_of(const JobSpec& spec) {
  const LimitsOutcome outcome = merged(spec);
  const auto* denied = std::get_if<Denied>(&outcome);
  return denied == nullptr ? Denied{} : *denied;
}
InvalidArgument wrong_of(const JobSpec& spec) {
  const LimitsOutcome outcome = merged(spec);
  const auto* wrong = std::get_if<InvalidArgument>(&outcome);
  return wrong == nullptr ? InvalidArgument{} : *wrong;
}

TEST(MergeLimits, TheDefaultPresetIsForThoseWhoNameNone) {
  const Limits limits = limits_of({});
  EXPECT_EQ(limits.pids_max, 512U);
  EXPECT_EQ(limits.nofile, 4096U);
  EXPECT_EQ(limits.memory_swap_max, 0U);
  EXPECT_EQ(limits.cpu_max, 0U);
}

TEST(MergeLimits, ThePresetIsCutToTheProfilesCaps) {
  const Limits limits = limits_of({});
  EXPECT_EQ(limits.memory_max, 1024 * kMiB);
  EXPECT_EQ(limits.wall_time, 3'600'000'000U);  // none, cut to the cap
  EXPECT_EQ(limits.scratch_max, 1024 * kMiB);
}

TEST(MergeLimits, ANamedPresetIsTaken) {
  JobSpec spec;
  spec.preset = "small";
  const Limits limits = limits_of(spec);
  EXPECT_EQ(limits.memory_max, 64 * kMiB);
  EXPECT_EQ(limits.cpu_max, 500U);
  EXPECT_EQ(limits.pids_max, 512U);
}

TEST(MergeLimits, AnUnknownPresetIsToldWithThoseThatThereAre) {
  JobSpec spec;
  spec.preset = "smal";
  const InvalidArgument wrong = wrong_of(spec);
  EXPECT_EQ(wrong.path, "/parameters/spec/preset");
  EXPECT_EQ(wrong.expected, "one of: default, small");
}

TEST(MergeLimits, TheRequestWinsOverThePreset) {
  JobSpec spec;
  spec.preset = "small";
  spec.limits.memory_max = 512 * kMiB;
  spec.limits.cpu_max = 0;
  const Limits limits = limits_of(spec);
  EXPECT_EQ(limits.memory_max, 512 * kMiB);
  EXPECT_EQ(limits.cpu_max, 0U);
  EXPECT_EQ(limits.scratch_max, 128 * kMiB);
}

TEST(MergeLimits, ARequestAboveTheCapIsDeniedWithLimitValueAndCap) {
  JobSpec spec;
  spec.limits.memory_max = 2048 * kMiB;
  EXPECT_EQ(denial_of(spec), (Denied{"limits.memory_max", "at most 1G, not 2G"}));
  spec.limits = {};
  spec.limits.wall_time = 0;
  EXPECT_EQ(denial_of(spec), (Denied{"limits.wall_time", "at most 3600s, not infinity"}));
}

// Each row, one above its cap.
TEST(MergeLimits, NoRowGoesPastItsCap) {
  const std::vector<wire::Preset> presets = some_presets();
  for (std::size_t i = 0; i < kLimitRows.size(); ++i) {
    wire::Profile profile = some_profile();
    profile.limits.*kLimitRows[i].member = 10;
    JobSpec spec;
    spec.limits.*protocol::kAskedRows[i].member = 11;
    const LimitsOutcome outcome = merge_limits(spec, profile, presets);
    ASSERT_TRUE(std::holds_alternative<Denied>(outcome)) << kLimitRows[i].name;
    EXPECT_EQ(std::get<Denied>(outcome).rule, "limits." + std::string(kLimitRows[i].name));
    spec.limits.*protocol::kAskedRows[i].member = 10;
    EXPECT_TRUE(std::holds_alternative<Limits>(merge_limits(spec, profile, presets))) << kLimitRows[i].name;
  }
}

TEST(MergeLimits, WallTimeHasTwoNamesAndOneValue) {
  JobSpec spec;
  spec.wall_time = 5;
  EXPECT_EQ(limits_of(spec).wall_time, 5U);
  spec.limits.wall_time = 5;
  EXPECT_EQ(limits_of(spec).wall_time, 5U);
  spec.limits.wall_time = 6;
  EXPECT_EQ(wrong_of(spec).path, "/parameters/spec/wall_time");
}

TEST(MergeLimits, DiskMaxIsRefusedWithTheReason) {
  JobSpec spec;
  spec.limits.disk_max = 1;
  EXPECT_THAT(wrong_of(spec).expected, HasSubstr("scratch_max bounds it"));
  spec.workspace = protocol::Bind{0, "/home/a", protocol::Access::kRw};
  EXPECT_EQ(wrong_of(spec).path, "/parameters/spec/limits/disk_max");
  EXPECT_THAT(wrong_of(spec).expected, HasSubstr("inodes of your own files"));
}

TEST(MergeLimits, WhatMustSeeTheOutputIsRefusedBesideTheClientsOwnDescriptors) {
  JobSpec spec;
  spec.stdio = protocol::Stdio::kInherit;
  EXPECT_EQ(wrong_of(spec).path, "");
  spec.limits.output_max = 100;
  EXPECT_EQ(wrong_of(spec).path, "/parameters/spec/stdio");
  EXPECT_THAT(wrong_of(spec).expected, HasSubstr("beside output_max"));
  spec.limits = {};
  spec.limits.idle_time = 1'000'000;
  EXPECT_THAT(wrong_of(spec).expected, HasSubstr("beside idle_time"));
}

TEST(MergeLimits, AnUpdateKeepsWhatItDoesNotName) {
  const Limits now = limits_of({});
  protocol::AskedLimits asked;
  asked.memory_max = 32 * kMiB;
  const LimitsOutcome outcome = update_limits(asked, now, some_profile());
  ASSERT_TRUE(std::holds_alternative<Limits>(outcome));
  Limits expected = now;
  expected.memory_max = 32 * kMiB;
  EXPECT_EQ(std::get<Limits>(outcome), expected);
}

TEST(MergeLimits, AnUpdateIsOfWhatACgroupHolds) {
  const Limits now = limits_of({});
  protocol::AskedLimits asked;
  EXPECT_TRUE(std::holds_alternative<InvalidArgument>(update_limits(asked, now, some_profile())));
  asked.nofile = 5;
  const LimitsOutcome outcome = update_limits(asked, now, some_profile());
  ASSERT_TRUE(std::holds_alternative<InvalidArgument>(outcome));
  EXPECT_EQ(std::get<InvalidArgument>(outcome).path, "/parameters/limits/nofile");
  asked = {};
  asked.memory_max = 0;
  EXPECT_TRUE(std::holds_alternative<Denied>(update_limits(asked, now, some_profile())));
}

// ---- scratch

wire::JailPlan plan_of(const JobSpec& asked) {
  static const std::vector<wire::Preset> presets = some_presets();
  JobSpec spec = asked;
  spec.argv = {"/bin/true"};
  const Outcome outcome = make_plan(spec, some_profile(), {1000, 1000, "a", 1, "j-a", "r-a", false, presets});
  const auto* plan = std::get_if<wire::JailPlan>(&outcome);
  EXPECT_NE(plan, nullptr);
  return plan == nullptr ? wire::JailPlan{} : *plan;
}
std::uint64_t sum_of(const wire::JailPlan& plan, std::uint64_t wire::Tmpfs::*member) {
  std::uint64_t sum = 0;
  for (const wire::Tmpfs& tmpfs : plan.tmpfs) sum += tmpfs.*member;
  return sum;
}

TEST(Scratch, TheProfilesOwnKeepTheirSizesWhereTheyFit) { EXPECT_EQ(plan_of({}).tmpfs, some_profile().tmpfs); }

TEST(Scratch, SmallerScratchMakesEachSmaller) {
  JobSpec spec;
  spec.preset = "small";
  const wire::JailPlan plan = plan_of(spec);
  ASSERT_EQ(plan.tmpfs.size(), 2U);
  EXPECT_LE(sum_of(plan, &wire::Tmpfs::size), 128 * kMiB);
  EXPECT_GT(sum_of(plan, &wire::Tmpfs::size), 127 * kMiB);
  EXPECT_GT(plan.tmpfs[1].size, 120 * kMiB);
  EXPECT_GT(plan.tmpfs[0].size, 3 * kMiB);
}

TEST(Scratch, AFurtherOneHasItsShare) {
  JobSpec spec;
  spec.preset = "small";
  spec.tmpfs = {{"/work", {}}};
  const wire::JailPlan plan = plan_of(spec);
  ASSERT_EQ(plan.tmpfs.size(), 3U);
  EXPECT_LE(sum_of(plan, &wire::Tmpfs::size), 128 * kMiB);
  EXPECT_GT(plan.tmpfs[2].size, 8 * kMiB);
}

TEST(Scratch, ASizeThatIsAskedForIsKept) {
  JobSpec spec;
  spec.preset = "small";
  spec.tmpfs = {{"/work", 100 * kMiB}};
  const wire::JailPlan plan = plan_of(spec);
  ASSERT_EQ(plan.tmpfs.size(), 3U);
  EXPECT_EQ(plan.tmpfs[2].size, 100 * kMiB);
  EXPECT_LE(sum_of(plan, &wire::Tmpfs::size), 128 * kMiB);
}

TEST(Scratch, MoreThanThereIsIsDenied) {
  static const std::vector<wire::Preset> presets = some_presets();
  JobSpec spec;
  spec.argv = {"/bin/true"};
  spec.preset = "small";
  spec.tmpfs = {{"/work", 129 * kMiB}};
  const Outcome outcome = make_plan(spec, some_profile(), {1000, 1000, "a", 1, "j-a", "r-a", false, presets});
  EXPECT_TRUE(std::holds_alternative<Denied>(outcome));
}

TEST(Scratch, FewerInodesMakeEachHaveFewer) {
  JobSpec spec;
  spec.limits.inodes_max = 1000;
  spec.tmpfs = {{"/work", {}}};
  const wire::JailPlan plan = plan_of(spec);
  EXPECT_LE(sum_of(plan, &wire::Tmpfs::inodes), 1000U);
  for (const wire::Tmpfs& tmpfs : plan.tmpfs) EXPECT_GT(tmpfs.inodes, 10U) << tmpfs.path;
}

}  // namespace
}  // namespace sandboxd::plan
