// The cgroup library on a real cgroup2 mount: a directory of the test's own, removed at its end. Needs root.
#include "cgroups/cgroup.h"

#include "cgroups/root.h"

#include <cerrno>
#include <csignal>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sandboxd::cgroups {
namespace {

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    auto mount = find_mount();
    ASSERT_TRUE(mount.ok()) << mount.error().message();
    top_ = *mount + "/sandboxd-unit-" + std::to_string(::getpid());
    auto root = open_root(top_, "slice");
    ASSERT_TRUE(root.ok()) << root.error().message();
    root_ = std::move(root->cgroup);
  }
  void TearDown() override {
    for (const char* name : {"/slice/a", "/slice/b", "/slice", ""}) ::rmdir((top_ + name).c_str());
    EXPECT_NE(::access(top_.c_str(), F_OK), 0) << "the test's cgroup is still there";
  }
  // A child that is born in the cgroup and sleeps.
  static pid_t born_in(const Cgroup& group) {
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(group.fd());
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
      for (;;) ::pause();
    }
    return static_cast<pid_t>(pid);
  }

  std::string top_;
  std::optional<Cgroup> root_{};
};

TEST_F(CgroupTest, RefusesAnExistingNumber) {
  ASSERT_TRUE(create_exclusive(*root_, "a").ok());
  const auto again = create_exclusive(*root_, "a");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, EEXIST);
  EXPECT_THAT(again.error().message(), testing::HasSubstr("mkdir cgroup 'a'"));
}

TEST_F(CgroupTest, SeesAndKillsWhatWasBornInIt) {
  const auto group = create_exclusive(*root_, "a");
  ASSERT_TRUE(group.ok());
  EXPECT_FALSE(*group->populated());
  const pid_t child = born_in(*group);
  ASSERT_GT(child, 0);
  EXPECT_TRUE(*group->populated());
  EXPECT_THAT(*group->processes(), testing::ElementsAre(child));
  const Status busy = remove_child(*root_, "a", 1000);
  ASSERT_FALSE(busy.ok());
  EXPECT_EQ(busy.error().code, EBUSY);
  ASSERT_TRUE(group->kill().ok());
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_TRUE(remove_child(*root_, "a", 2'000'000).ok());
  EXPECT_FALSE(open_child(*root_, "a").ok());
}

TEST_F(CgroupTest, ListsItsChildrenOnly) {
  ASSERT_TRUE(create_exclusive(*root_, "a").ok());
  ASSERT_TRUE(create_exclusive(*root_, "b").ok());
  const auto names = children(*root_);
  ASSERT_TRUE(names.ok());
  EXPECT_THAT(*names, testing::UnorderedElementsAre("a", "b"));
}

TEST(CgroupRoot, RefusesWhatIsNoCgroupFileSystem) {
  const auto root = open_root("/tmp/sandboxd-no-cgroup", "slice");
  ::rmdir("/tmp/sandboxd-no-cgroup");
  ASSERT_FALSE(root.ok());
  EXPECT_THAT(root.error().message(), testing::HasSubstr("not on a cgroup2 file system"));
}

TEST(CgroupRoot, RefusesAPathThatIsNotCanonical) {
  const auto root = open_root("/sys/fs/cgroup/../cgroup", "slice");
  ASSERT_FALSE(root.ok());
  EXPECT_THAT(root.error().message(), testing::HasSubstr("cgroup_root '/sys/fs/cgroup/../cgroup'"));
}

}  // namespace
}  // namespace sandboxd::cgroups
