// Where the daemon's cgroups are, and what they can hold: on this host's own cgroup2 mount. Needs root.
#include "cgroups/root.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cgroups/limits.h"

namespace sandboxd::cgroups {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A cgroup of the test's own, and the way back out of it.
class OwnCgroup : public testing::Test {
 protected:
  void SetUp() override {
    const auto mount = find_mount();
    ASSERT_TRUE(mount.ok()) << mount.error().message();
    mount_ = *mount;
    const auto home = own_cgroup(read_text("/proc/self/cgroup"));
    ASSERT_TRUE(home.ok());
    home_ = mount_ + (*home == "/" ? "" : *home);
    // Beside the daemons' directory: where controllers are passed on, if there are any.
    const std::string name = "unit-" + std::to_string(::getpid());
    auto root = open_root("", name);
    ASSERT_TRUE(root.ok()) << root.error().message();
    ASSERT_TRUE(remove_root(*root).ok());
    const std::string above = root->path.substr(0, root->path.size() - ("/sandboxd/" + name).size());
    path_ = above + "/sandboxd-unit-root-" + std::to_string(::getpid());
    ASSERT_EQ(::mkdir(path_.c_str(), 0755), 0);
  }
  void TearDown() override {
    move_to(home_);
    for (const char* below : {"/sandboxd/slice-1", "/sandboxd", "/supervisor", ""}) ::rmdir((path_ + below).c_str());
    EXPECT_NE(::access(path_.c_str(), F_OK), 0) << "the test's cgroup is still there";
  }
  // The guest has them, so there it is a failure when they are not found.
  [[nodiscard]] bool has_memory() const {
    const bool has = read_text(path_ + "/cgroup.controllers").find("memory") != std::string::npos;
    EXPECT_TRUE(has || std::getenv("SANDBOXD_GUEST") == nullptr) << "the guest's controllers are gone";
    return has;
  }
  static void move_to(const std::string& cgroup) { std::ofstream(cgroup + "/cgroup.procs") << "0"; }
  void mark() const { ASSERT_EQ(::setxattr(path_.c_str(), "trusted.delegate", "1", 1, 0), 0); }

  std::string mount_;
  std::string home_;
  std::string path_;
};

TEST(OwnCgroupText, IsTheLineOfVersionTwo) {
  EXPECT_EQ(*own_cgroup("4:memory:/old\n0::/system.slice/x.service\n"), "/system.slice/x.service");
  EXPECT_EQ(*own_cgroup("0::/"), "/");
  EXPECT_FALSE(own_cgroup("4:memory:/old\n").ok());
}

TEST(Unenforceable, IsAllThatNeedsAControllerThatIsMissing) {
  EXPECT_THAT(unenforceable({"/x", {"memory", "cpu", "io", "pids"}}), testing::IsEmpty());
  EXPECT_THAT(unenforceable({"/x", {"memory", "cpuset"}}), testing::ElementsAre("cpu_max", "cpu_weight", "io_max"));
  EXPECT_THAT(unenforceable({"/x", {}}), testing::Not(Contains("pids_max"))) << "RLIMIT_NPROC holds it";
}

TEST_F(OwnCgroup, DelegatedIsFoundFromBelow) {
  mark();
  move_to(path_);
  const auto prospect = look_for_root("");
  ASSERT_TRUE(prospect.ok()) << prospect.error().message();
  EXPECT_EQ(prospect->path, path_ + "/sandboxd");
}

TEST_F(OwnCgroup, MarkedButAnotherUsersIsPassedOver) {
  mark();
  ASSERT_EQ(::chown(path_.c_str(), 12345, 12345), 0);
  move_to(path_);
  const auto prospect = look_for_root("");
  ASSERT_TRUE(prospect.ok());
  EXPECT_NE(prospect->path, path_ + "/sandboxd");
}

TEST_F(OwnCgroup, DelegatedIsLeftByItsOnlyProcessSoThatItPassesControllersOn) {
  mark();
  const pid_t child = ::fork();
  if (child == 0) {
    move_to(path_);
    const bool left = leave_delegated_top().ok();
    const auto root = left ? open_root("", "slice-1") : Result<Root>(make_error("not left"));
    const bool fine = root.ok() && root->path == path_ + "/sandboxd/slice-1" && root->trouble.empty() &&
                      read_text("/proc/self/cgroup").find("/supervisor\n") != std::string::npos;
    ::_exit(fine ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(OwnCgroup, WithAnotherProcessIsNotLeft) {
  mark();
  move_to(path_);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(leave_delegated_top().ok() && ::access((path_ + "/supervisor").c_str(), F_OK) != 0 ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Where the host has controllers; without, there is nothing that could be refused.
TEST_F(OwnCgroup, WithProcessesPassesNothingOnAndSaysWhatToDo) {
  if (!has_memory()) GTEST_SKIP() << "this host's cgroups have no memory controller";
  mark();
  move_to(path_);
  const auto root = open_root("", "slice-1");
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_FALSE(root->has("memory.max"));
  EXPECT_THAT(root->trouble, HasSubstr("EBUSY"));
  EXPECT_THAT(root->trouble, HasSubstr("move them into a child"));
}

TEST_F(OwnCgroup, HasTheFilesOfTheControllersThatItGetsAndHoldsLimits) {
  if (!has_memory()) GTEST_SKIP() << "this host's cgroups have no memory controller";
  const auto root = open_root(path_ + "/sandboxd", "slice-1");
  ASSERT_TRUE(root.ok()) << root.error().message();
  // Nobody has passed them on to a configured root, and it is not ours to do that above it.
  EXPECT_FALSE(root->has("memory.max"));
  std::ofstream(path_ + "/cgroup.subtree_control") << "+memory +pids +cpu";
  const auto again = open_root(path_ + "/sandboxd", "slice-1");
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_TRUE(again->has("memory.max")) << again->trouble;
  EXPECT_TRUE(again->has("pids.max"));
  Limits limits;
  limits.memory_max = (64U << 20) + 5;
  limits.cpu_max = 250;
  limits.pids_max = 7;
  const auto jail = create_exclusive(again->cgroup, "jail-1");
  ASSERT_TRUE(jail.ok());
  for (const LimitFile& row : kLimitFiles) {
    if (row.controller == "io" || !again->has(row.file)) continue;
    const auto held = write_limit(*jail, row, row.text(limits), std::nullopt);
    EXPECT_TRUE(held.ok()) << held.error().message();
  }
  const auto rows = read_limits(*jail);
  ASSERT_TRUE(rows.ok());
  EXPECT_THAT(*rows, Contains(testing::Pair("memory.max", "67108864")));
  EXPECT_THAT(*rows, Contains(testing::Pair("cpu.max", "25000 100000")));
  EXPECT_THAT(*rows, Contains(testing::Pair("pids.max", "8")));
  EXPECT_TRUE(remove_child(again->cgroup, "jail-1", 1'000'000).ok());
}

}  // namespace
}  // namespace sandboxd::cgroups
