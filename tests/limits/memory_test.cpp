// memory_max: everything that a jail's processes make the kernel keep, whoever of them it was.
#include <cerrno>

#include <unistd.h>

#include "tests/limits/limits.h"

namespace sandboxd::test {
namespace {

class MemoryLimit : public Limited {
 protected:
  wire::JailPlan limited(std::vector<std::string> words, bool workspace = false) {
    wire::JailPlan plan = hog(std::move(words), workspace);
    plan.limits.memory_max = 32 * kMiB;
    return plan;
  }
  // The kernel has killed this jail, all of it, for its memory.
  static void expect_oom(const Ran& ran) {
    EXPECT_TRUE(ran.killed) << ran.end.out;
    EXPECT_TRUE(ran.taken.contains("begin")) << ran.end.out;
    EXPECT_GE(ran.memory.oom_kill, 1U);
    EXPECT_EQ(ran.memory.oom_group_kill, 1U);
    if (ran.memory_peak != 0) {
      EXPECT_LE(ran.memory_peak, 32 * kMiB);
    }
  }
};

TEST_F(MemoryLimit, E44_KillsTheJailThatTakesAnonymousMemory) {
  NEEDS_CONTROLLER("memory");
  start_neighbour(30);
  const Ran ran = run(limited({"anonymous", "256"}));
  expect_oom(ran);
  EXPECT_FALSE(ran.taken.contains("anonymous")) << ran.end.out;
}

TEST_F(MemoryLimit, E44_KillsTheJailWhoseProcessesTakeItTogether) {
  NEEDS_CONTROLLER("memory");
  start_neighbour(30);
  const Ran ran = run(limited({"processes", "256"}));
  expect_oom(ran);
  EXPECT_FALSE(ran.taken.contains("processes")) << ran.end.out;
}

TEST_F(MemoryLimit, E44_KillsTheJailThatFillsItsTmpfs) {
  NEEDS_CONTROLLER("memory");
  start_neighbour(30);
  const Ran ran = run(limited({"tmpfs", "256"}));
  expect_oom(ran);
  EXPECT_FALSE(ran.taken.contains("file")) << ran.end.out;
}

// What can be written back or dropped is: nobody is killed, and the limit holds.
TEST_F(MemoryLimit, E44_HoldsThePageCacheOfFilesWithoutKilling) {
  NEEDS_CONTROLLER("memory");
  const Ran ran = run(limited({"cache", "48"}, true));
  EXPECT_EQ(ran.end.wait_status, 0) << ran.end.out;
  EXPECT_EQ(ran.taken.at("file"), std::pair(48L, std::string("OK")));
  EXPECT_GE(ran.memory.max, 1U) << "the limit was never reached";
  EXPECT_EQ(ran.memory.oom_kill, 0U);
  if (ran.memory_peak != 0) {
    EXPECT_LE(ran.memory_peak, 32 * kMiB);
  }
}

TEST_F(MemoryLimit, AboveHighSlowsDownAndDoesntKill) {
  NEEDS_CONTROLLER("memory");
  wire::JailPlan plan = hog({"cache", "24"}, true);
  plan.limits.memory_high = 8 * kMiB;
  const Ran ran = run(plan);
  EXPECT_EQ(ran.end.wait_status, 0) << ran.end.out;
  EXPECT_GE(ran.memory.high, 1U);
}

TEST_F(MemoryLimit, IsWhatInspectReadsFromTheKernel) {
  NEEDS_CONTROLLER("memory");
  wire::JailPlan plan = limited({"beat", "100000"});
  plan.limits.cpu_max = 1500;
  plan.limits.cpu_weight = 50;
  const Launched launched = start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  const wire::Message answer = client().verb(wire::LauncherMessage::kInspect, plan.number);
  const auto facts = wire::body_of<wire::Readback>(answer);
  ASSERT_TRUE(facts.ok());
  using testing::Contains;
  for (const auto* list : {&facts->facts, &launched.started->readback.facts}) {
    EXPECT_THAT(*list, Contains(wire::Fact{"cgroup.memory.max", std::to_string(32 * kMiB)}));
    EXPECT_THAT(*list, Contains(wire::Fact{"cgroup.memory.oom.group", "1"}));
    EXPECT_THAT(*list, Contains(wire::Fact{"cgroup.memory.swap.max", "0"}));
    EXPECT_THAT(*list, Contains(wire::Fact{"cgroup.cpu.max", "150000 100000"}));
    EXPECT_THAT(*list, Contains(wire::Fact{"cgroup.cpu.weight", "50"}));
    EXPECT_THAT(*list, Contains(wire::Fact{"cgroup.pids.max", "513"}));
  }
  EXPECT_THAT(launched.started->enforced, Contains(wire::Enforced{"memory_max", "cgroup memory.max"}));
  EXPECT_THAT(launched.started->enforced, Contains(wire::Enforced{"pids_max", "cgroup pids.max"}));
  EXPECT_THAT(launched.started->enforced, Contains(wire::Enforced{"scratch_max", "tmpfs size"}));
  EXPECT_THAT(launched.started->unenforced, testing::IsEmpty());
  EXPECT_TRUE(client().remove(plan.number));
}

TEST_F(MemoryLimit, TooSmallForTheSetUpIsSaidSo) {
  NEEDS_CONTROLLER("memory");
  wire::JailPlan plan = limited({"beat", "1"});
  plan.limits.memory_max = 64 * 1024;
  const Launched refused = start(plan);
  ASSERT_TRUE(refused.failed.has_value());
  EXPECT_EQ(refused.failed->code, ENOMEM) << refused.failed->step << ": " << refused.failed->detail;
  EXPECT_THAT(refused.failed->detail, testing::HasSubstr("memory_max is 65536"));
  EXPECT_TRUE(client().remove(plan.number));
}

// On a host that lacks the controller: the other half of what NEEDS_CONTROLLER asks for.
TEST(MemoryLimitWithoutAController, RefusesTheJailAndSaysWhatToDo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  if (has_controller("memory")) GTEST_SKIP() << "this host can hold it";
  LauncherStack stack({.config = R"("unenforced_limits": [])"});
  const auto client = stack.connect();
  ASSERT_NE(client, nullptr) << stack.log();
  wire::JailPlan plan = client->plan(1);
  plan.limits.memory_max = kMiB;
  const Launched refused = client->start(plan);
  ASSERT_TRUE(refused.failed.has_value());
  EXPECT_EQ(refused.failed->step, "limits");
  EXPECT_FALSE(refused.failed->denied) << "no rule forbids it";
  EXPECT_THAT(refused.failed->detail, testing::HasSubstr("hold 'memory_max': the cgroup controller 'memory'"));
  EXPECT_THAT(refused.failed->detail, testing::HasSubstr("list 'memory_max' in unenforced_limits"));
  EXPECT_TRUE(client->remove(1));
}

TEST(MemoryLimitWithoutAController, IsLeftOutAndToldWhereTheConfigurationListsIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  if (has_controller("memory")) GTEST_SKIP() << "this host can hold it";
  LauncherStack stack({.config = R"("unenforced_limits": ["memory_max", "memory_swap_max"])"});
  const auto client = stack.connect();
  ASSERT_NE(client, nullptr) << stack.log();
  wire::JailPlan plan = client->plan(1);
  plan.limits.memory_max = kMiB;
  Launched launched = client->start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  EXPECT_THAT(launched.started->unenforced, testing::Contains("memory_max"));
  EXPECT_THAT(launched.started->enforced, testing::Contains(wire::Enforced{"pids_max", "RLIMIT_NPROC"}));
  EXPECT_EQ(await_job(launched).wait_status, 0);
  EXPECT_TRUE(client->remove(1));
  plan.number = 2;
  plan.limits.cpu_max = 500;
  const Launched refused = client->start(plan);
  ASSERT_TRUE(refused.failed.has_value()) << "one that isn't listed is refused all the same";
  EXPECT_THAT(refused.failed->detail, testing::HasSubstr("hold 'cpu_max'"));
  EXPECT_TRUE(client->remove(2));
}

}  // namespace
}  // namespace sandboxd::test
