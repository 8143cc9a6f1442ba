// pids_max: processes and threads, however they are made. By the cgroup where it counts them, else by the jail's own id.
#include "tests/limits/limits.h"

namespace sandboxd::test {
namespace {

class ProcessLimit : public Limited {
 protected:
  wire::JailPlan limited(std::vector<std::string> words) {
    wire::JailPlan plan = hog(std::move(words));
    plan.limits.pids_max = 24;
    return plan;
  }
  // The first process of the job is one of the 24.
  static void expect_all_but_one(const Ran& ran, const std::string& thing) {
    ASSERT_TRUE(ran.taken.contains(thing)) << ran.end.out;
    EXPECT_EQ(ran.taken.at(thing), std::pair(23L, std::string("EAGAIN")));
    if (host_has("pids")) {
      EXPECT_GE(ran.refused_forks, 1U);
    }
  }
};

TEST_F(ProcessLimit, E44_RefusesForksBeyondIt) {
  start_neighbour(20);
  expect_all_but_one(run(limited({"forks", "1000"})), "forks");
}

TEST_F(ProcessLimit, E44_RefusesVforksBeyondIt) {
  start_neighbour(20);
  expect_all_but_one(run(limited({"vforks"})), "vforks");
}

TEST_F(ProcessLimit, E44_RefusesThreadsBeyondIt) {
  start_neighbour(20);
  expect_all_but_one(run(limited({"threads", "1000"})), "threads");
}

TEST_F(ProcessLimit, E44_HoldsAForkBombThatIsGoneWithItsJob) {
  start_neighbour(60);
  wire::JailPlan plan = limited({"bomb", "3000"});
  const Ran ran = run(plan);
  EXPECT_EQ(ran.end.wait_status, 0) << ran.end.failed_step;
  if (host_has("pids")) {
    EXPECT_GE(ran.refused_forks, 1U);
  }
}

TEST_F(ProcessLimit, E44_IsCountedByTheCgroupWithRoomForOurOwnProcess) {
  NEEDS_CONTROLLER("pids");
  wire::JailPlan plan = limited({"beat", "100000"});
  Launched launched = start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  EXPECT_THAT(launched.started->readback.facts, testing::Contains(wire::Fact{"cgroup.pids.max", "25"}));
  const auto now = cgroups::parse_amount(read(launched, wire::StartedFd::kPidsCurrent));
  ASSERT_TRUE(now.ok());
  EXPECT_GE(*now, 2U) << "jail-init and the job";
  EXPECT_TRUE(client().remove(plan.number));
}

}  // namespace
}  // namespace sandboxd::test
