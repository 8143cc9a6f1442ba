// The Landlock rules and limits that follow from a plan.
#include "daemon/launcher/init_plan_builder.h"

#include <algorithm>

#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sys/resource.h>

namespace sandboxd::launcher {
namespace {

wire::JailPlan plan_with_mounts() {
  wire::JailPlan plan;
  plan.tmpfs = {{"/tmp", 4096, 10, 01777}};
  plan.binds = {{0, "/work", wire::Access::kRw, true}, {1, "/data", wire::Access::kRo, false}};
  plan.limits.nofile = 64;
  plan.limits.pids_max = 8;
  return plan;
}

std::uint64_t granted(const wire::InitPlan& init, const std::string& path) {
  const auto row = std::ranges::find(init.landlock, path, &wire::LandlockRow::path);
  return row == init.landlock.end() ? 0 : row->access;
}

TEST(InitPlanBuilder, GrantsWritesOnlyWhereThePlanDoes) {
  const wire::InitPlan init = make_init_plan(plan_with_mounts(), {}, {7});
  EXPECT_NE(granted(init, "/work") & LANDLOCK_ACCESS_FS_WRITE_FILE, 0U);
  EXPECT_NE(granted(init, "/tmp") & LANDLOCK_ACCESS_FS_MAKE_REG, 0U);
  EXPECT_EQ(granted(init, "/data"), 0U);
  EXPECT_EQ(granted(init, "/") & LANDLOCK_ACCESS_FS_WRITE_FILE, 0U);
  EXPECT_NE(granted(init, "/") & LANDLOCK_ACCESS_FS_READ_FILE, 0U);
}

TEST(InitPlanBuilder, GrantsDevicesNowhereAndHandlesThem) {
  const std::uint64_t devices = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
  const wire::InitPlan init = make_init_plan(plan_with_mounts(), {}, {7});
  EXPECT_EQ(init.landlock_fs & devices, devices);
  for (const wire::LandlockRow& row : init.landlock) EXPECT_EQ(row.access & devices, 0U) << row.path;
}

TEST(InitPlanBuilder, AsksOnlyForWhatTheKernelKnows) {
  const wire::InitPlan old = make_init_plan(plan_with_mounts(), {}, {2});
  EXPECT_EQ(old.landlock_fs >> 14, 0U) << "ABI 2 has rights 0 to 13";
  EXPECT_EQ(old.landlock_scoped, 0U);
  for (const wire::LandlockRow& row : old.landlock) EXPECT_EQ(row.access >> 14, 0U) << row.path;
  EXPECT_NE(make_init_plan(plan_with_mounts(), {}, {6}).landlock_scoped, 0U);
}

TEST(InitPlanBuilder, RunsProgramsOnlyWhereTheProfileSays) {
  wire::Profile profile;
  profile.landlock.execute = {true, {"/usr", "/opt/tool"}};
  const wire::InitPlan init = make_init_plan(plan_with_mounts(), profile, {7});
  EXPECT_EQ(granted(init, "/") & LANDLOCK_ACCESS_FS_EXECUTE, 0U);
  EXPECT_NE(granted(init, "/") & LANDLOCK_ACCESS_FS_READ_FILE, 0U);
  EXPECT_EQ(granted(init, "/opt/tool"), std::uint64_t{LANDLOCK_ACCESS_FS_EXECUTE});
  EXPECT_EQ(granted(init, "/work") & LANDLOCK_ACCESS_FS_EXECUTE, 0U);
  EXPECT_NE(granted(make_init_plan(plan_with_mounts(), {}, {7}), "/") & LANDLOCK_ACCESS_FS_EXECUTE, 0U);
}

TEST(InitPlanBuilder, LimitsPortsFromAbi4On) {
  wire::Profile profile;
  profile.landlock.limits_connect = true;
  profile.landlock.connect = {443};
  profile.landlock.limits_bind = true;
  const wire::InitPlan init = make_init_plan(plan_with_mounts(), profile, {4});
  EXPECT_EQ(init.landlock_net, 3U);
  ASSERT_EQ(init.landlock_ports.size(), 1U);
  EXPECT_EQ(init.landlock_ports[0].access, 2U);
  EXPECT_EQ(init.landlock_ports[0].port, 443U);
  EXPECT_EQ(make_init_plan(plan_with_mounts(), profile, {3}).landlock_net, 0U);
  EXPECT_EQ(make_init_plan(plan_with_mounts(), {}, {7}).landlock_net, 0U);
}

TEST(InitPlanBuilder, TurnsLimitsIntoRlimitsWithBothSidesEqual) {
  const wire::InitPlan init = make_init_plan(plan_with_mounts(), {}, {7});
  const auto nofile =
      std::ranges::find(init.rlimits, static_cast<std::uint32_t>(RLIMIT_NOFILE), &wire::RlimitRow::resource);
  ASSERT_NE(nofile, init.rlimits.end());
  EXPECT_EQ(nofile->soft, 64U);
  EXPECT_EQ(nofile->hard, 64U);
}

}  // namespace
}  // namespace sandboxd::launcher
