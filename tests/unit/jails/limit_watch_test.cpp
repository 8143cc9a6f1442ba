// What a jail's limits do to it, told from files that the test writes in the kernel's words, on a real event loop.
#include "daemon/jails/limit_watch.h"

#include <map>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"

namespace sandboxd::jails {
namespace {

using testing::HasSubstr;
using wire::StartedFd;

constexpr std::uint64_t kMiB = 1U << 20;

class LimitWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GE(sd_event_new(&loop_), 0);
    fds_.resize(wire::kStartedFds);
  }
  void TearDown() override {
    watch_.finish();
    sd_event_unref(loop_);
  }
  void file(StartedFd which, const std::string& text) {
    int& fd = files_[which];
    if (fd == 0) {
      fd = ::memfd_create("cgroup file", MFD_CLOEXEC);
      fds_[static_cast<std::size_t>(which)].reset(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY));
    }
    ASSERT_EQ(::ftruncate(fd, 0), 0);
    ASSERT_EQ(::pwrite(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  void start(const Limits& limits, std::vector<LimitWatch::Scratch> scratch = {}) {
    meter_.take(fds_);
    const Status started = watch_.start(
        loop_, meter_, limits,
        [this](const std::string& kind, const std::string& detail) { told_.push_back(kind + " " + detail); });
    ASSERT_TRUE(started.ok()) << started.error().message();
    if (!scratch.empty()) watch_.watch_scratch(std::move(scratch), [this] { ++asked_; });
  }
  void run_for(std::uint64_t usec) {
    const std::uint64_t deadline = monotonic_usec() + usec;
    while (monotonic_usec() < deadline) sd_event_run(loop_, 20'000);
  }
  template <class Holds> bool until(Holds holds) {
    const std::uint64_t deadline = monotonic_usec() + 10'000'000;
    while (!holds() && monotonic_usec() < deadline) sd_event_run(loop_, 20'000);
    return holds();
  }

  sd_event* loop_ = nullptr;
  std::map<StartedFd, int> files_{};
  std::vector<UniqueFd> fds_{};
  Meter meter_;
  LimitWatch watch_;
  std::vector<std::string> told_{};
  int asked_ = 0;
};

TEST_F(LimitWatchTest, MemoryNearItsLimitIsToldOnce) {
  Limits limits;
  limits.memory_max = 100 * kMiB;
  file(StartedFd::kMemoryCurrent, std::to_string(50 * kMiB));
  start(limits);
  run_for(1'200'000);
  EXPECT_TRUE(told_.empty());
  file(StartedFd::kMemoryCurrent, std::to_string(95 * kMiB));
  ASSERT_TRUE(until([&] { return !told_.empty(); }));
  EXPECT_THAT(told_[0], testing::AllOf(HasSubstr("memory_pressure"), HasSubstr("99614720")));
  run_for(1'500'000);
  EXPECT_EQ(told_.size(), 1U);
}

TEST_F(LimitWatchTest, ThrottlingIsTold) {
  Limits limits;
  limits.cpu_max = 500'000;
  const std::string stat = "usage_usec 10\nuser_usec 5\nsystem_usec 5\nnr_periods 9\nnr_throttled ";
  file(StartedFd::kCpuStat, stat + "0\nthrottled_usec 0\n");
  start(limits);
  file(StartedFd::kCpuStat, stat + "7\nthrottled_usec 4000\n");
  ASSERT_TRUE(until([&] { return !told_.empty(); }));
  EXPECT_THAT(told_[0], testing::AllOf(HasSubstr("throttled"), HasSubstr(R"("periods":7)"), HasSubstr("4000")));
}

TEST_F(LimitWatchTest, AFullTmpfsIsAskedForWhenMemoryHasChangedAndToldOnce) {
  file(StartedFd::kMemoryCurrent, "0");
  start({}, {{"/tmp", 4096, 10}, {"/home", 8192, 20}});
  run_for(1'200'000);
  EXPECT_EQ(asked_, 0) << "an idle jail is left alone";
  file(StartedFd::kMemoryCurrent, std::to_string(kMiB));
  ASSERT_TRUE(until([&] { return asked_ == 1; }));
  EXPECT_TRUE(watch_.on_full(2));
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_THAT(told_[0], testing::AllOf(HasSubstr("disk_full"), HasSubstr("/home"), HasSubstr("8192")));
  file(StartedFd::kMemoryCurrent, std::to_string(2 * kMiB));
  ASSERT_TRUE(until([&] { return asked_ == 2; }));
  EXPECT_TRUE(watch_.on_full(2));
  EXPECT_EQ(told_.size(), 1U) << "it lasts";
}

TEST_F(LimitWatchTest, AnAnswerThatNobodyAskedForOrOfNoTmpfsIsRefused) {
  file(StartedFd::kMemoryCurrent, "0");
  start({}, {{"/tmp", 4096, 10}});
  EXPECT_FALSE(watch_.on_full(0));
  file(StartedFd::kMemoryCurrent, std::to_string(kMiB));
  ASSERT_TRUE(until([&] { return asked_ == 1; }));
  EXPECT_FALSE(watch_.on_full(2)) << "there is one tmpfs";
}

TEST_F(LimitWatchTest, WithoutTheControllerNothingIsLookedAt) {
  Limits limits;
  limits.memory_max = kMiB;
  start(limits, {{"/tmp", 4096, 10}});
  run_for(1'200'000);
  EXPECT_EQ(asked_, 0);
  EXPECT_TRUE(told_.empty());
}

}  // namespace
}  // namespace sandboxd::jails
