// cpu_max and io_max: how fast, not how much. Times are compared with the limit's own, never with another machine's.
#include <cerrno>
#include <cstdlib>

#include "base/clock.h"
#include "tests/limits/limits.h"

namespace sandboxd::test {
namespace {

class RateLimit : public Limited {};

TEST_F(RateLimit, OfProcessorsThrottlesChildrenThatComeAndGo) {
  NEEDS_CONTROLLER("cpu");
  start_neighbour(30);
  wire::JailPlan plan = hog({"spin", "6000"});
  plan.limits.cpu_max = 400;
  const Ran ran = run(plan);
  EXPECT_EQ(ran.end.wait_status, 0) << ran.end.out;
  EXPECT_GE(ran.cpu.throttled_periods, 5U);
  EXPECT_GT(ran.cpu.throttled, 0U);
  // A period's quota may be overrun by a tick, and is then taken from the next one's.
  EXPECT_LT(ran.cpu.usage, ran.wall_usec * 5 / 10) << "used " << ran.cpu.usage << " of " << ran.wall_usec;
}

TEST_F(RateLimit, OfTheDiskSlowsAWriterDown) {
  NEEDS_CONTROLLER("io");
  constexpr std::uint64_t kRate = kMiB;
  wire::JailPlan plan = hog({"disk", "4"}, true);
  plan.limits.io_max_wbps = kRate;
  const std::uint64_t begun = monotonic_usec();
  Launched launched = start(plan);
  if (launched.failed && launched.failed->code == ENOTBLK && std::getenv("SANDBOXD_GUEST") == nullptr)
    GTEST_SKIP() << launched.failed->detail;
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  EXPECT_THAT(launched.started->enforced, testing::Contains(wire::Enforced{"io_max_wbps", "cgroup io.max"}));
  const Ran ran = await(plan, std::move(launched), begun);
  EXPECT_EQ(ran.taken.at("disk"), std::pair(4L, std::string("OK"))) << ran.end.out;
  EXPECT_GE(ran.wall_usec, 2'500'000U) << "4 MiB at 1 MiB a second";
}

TEST_F(RateLimit, OfADiskThatIsNotKnownRefusesTheJail) {
  NEEDS_CONTROLLER("io");
  wire::JailPlan plan = hog({"disk", "4"});
  plan.limits.io_max_wbps = kMiB;
  const Launched refused = start(plan);
  ASSERT_TRUE(refused.failed.has_value());
  EXPECT_EQ(refused.failed->step, "limits");
  EXPECT_THAT(refused.failed->detail, testing::HasSubstr("the jail has no workspace, so no disk is known"));
  EXPECT_TRUE(client().remove(plan.number));
}

}  // namespace
}  // namespace sandboxd::test
