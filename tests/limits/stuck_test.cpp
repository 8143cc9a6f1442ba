// A process that nothing can end: it writes to a file system that is frozen (a loop device of our own), in uninterruptible sleep. Its
// jail is told to be stuck, in bounded time, and is gone once the file system goes on. SANDBOXD_EXT4_IMAGE names an image where mke2fs is
// missing, as in the guest.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ids.h"
#include "tests/support/command.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

// Mounted by itself, and frozen on demand; thawed and unmounted at the end, whatever happened.
class LoopFileSystem {
 public:
  explicit LoopFileSystem(const WorkDir& dir) : image_(dir.path() + "/image"), path_(dir.make("loop", 0)) {
    mounted_ =
        make_image() && ok({"mount", "-o", "loop", image_, path_}) && ::chown(path_.c_str(), kAlice, kAlice) == 0;
    top_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~LoopFileSystem() {
    if (frozen_) thaw();
    top_.reset();
    if (mounted_) {
      EXPECT_TRUE(ok({"umount", path_})) << path_;
    }
  }
  LoopFileSystem(const LoopFileSystem&) = delete;
  LoopFileSystem& operator=(const LoopFileSystem&) = delete;

  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  bool freeze() { return frozen_ = ::ioctl(top_.get(), FIFREEZE, 0) == 0; }
  void thaw() {
    EXPECT_EQ(::ioctl(top_.get(), FITHAW, 0), 0);
    frozen_ = false;
  }

 private:
  [[nodiscard]] bool make_image() const {
    std::error_code failed;
    if (const char* made = std::getenv("SANDBOXD_EXT4_IMAGE")) return std::filesystem::copy_file(made, image_, failed);
    std::ofstream(image_).close();
    std::filesystem::resize_file(image_, 32U << 20, failed);
    return !failed && ok({"mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", image_});
  }
  static bool ok(std::vector<std::string> argv) {
    CommandSpec spec;
    spec.argv = std::move(argv);
    spec.env = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}};
    return test::run(std::move(spec)).status == 0;
  }
  std::string image_, path_;
  UniqueFd top_{};
  bool mounted_ = false, frozen_ = false;
};

TEST(Stuck, JailIsToldSoInBoundedTimeAndGoneWhenTheKernelLetsGo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Stack stack;
  ASSERT_EQ(stack.failure(), "");
  static_cast<void>(stack.dir().copy_program("limit_hog", "probes/limit_hog"));
  LoopFileSystem files(stack.dir());
  EXPECT_TRUE(files.mounted() || std::getenv("SANDBOXD_GUEST") == nullptr) << "the guest has loop devices";
  if (!files.mounted()) GTEST_SKIP() << "no loop device can be had here, or mke2fs is missing";
  CommandSpec spec = stack.ctl_spec(kAlice, {"run", "--json", "--name", "stuck", "--workspace=rw", "--ro-bind",
                                             stack.probes() + ":/probes", "--", "/probes/limit_hog", "write"});
  spec.directory = files.path();
  Command command(std::move(spec));
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(files.path() + "/writes"); }, 30'000));
  ASSERT_TRUE(files.freeze());
  const auto job = [&]() -> pid_t {
    for (const pid_t pid : processes_of_ids(stack.slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail)) {
      if (command_name(pid) == "limit_hog") return pid;
    }
    return 0;
  };
  ASSERT_TRUE(eventually([&] { return status_line(job(), "State").starts_with("D"); })) << status_line(job(), "State");
  const std::uint64_t asked = monotonic_usec();
  const Output killed = stack.ctl(kAlice, {"kill", "--grace=0s", "stuck"});
  EXPECT_EQ(killed.status, 0) << describe(killed);
  const Output ended = command.finish();
  EXPECT_THAT(ended.out, testing::HasSubstr(R"("verdict":"stuck")")) << describe(ended);
  EXPECT_LT(monotonic_usec() - asked, 40'000'000U);
  EXPECT_EQ(jail_cgroups(stack.slice()).size(), 1U) << "its number must not be used again while it is there";
  EXPECT_EQ(stack.ctl(kAlice, {"run", "--", "/bin/true"}).status, 0) << "another jail is none the worse";
  files.thaw();
  EXPECT_TRUE(eventually([&] { return job() == 0; }, 30'000));
  EXPECT_TRUE(eventually([&] { return jail_cgroups(stack.slice()).empty(); }, 60'000));
}

}  // namespace
}  // namespace sandboxd::test
