// Limits as the text of a cgroup's files, written into a directory of plain files that stands for a cgroup.
#include "cgroups/limits.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace sandboxd::cgroups {
namespace {

using testing::HasSubstr;

const LimitFile& file(std::string_view name) { return *std::ranges::find(kLimitFiles, name, &LimitFile::file); }

std::string text(std::string_view name, const Limits& limits) { return file(name).text(limits); }

class FakeCgroup : public testing::Test {
 protected:
  FakeCgroup() : cgroup_(UniqueFd()) {
    path_ = testing::TempDir() + "sandboxd-fake-cgroup-" + std::to_string(::getpid());
    std::filesystem::create_directories(path_);
    cgroup_ = Cgroup(UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  }
  ~FakeCgroup() override { std::filesystem::remove_all(path_); }
  void put(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + "/" + name).parent_path());
    std::ofstream(path_ + "/" + name) << content;
  }
  [[nodiscard]] std::string get(const std::string& name) const {
    std::ifstream in(path_ + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string path_;
  Cgroup cgroup_;
};

TEST(LimitText, OfNoLimitsIsWhatANewCgroupSays) {
  Limits none = no_limits();
  none.cpu_weight = 100;
  for (const LimitFile& row : kLimitFiles) EXPECT_EQ(row.text(none), row.unset) << row.file;
}

TEST(LimitText, RoundsMemoryDownToPages) {
  Limits limits;
  limits.memory_max = 3 * 4096 + 1;
  limits.memory_high = 4095 + 4096;
  EXPECT_EQ(text("memory.max", limits), "12288");
  EXPECT_EQ(text("memory.high", limits), "4096");
  EXPECT_EQ(text("memory.oom.group", limits), "1");
}

TEST(LimitText, NoSwapIsALimitAndNoneIsMax) {
  Limits limits;
  EXPECT_EQ(text("memory.swap.max", limits), "0");
  limits.memory_swap_max = kNoLimit;
  EXPECT_EQ(text("memory.swap.max", limits), "max");
}

TEST(LimitText, SharesAreOfATenthOfASecondOrOfOne) {
  Limits limits;
  limits.cpu_max = 500;
  EXPECT_EQ(text("cpu.max", limits), "50000 100000");
  limits.cpu_max = 2'000;
  EXPECT_EQ(text("cpu.max", limits), "200000 100000");
  limits.cpu_max = 1;
  EXPECT_EQ(text("cpu.max", limits), "1000 1000000") << "the least quota that the kernel takes is 1 ms";
  limits.cpu_max = 10;
  EXPECT_EQ(text("cpu.max", limits), "1000 100000");
}

TEST(LimitText, HasRoomForOurOwnFirstProcess) {
  Limits limits;
  limits.pids_max = 32;
  EXPECT_EQ(text("pids.max", limits), "33");
  limits.pids_max = UINT64_MAX;
  EXPECT_EQ(text("pids.max", limits), "max");
}

TEST(LimitText, OfTheDiskNamesAllFourSides) {
  Limits limits;
  limits.io_max_wbps = 1'048'576;
  limits.io_max_riops = 10;
  EXPECT_EQ(text("io.max", limits), "rbps=max wbps=1048576 riops=10 wiops=max");
}

TEST(LimitRows, ThatAreAskedAreThoseThatDifferFromNothing) {
  const auto asked = [](std::string_view name, const Limits& limits) { return is_asked(*find_limit(name), limits); };
  Limits limits;
  EXPECT_FALSE(asked("memory_max", limits));
  EXPECT_FALSE(asked("cpu_weight", limits)) << "100 is what the kernel gives by itself";
  EXPECT_TRUE(asked("memory_swap_max", limits)) << "0 is a limit";
  EXPECT_TRUE(asked("pids_max", limits));
  limits.memory_swap_max = kNoLimit;
  limits.cpu_weight = 50;
  limits.memory_max = 1;
  EXPECT_FALSE(asked("memory_swap_max", limits));
  EXPECT_TRUE(asked("cpu_weight", limits));
  EXPECT_TRUE(asked("memory_max", limits));
}

TEST(LimitRows, OfAControllerHaveAFileOfIt) {
  for (const LimitRow& row : kLimitRows) {
    if (row.controller.empty()) {
      EXPECT_EQ(file_of(row), "") << row.name;
    } else {
      EXPECT_EQ(file(file_of(row)).controller, row.controller) << row.name;
    }
  }
}

TEST_F(FakeCgroup, TakesWhatIsWrittenAndSaysWhatItHolds) {
  put("pids.max", "max");
  Limits limits;
  limits.pids_max = 100;
  const LimitFile& row = file("pids.max");
  const auto held = write_limit(cgroup_, row, row.text(limits), std::nullopt);
  ASSERT_TRUE(held.ok()) << held.error().message();
  EXPECT_EQ(*held, "101");
  EXPECT_EQ(get("pids.max"), "101");
}

TEST_F(FakeCgroup, ThatHoldsAnotherValueIsAnError) {
  put("memory.max", "999999999");  // a plain file keeps what the shorter text doesn't cover
  const auto held = write_limit(cgroup_, file("memory.max"), "4096", std::nullopt);
  ASSERT_FALSE(held.ok());
  EXPECT_EQ(held.error().code, EPROTO);
  EXPECT_THAT(held.error().message(), HasSubstr("'memory.max' says '409699999' after '4096' was written"));
}

TEST_F(FakeCgroup, WithoutTheFileIsAnError) {
  const auto held = write_limit(cgroup_, file("cpu.max"), "1000 100000", std::nullopt);
  ASSERT_FALSE(held.ok());
  EXPECT_EQ(held.error().code, ENOENT);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/cpu.max")) << "it was made";
}

TEST_F(FakeCgroup, LimitsADiskByItsNumber) {
  put("io.max", "");
  const auto held = write_limit(cgroup_, file("io.max"), "rbps=1 wbps=max riops=max wiops=max", Disk{259, 3});
  ASSERT_TRUE(held.ok()) << held.error().message();
  EXPECT_EQ(get("io.max"), "259:3 rbps=1 wbps=max riops=max wiops=max");
  const auto disk = limited_disk(cgroup_);
  ASSERT_TRUE(disk.ok() && disk->has_value());
  EXPECT_EQ((*disk)->text(), "259:3");
  EXPECT_FALSE(write_limit(cgroup_, file("io.max"), "rbps=1 wbps=max riops=max wiops=max", std::nullopt).ok());
}

TEST_F(FakeCgroup, TellsOnlyWhatDiffersFromANewOnes) {
  put("memory.max", "8192\n");
  put("memory.high", "max\n");
  put("cpu.max", "max 100000\n");
  put("io.max", "");
  const auto rows = read_limits(cgroup_);
  ASSERT_TRUE(rows.ok());
  EXPECT_THAT(*rows, testing::ElementsAre(testing::Pair("memory.max", "8192")));
}

// As sysfs has it: links by number into the tree of devices, a partition's directory in its disk's.
TEST_F(FakeCgroup, APartitionsDiskIsItsParent) {
  put("devices/nvme0n1/dev", "259:0\n");
  put("devices/nvme0n1/nvme0n1p2/dev", "259:2\n");
  put("devices/nvme0n1/nvme0n1p2/partition", "2\n");
  std::filesystem::create_directories(path_ + "/block");
  std::filesystem::create_symlink("../devices/nvme0n1", path_ + "/block/259:0");
  std::filesystem::create_symlink("../devices/nvme0n1/nvme0n1p2", path_ + "/block/259:2");
  const auto of_partition = whole_disk(259, 2, path_ + "/block");
  ASSERT_TRUE(of_partition.ok()) << of_partition.error().message();
  EXPECT_EQ(of_partition->text(), "259:0");
  const auto of_disk = whole_disk(259, 0, path_ + "/block");
  ASSERT_TRUE(of_disk.ok());
  EXPECT_EQ(of_disk->text(), "259:0");
}

TEST_F(FakeCgroup, AnAnonymousDeviceHasNoDisk) {
  for (const unsigned major : {0U, 8U}) {
    const auto disk = whole_disk(major, 41, path_ + "/block");
    ASSERT_FALSE(disk.ok());
    EXPECT_EQ(disk.error().code, ENOTBLK);
    EXPECT_THAT(disk.error().message(), HasSubstr("stands on no single block device"));
  }
}

}  // namespace
}  // namespace sandboxd::cgroups
