// The statistics of cgroups, as text.
#include "cgroups/usage.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/unique_fd.h"

#include <sys/mman.h>
#include <unistd.h>

namespace sandboxd::cgroups {
namespace {

TEST(CpuStat, IsReadWithAndWithoutTheController) {
  const auto bare = parse_cpu_stat("usage_usec 30\nuser_usec 10\nsystem_usec 20\ncore_sched.force_idle_usec 0\n");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->usage, 30U);
  EXPECT_EQ(bare->user, 10U);
  EXPECT_EQ(bare->system, 20U);
  EXPECT_EQ(bare->throttled_periods, 0U);
  const auto full = parse_cpu_stat("usage_usec 1\nnr_periods 7\nnr_throttled 5\nthrottled_usec 40000\n");
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->periods, 7U);
  EXPECT_EQ(full->throttled_periods, 5U);
  EXPECT_EQ(full->throttled, 40'000U);
}

TEST(CpuStat, IsRefusedWhereANumberIsNone) {
  const auto stat = parse_cpu_stat("usage_usec many\n");
  ASSERT_FALSE(stat.ok());
  EXPECT_EQ(stat.error().code, EPROTO);
}

TEST(MemoryEvents, CountKillsOfProcessesAndOfGroups) {
  const auto events = parse_memory_events("low 0\nhigh 1\nmax 22\noom 3\noom_kill 4\noom_group_kill 5\n");
  ASSERT_TRUE(events.ok());
  EXPECT_EQ(events->high, 1U);
  EXPECT_EQ(events->max, 22U);
  EXPECT_EQ(events->oom, 3U);
  EXPECT_EQ(events->oom_kill, 4U);
  EXPECT_EQ(events->oom_group_kill, 5U);
}

TEST(PidsEvents, CountRefusedForks) {
  const auto refused = parse_pids_events("max 12\n");
  ASSERT_TRUE(refused.ok());
  EXPECT_EQ(*refused, 12U);
}

TEST(IoStat, IsTheSumOfTheDevices) {
  const auto io = parse_io_stat(
      "8:0 rbytes=100 wbytes=200 rios=3 wios=4 dbytes=9 dios=9\n259:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 "
      "dios=0\n");
  ASSERT_TRUE(io.ok());
  EXPECT_EQ(io->read_bytes, 101U);
  EXPECT_EQ(io->written_bytes, 202U);
  EXPECT_EQ(io->reads, 6U);
  EXPECT_EQ(io->writes, 8U);
}

TEST(IoStat, OfNoDeviceIsZero) {
  const auto io = parse_io_stat("");
  ASSERT_TRUE(io.ok());
  EXPECT_EQ(io->reads, 0U);
  EXPECT_TRUE(parse_io_stat("8:0 \n").ok()) << "a device that nothing went to has no words";
}

TEST(PressureText, HasBothLines) {
  const auto pressure = parse_pressure(
      "some avg10=12.34 avg60=0.05 avg300=100.00 total=777\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
  ASSERT_TRUE(pressure.ok());
  EXPECT_EQ(pressure->some.avg10, 1234U);
  EXPECT_EQ(pressure->some.avg60, 5U);
  EXPECT_EQ(pressure->some.avg300, 10'000U);
  EXPECT_EQ(pressure->some.total, 777U);
  EXPECT_EQ(pressure->full.total, 5U);
}

TEST(PressureText, IsRefusedWhereAnAverageIsNone) {
  EXPECT_FALSE(parse_pressure("some avg10=1 avg60=0.00 avg300=0.00 total=1\n").ok());
  EXPECT_FALSE(parse_pressure("some avg10=-1.00 total=1\n").ok());
}

TEST(Amount, MaxIsTheLargest) {
  EXPECT_EQ(*parse_amount("max\n"), UINT64_MAX);
  EXPECT_EQ(*parse_amount("4096\n"), 4096U);
  EXPECT_FALSE(parse_amount("\n").ok());
}

TEST(Reread, StartsFromTheBeginningEachTime) {
  const UniqueFd fd(::memfd_create("text", MFD_CLOEXEC));
  const std::string text(10'000, 'x');
  ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  for (int i = 0; i < 2; ++i) {
    const auto read = reread(fd.get());
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(*read, text);
  }
}

}  // namespace
}  // namespace sandboxd::cgroups
