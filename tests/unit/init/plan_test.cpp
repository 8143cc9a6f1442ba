// What the launch child writes is what jail-init reads; anything else is refused as a whole.
#include "daemon/init/init.h"
#include "daemon/wire/init_plan.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sandboxd {
namespace {

wire::InitPlan sample() {
  wire::InitPlan plan;
  plan.job_uid = 1000;
  plan.job_gid = 1001;
  plan.wall_time = 5'000'000;
  plan.stdio = 1;
  plan.rlimits = {{7, 4096, 4096}, {6, 512, 512}};
  plan.landlock_fs = 0xFFFF;
  plan.landlock_scoped = 3;
  plan.landlock = {{"/", 5}, {"/tmp", 0x7FFF, true}};
  plan.filter.assign(16, 6);
  plan.tmpfs = {"/tmp", "/dev/shm"};
  plan.workdir = "/work";
  plan.argv = {"/bin/echo", "a b", ""};
  plan.env = {"PATH=/usr/bin"};
  return plan;
}

init::Outcome read_bytes(const std::vector<std::uint8_t>& bytes, init::Plan& plan) {
  const int fd = ::memfd_create("plan", MFD_CLOEXEC);
  EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  const init::Outcome outcome = init::read_plan(fd, plan);
  ::close(fd);
  return outcome;
}

TEST(InitPlan, ComesBackAsItWasWritten) {
  static init::Plan plan;
  ASSERT_TRUE(read_bytes(wire::encode_init_plan(sample()), plan).ok());
  EXPECT_EQ(plan.job_uid, 1000U);
  EXPECT_EQ(plan.job_gid, 1001U);
  EXPECT_EQ(plan.job.wall_time, 5'000'000U);
  ASSERT_EQ(plan.job.rlimit_count, 2U);
  EXPECT_EQ(plan.job.rlimits[1].resource, 6U);
  EXPECT_EQ(plan.job.rlimits[1].hard, 512U);
  ASSERT_EQ(plan.landlock_count, 2U);
  EXPECT_STREQ(plan.landlock[1].path, "/tmp");
  EXPECT_EQ(plan.landlock[1].access, 0x7FFFU);
  EXPECT_TRUE(plan.landlock[1].no_symlinks);
  EXPECT_FALSE(plan.landlock[0].no_symlinks);
  EXPECT_EQ(plan.filter_count, 2U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(plan.filter) % alignof(sock_filter), 0U);
  ASSERT_EQ(plan.tmpfs_count, 2U);
  EXPECT_STREQ(plan.tmpfs[1], "/dev/shm");
  EXPECT_STREQ(plan.job.workdir, "/work");
  EXPECT_STREQ(plan.job.argv[1], "a b");
  EXPECT_STREQ(plan.job.argv[2], "");
  EXPECT_EQ(plan.job.argv[3], nullptr);
  EXPECT_STREQ(plan.job.env[0], "PATH=/usr/bin");
  EXPECT_EQ(plan.job.env[1], nullptr);
}

TEST(InitPlan, IsRefusedWhenCutAnywhere) {
  const std::vector<std::uint8_t> whole = wire::encode_init_plan(sample());
  for (std::size_t size = 1; size < whole.size(); ++size) {
    static init::Plan plan;
    EXPECT_FALSE(read_bytes({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}, plan).ok())
        << "cut at " << size;
  }
}

TEST(InitPlan, IsRefusedWithBytesLeftOver) {
  std::vector<std::uint8_t> bytes = wire::encode_init_plan(sample());
  bytes.push_back(0);
  static init::Plan plan;
  EXPECT_FALSE(read_bytes(bytes, plan).ok());
}

TEST(InitPlan, WithoutACommandIsASession) {
  static init::Plan plan;
  wire::InitPlan no_command = sample();
  no_command.argv.clear();
  ASSERT_TRUE(read_bytes(wire::encode_init_plan(no_command), plan).ok());
  EXPECT_EQ(plan.job.argv[0], nullptr);
  EXPECT_STREQ(plan.job.env[0], "PATH=/usr/bin");
}

TEST(InitPlan, NeedsAFilter) {
  static init::Plan plan;
  wire::InitPlan no_filter = sample();
  no_filter.filter.clear();
  EXPECT_FALSE(read_bytes(wire::encode_init_plan(no_filter), plan).ok());
}

}  // namespace
}  // namespace sandboxd
