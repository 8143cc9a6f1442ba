// Scratch space, inodes, descriptors, and what the kernel keeps for a user rather than for a cgroup.
#include <csignal>

#include <fcntl.h>

#include "tests/limits/limits.h"

namespace sandboxd::test {
namespace {

class FileLimit : public Limited {
 protected:
  // /tmp alone is made smaller: sizes only narrow.
  wire::JailPlan with_small_tmp(std::vector<std::string> words) {
    wire::JailPlan plan = hog(std::move(words));
    for (wire::Tmpfs& row : plan.tmpfs) {
      if (row.path != "/tmp") continue;
      row.size = 8 * kMiB;
      row.inodes = 500;
    }
    return plan;
  }
};

TEST_F(FileLimit, E45_EndsAWriterAtTheSizeOfItsTmpfs) {
  const Ran ran = run(with_small_tmp({"tmpfs", "64"}));
  ASSERT_TRUE(ran.taken.contains("file")) << ran.end.out;
  EXPECT_EQ(ran.taken.at("file"), std::pair(8L, std::string("ENOSPC")));
}

TEST_F(FileLimit, E45_EndsAFloodOfFilesAtTheInodes) {
  start_neighbour(20);
  const Ran ran = run(with_small_tmp({"inodes", "100000"}));
  ASSERT_TRUE(ran.taken.contains("inodes")) << ran.end.out;
  EXPECT_EQ(ran.taken.at("inodes").second, "ENOSPC");
  EXPECT_LT(ran.taken.at("inodes").first, 500);
  EXPECT_GT(ran.taken.at("inodes").first, 400);
}

TEST_F(FileLimit, E45_EndsDeepDirectoriesAtTheInodes) {
  const Ran ran = run(with_small_tmp({"deep", "100000"}));
  ASSERT_TRUE(ran.taken.contains("deep")) << ran.end.out;
  EXPECT_EQ(ran.taken.at("deep").second, "ENOSPC");
  EXPECT_LT(ran.taken.at("deep").first, 500);
}

TEST_F(FileLimit, E45_CountsWhatIsReservedAndNotWhatIsOnlyLong) {
  const Ran ran = run(with_small_tmp({"sparse"}));
  EXPECT_EQ(ran.taken.at("truncate").second, "OK");
  EXPECT_EQ(ran.taken.at("write").second, "OK") << "one page";
  EXPECT_EQ(ran.taken.at("fallocate").second, "ENOSPC");
}

TEST_F(FileLimit, E45_EndsSparseFilesAtTheLengthOfAFile) {
  wire::JailPlan plan = with_small_tmp({"sparse"});
  plan.limits.file_size_max = kMiB;
  const Ran ran = run(plan);
  ASSERT_TRUE(ran.end.wait_status.has_value());
  EXPECT_EQ(*ran.end.wait_status & 0x7f, SIGXFSZ) << ran.end.out;
}

TEST_F(FileLimit, E46_EndsDescriptorsAtNofile) {
  start_neighbour(20);
  wire::JailPlan plan = hog({"fds", "100000"});
  plan.limits.nofile = 64;
  const Ran ran = run(plan);
  ASSERT_TRUE(ran.taken.contains("fds")) << ran.end.out;
  EXPECT_EQ(ran.taken.at("fds"), std::pair(61L, std::string("EMFILE"))) << "0, 1 and 2 are the job's streams";
}

// Terminals are the host's, all jails' together (kernel.pty.max): a jail has a share of its own.
TEST_F(FileLimit, E46_EndsTerminalsBeforeTheHostHasNone) {
  const Ran ran = run(hog({"ptys", "100000"}));
  ASSERT_TRUE(ran.taken.contains("ptys")) << ran.end.out;
  EXPECT_EQ(ran.taken.at("ptys"), std::pair(16L, std::string("ENOSPC")));
  EXPECT_GE(UniqueFd(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)).get(), 0) << "the host has none left";
}

// The kernel counts them for each user, and a jail's ids are its own.
TEST_F(FileLimit, E46_OfOneUserDontReachAnother) {
  const wire::JailPlan plan = hog({"objects", "3000"});
  const Ran ran = run(plan);
  ASSERT_TRUE(ran.taken.contains("pipes")) << ran.end.out;
  EXPECT_NE(ran.taken.at("inotify").second, "OK");
  EXPECT_NE(ran.taken.at("pipes").second, "OK");
  Launched first = start(hog({"objects", "3000"}));
  ASSERT_TRUE(first.started.has_value());
  const wire::JailPlan next = hog({"objects", "5"});
  const Ran other = run(next);
  EXPECT_EQ(other.taken.at("inotify"), std::pair(5L, std::string("OK"))) << other.end.out;
  EXPECT_EQ(other.taken.at("pipes"), std::pair(5L, std::string("OK")));
  static_cast<void>(await_job(first));
  EXPECT_TRUE(client().remove(next.number - 1));
}

}  // namespace
}  // namespace sandboxd::test
