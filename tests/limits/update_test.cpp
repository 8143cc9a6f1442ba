// Update: the limits of a live jail, within the profile that it was started with, on record first.
#include "tests/limits/limits.h"

namespace sandboxd::test {
namespace {

class LimitUpdate : public Limited {
 protected:
  std::optional<wire::Message> update(std::uint32_t number, const Limits& limits, const std::string& request = "r-1") {
    const wire::UpdateRequest body{number, request, limits};
    constexpr std::uint64_t kId = 1U << 20;
    EXPECT_TRUE(wire::send(client().fd(), wire::LauncherMessage::kUpdate, kId + number, body).ok());
    return client().answer(kId + number);
  }
  static std::string failure(const std::optional<wire::Message>& answer) {
    if (!answer || answer->type != static_cast<std::uint16_t>(wire::LauncherMessage::kFailed)) return "it did not fail";
    const auto failed = wire::body_of<wire::Failed>(*answer);
    return failed.ok() ? failed->step + ": " + failed->detail : failed.error().message();
  }
  Launched start_beating(wire::JailPlan& plan) {
    plan = hog({"beat", "100000"});
    Launched launched = start(plan);
    EXPECT_TRUE(launched.started.has_value()) << launched.failed->detail;
    return launched;
  }
};

TEST_F(LimitUpdate, IsInForceAndReadBack) {
  NEEDS_CONTROLLER("memory");
  wire::JailPlan plan;
  const Launched launched = start_beating(plan);
  Limits limits = plan.limits;
  limits.memory_max = 128 * kMiB;
  limits.pids_max = 20;
  limits.cpu_max = 500;
  const auto answer = update(plan.number, limits);
  ASSERT_TRUE(answer && answer->type == static_cast<std::uint16_t>(wire::LauncherMessage::kUpdated)) << failure(answer);
  const auto facts = wire::body_of<wire::Readback>(*answer);
  ASSERT_TRUE(facts.ok());
  EXPECT_THAT(facts->facts, testing::Contains(wire::Fact{"cgroup.memory.max", std::to_string(128 * kMiB)}));
  EXPECT_THAT(facts->facts, testing::Contains(wire::Fact{"cgroup.pids.max", "21"}));
  EXPECT_THAT(facts->facts, testing::Contains(wire::Fact{"cgroup.cpu.max", "50000 100000"}));
  // And back: none is a value too.
  limits.memory_max = limits.cpu_max = 0;
  const auto again = update(plan.number, limits);
  ASSERT_TRUE(again.has_value());
  const auto wider = wire::body_of<wire::Readback>(*again);
  ASSERT_TRUE(wider.ok()) << failure(again);
  for (const wire::Fact& fact : wider->facts) EXPECT_NE(fact.name, "cgroup.memory.max") << fact.value;
  EXPECT_TRUE(client().remove(plan.number));
}

TEST_F(LimitUpdate, BelowWhatIsInUseEndsTheJail) {
  NEEDS_CONTROLLER("memory");
  wire::JailPlan plan = hog({"hold", "64"});
  Launched launched = start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  const auto used = [&] { return cgroups::parse_amount(read(launched, wire::StartedFd::kMemoryCurrent)); };
  ASSERT_TRUE(eventually([&] { return used().ok() && *used() > 32 * kMiB; }, 30'000));
  Limits limits = plan.limits;
  limits.memory_max = 8 * kMiB;
  ASSERT_TRUE(update(plan.number, limits).has_value());
  const auto killed = [&] {
    const auto events = cgroups::parse_memory_events(read(launched, wire::StartedFd::kMemoryEvents));
    return events.ok() && events->oom_kill > 0;
  };
  EXPECT_TRUE(eventually(killed, 30'000));
  EXPECT_TRUE(client().remove(plan.number));
}

TEST_F(LimitUpdate, BeyondTheProfileIsRefused) {
  wire::JailPlan plan;
  const Launched launched = start_beating(plan);
  Limits limits = plan.limits;
  limits.pids_max = 100'000;
  const auto answer = update(plan.number, limits);
  EXPECT_THAT(failure(answer), testing::HasSubstr("narrow: limits.pids_max"));
  limits.pids_max = 0;
  EXPECT_THAT(failure(update(plan.number, limits)), testing::HasSubstr("narrow: "));
  EXPECT_TRUE(client().remove(plan.number));
}

TEST_F(LimitUpdate, WithoutAnIntentOnRecordIsRefused) {
  wire::JailPlan plan;
  const Launched launched = start_beating(plan);
  EXPECT_THAT(failure(update(plan.number, plan.limits, "r-unknown")), testing::HasSubstr("audit: "));
  EXPECT_THAT(failure(update(plan.number, plan.limits, "")), testing::HasSubstr("audit: "));
  EXPECT_TRUE(client().remove(plan.number));
}

TEST_F(LimitUpdate, OfNoJailIsRefused) {
  EXPECT_THAT(failure(update(60'000, Limits{})), testing::HasSubstr("not one of this daemon's"));
  EXPECT_THAT(failure(update(900, Limits{})), testing::HasSubstr("jail-900"));
}

}  // namespace
}  // namespace sandboxd::test
