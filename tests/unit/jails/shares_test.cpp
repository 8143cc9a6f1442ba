// What one user may take of what all share, and that others find the rest.
#include "daemon/jails/shares.h"

#include <gtest/gtest.h>

#include "daemon/jails/jail.h"
#include "tests/unit/jails/fixture.h"

namespace sandboxd::jails {
namespace {

using protocol::JobSpec;
using test::Jails;
using test::Seen;

TEST(Shares, LeaveAQuarterOfTheRestToWhoeverComesNext) {
  constexpr std::uint64_t kAll = 4000;
  std::uint64_t taken = 0;
  for (int user = 0; user < 5; ++user) {
    const std::uint64_t share = share_of(kAll, taken);
    EXPECT_GT(share, 0U) << user;
    taken += share;
    EXPECT_LT(taken, kAll);
  }
  EXPECT_EQ(share_of(10, 11), 0U);
}

TEST(Shares, OfTerminalsGetSmallerAndStayWithinTheUsers) {
  constexpr std::uint64_t kAll = 2304, kMost = 1024;
  Holding held;
  std::uint64_t before = 16;
  int jails = 0;
  for (; jails < 1000; ++jails) {
    const std::uint64_t given = terminals_for(16, held, kAll, kMost);
    EXPECT_LE(given, before) << "none of the later jails gets more";
    if (given == 0) break;
    before = given;
    held.own += given;
  }
  EXPECT_EQ(held.own, kMost);
  EXPECT_GT(jails, 100) << "jails that have some";
  EXPECT_EQ(terminals_for(16, {0, kMost}, kAll, kMost), 16U) << "of somebody else";
  EXPECT_EQ(terminals_for(0, {}, kAll, kMost), 0U) << "a profile without";
}

std::uint64_t most_of(const std::variant<std::string, Failure>& result) {
  const auto* failure = std::get_if<Failure>(&result);
  const auto* reached = failure != nullptr ? std::get_if<LimitReached>(failure) : nullptr;
  return reached != nullptr && reached->limit == "user_descriptors" ? reached->most : 0;
}

TEST_F(Jails, OfOneUserLeaveDescriptorsToOthers) {
  descriptors_ = 4 * kJailDescriptors;
  launcher_->profiles.config.user_jails = 100;
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  open();
  Seen a, b, c, d;
  running(a);
  running(b);
  const auto [third, fake] = running(c);
  EXPECT_EQ(most_of(supervisor_->run(alice(), spec(), {})), 3 * kJailDescriptors);
  EXPECT_EQ(most_of(supervisor_->run(bob(), spec(), {})), 15U) << "three quarters of one jail's";
  // What has ended is given back.
  ASSERT_FALSE(supervisor_->kill(alice(), third, 9, 0).has_value());
  fake->die();
  ASSERT_TRUE(until([&] { return c.ended() && state(third) == "ended"; }));
  running(d);
}

TEST_F(Jails, OfOneUserLeaveRoomForAnothersJail) {
  descriptors_ = 8 * kJailDescriptors;
  launcher_->profiles.config.user_jails = 100;
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  open();
  std::vector<std::unique_ptr<Seen>> all;
  for (int i = 0; i < 6; ++i) running(*all.emplace_back(std::make_unique<Seen>()));
  EXPECT_NE(most_of(supervisor_->run(alice(), spec(), {})), 0U);
  Seen other;
  running(other, spec(), bob());
  EXPECT_EQ(other.started, 1);
}

TEST_F(Jails, CountTheJobsOfASessionAsDescriptors) {
  descriptors_ = (kJailDescriptors + 2 * kJobDescriptors) * 4 / 3 + 4;
  open();
  auto [id, fake] = session();
  Seen a, b;
  executing(a, id, *fake);
  executing(b, id, *fake);
  const auto result = supervisor_->exec(alice(), id, command(), {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<LimitReached>(std::get<1>(result)).limit, "user_descriptors");
}

TEST_F(Jails, OfOneUserLeaveTerminalsToOthers) {
  terminals_ = 100;
  launcher_->profiles.config.user_terminals = 2;
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  open();
  Seen a, b, c;
  running(a);
  EXPECT_EQ(launcher_->last_plan.terminals, 1U) << "a sixteenth of what is left, one at least";
  running(b);
  JobSpec interactive = spec();
  interactive.tty = protocol::WindowSize{24, 80};
  const auto refused = supervisor_->run(alice(), interactive, {});
  ASSERT_EQ(refused.index(), 1U);
  EXPECT_EQ(std::get<LimitReached>(std::get<1>(refused)).limit, "user_terminals");
  EXPECT_EQ(std::get<LimitReached>(std::get<1>(refused)).most, 2U);
  running(c);
  EXPECT_EQ(launcher_->last_plan.terminals, 0U) << "what needs none runs on";
}

TEST_F(Jails, WithoutTerminalsRefuseAJobThatAsksForOne) {
  terminals_ = 100;
  launcher_->profiles.profiles[0].terminals = 0;
  launcher_->profiles.profiles[0].hash = wire::hash_of(launcher_->profiles.profiles[0]);
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  open();
  auto [id, fake] = session();
  protocol::ExecSpec interactive = command(protocol::Stdio::kRelay);
  interactive.tty = protocol::WindowSize{24, 80};
  const auto refused = supervisor_->exec(alice(), id, interactive, {});
  ASSERT_EQ(refused.index(), 1U);
  EXPECT_EQ(std::get<LimitReached>(std::get<1>(refused)).limit, "terminals");
}

}  // namespace
}  // namespace sandboxd::jails
