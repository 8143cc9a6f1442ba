// The clocks of processor time and idleness, on a real event loop with processor time that the test makes up.
#include "daemon/jails/clocks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "tests/unit/jails/fakes.h"

namespace sandboxd::jails {
namespace {

using protocol::Verdict;

class ClocksTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_GE(sd_event_new(&loop_), 0); }
  void TearDown() override {
    clocks_.stop();
    sd_event_unref(loop_);
  }
  void start(std::uint64_t cpu_time, std::uint64_t idle_time) {
    Limits limits;
    limits.cpu_time = cpu_time;
    limits.idle_time = idle_time;
    const Status started = clocks_.start(
        loop_, limits,
        [this]() -> std::optional<std::uint64_t> {
          ++looks_;
          return usage_();
        },
        [this](EndCause cause) {
          ended_ = std::move(cause);
          ended_at_ = monotonic_usec();
        });
    ASSERT_TRUE(started.ok()) << started.error().message();
  }
  // True when it has ended before `usec` are over.
  bool ends_within(std::uint64_t usec) {
    const std::uint64_t deadline = monotonic_usec() + usec;
    while (!ended_ && monotonic_usec() < deadline) sd_event_run(loop_, 5'000);
    return ended_.has_value();
  }

  sd_event* loop_ = nullptr;
  Clocks clocks_;
  std::function<std::optional<std::uint64_t>()> usage_ = [] { return std::uint64_t{0}; };
  std::size_t looks_ = 0;
  std::optional<EndCause> ended_;
  std::uint64_t ended_at_ = 0;
};

TEST_F(ClocksTest, NothingIsLookedAtWithoutALimit) {
  start(0, 0);
  EXPECT_FALSE(ends_within(50'000));
  EXPECT_EQ(looks_, 0U);
}

TEST_F(ClocksTest, ProcessorTimeEndsTheJailWithItsName) {
  std::uint64_t usage = 1'000'000;  // its set-up's is its own affair
  usage_ = [&usage] { return usage += 20'000; };
  start(100'000, 0);
  ASSERT_TRUE(ends_within(20'000'000));
  EXPECT_EQ(ended_->verdict, Verdict::kTimeoutCpu);
  EXPECT_EQ(ended_->detail, "cpu_time 100ms was reached");
  EXPECT_EQ(looks_, 6U);
}

// On every processor all the time, which is the fastest that a jail can be.
TEST_F(ClocksTest, ProcessorTimeIsNotSeenMoreThanTheSlackTooLate) {
  const auto processors = static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  const std::uint64_t begun = monotonic_usec();
  usage_ = [&] { return (monotonic_usec() - begun) * processors; };
  start(400'000, 0);
  ASSERT_TRUE(ends_within(20'000'000));
  const std::uint64_t used = (ended_at_ - begun) * processors;
  EXPECT_GE(used, 400'000U);
  EXPECT_LT(looks_, 40U) << "it was looked at more often than its rest asks for";
}

TEST_F(ClocksTest, AJailThatDoesNothingIsHardlyLookedAt) {
  start(60'000'000, 0);
  EXPECT_FALSE(ends_within(300'000));
  EXPECT_LE(looks_, 2U);
}

TEST_F(ClocksTest, IdleTimeEndsAJailThatDoesNothing) {
  const std::uint64_t begun = monotonic_usec();
  start(0, 200'000);
  ASSERT_TRUE(ends_within(20'000'000));
  EXPECT_EQ(ended_->verdict, Verdict::kTimeoutIdle);
  EXPECT_EQ(ended_->detail, "idle_time 200ms was reached");
  EXPECT_GE(ended_at_ - begun, 200'000U);
}

TEST_F(ClocksTest, ProcessorTimeIsNoIdleness) {
  std::uint64_t usage = 0;
  usage_ = [&usage] { return ++usage; };
  start(0, 100'000);
  EXPECT_FALSE(ends_within(400'000));
}

TEST_F(ClocksTest, OutputIsNoIdleness) {
  start(0, 3'000'000);
  EXPECT_FALSE(ends_within(300'000));  // far from its end, for machines that stand still now and then
  clocks_.saw_output();
  const std::uint64_t said = monotonic_usec();
  ASSERT_TRUE(ends_within(20'000'000));
  EXPECT_GE(ended_at_ - said, 3'000'000U);
}

TEST_F(ClocksTest, FrozenTimeIsNoIdleness) {
  start(0, 300'000);
  clocks_.freeze(true);
  const std::size_t looks = looks_;
  EXPECT_FALSE(ends_within(600'000));
  EXPECT_EQ(looks_, looks) << "a frozen jail was looked at";
  clocks_.freeze(false);
  const std::uint64_t thawed = monotonic_usec();
  ASSERT_TRUE(ends_within(20'000'000));
  EXPECT_GE(ended_at_ - thawed, 200'000U);
}

TEST_F(ClocksTest, AStatisticThatIsLostEndsTheJail) {
  for (const auto& [cpu_time, idle_time] : {std::pair{10'000'000, 0}, std::pair{0, 1'000'000}}) {
    bool lost = false;
    usage_ = [&lost, used = std::uint64_t{0}]() mutable -> std::optional<std::uint64_t> {
      if (lost) return std::nullopt;
      return ++used;
    };
    ended_.reset();
    start(static_cast<std::uint64_t>(cpu_time), static_cast<std::uint64_t>(idle_time));
    lost = true;
    clocks_.freeze(true);
    clocks_.freeze(false);
    ASSERT_TRUE(ended_);
    EXPECT_EQ(ended_->verdict, Verdict::kKilled);
    EXPECT_THAT(ended_->detail, testing::HasSubstr("cpu.stat"));
  }
}

TEST_F(ClocksTest, WithoutAStatisticThereIsNoClock) {
  usage_ = [] { return std::nullopt; };
  Limits limits;
  limits.cpu_time = 1;
  const Status started = clocks_.start(loop_, limits, usage_, [](const EndCause&) {});
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.error().message(), testing::HasSubstr("cpu.stat"));
}

}  // namespace
}  // namespace sandboxd::jails
