// Which limit is held by what, on hosts that have it and on hosts that don't.
#include "daemon/launcher/limits.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace sandboxd::launcher {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using wire::Enforced;

class HoldLimits : public testing::Test {
 protected:
  HoldLimits() : path_(testing::TempDir() + "sandboxd-hold-limits-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(path_);
    proc_.reset(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    swaps("");
  }
  ~HoldLimits() override { std::filesystem::remove_all(path_); }
  void swaps(const std::string& lines) const {
    std::ofstream(path_ + "/swaps") << "Filename Type Size Used Priority\n" << lines;
  }
  [[nodiscard]] Result<Holding> hold(const Limits& limits, std::vector<std::string> unenforced = {},
                                     std::uint64_t reserve = 0) const {
    wire::Config config;
    config.unenforced_limits = std::move(unenforced);
    return hold_limits(limits, root_, config, proc_.get(), reserve);
  }
  void give_all() {
    for (const cgroups::LimitFile& row : cgroups::kLimitFiles) root_.files.emplace_back(row.file);
  }
  static bool writes(const Holding& holding, std::string_view file) {
    return std::ranges::any_of(holding.files, [&](const cgroups::LimitFile* row) { return row->file == file; });
  }

  std::string path_;
  UniqueFd proc_{};
  cgroups::Root root_{cgroups::Cgroup(UniqueFd()), "/sys/fs/cgroup/x", {}, {}};
};

TEST_F(HoldLimits, ByTheCgroupWhereItHasTheFile) {
  give_all();
  Limits limits;
  limits.memory_max = 1 << 20;
  limits.cpu_max = 500;
  limits.scratch_max = 4096;
  const auto holding = hold(limits);
  ASSERT_TRUE(holding.ok()) << holding.error().message();
  EXPECT_THAT(holding->enforced, Contains(Enforced{"memory_max", "cgroup memory.max"}));
  EXPECT_THAT(holding->enforced, Contains(Enforced{"memory_swap_max", "cgroup memory.swap.max"}));
  EXPECT_THAT(holding->enforced, Contains(Enforced{"pids_max", "cgroup pids.max"}));
  EXPECT_THAT(holding->enforced, Contains(Enforced{"scratch_max", "tmpfs size"}));
  EXPECT_THAT(holding->unenforced, IsEmpty());
  EXPECT_TRUE(writes(*holding, "memory.max"));
  EXPECT_TRUE(writes(*holding, "memory.oom.group")) << "the jail is killed as a whole";
  EXPECT_FALSE(writes(*holding, "cpu.weight")) << "100 is what the kernel gives by itself";
  EXPECT_FALSE(writes(*holding, "io.max"));
  EXPECT_FALSE(holding->needs_disk);
  EXPECT_FALSE(counts_by_id(root_));
}

TEST_F(HoldLimits, OfADiskAreOneFile) {
  give_all();
  Limits limits;
  limits.io_max_rbps = limits.io_max_wiops = 1000;
  const auto holding = hold(limits);
  ASSERT_TRUE(holding.ok());
  EXPECT_TRUE(holding->needs_disk);
  EXPECT_EQ(std::ranges::count(holding->files, "io.max", [](const auto* row) { return row->file; }), 1);
}

TEST_F(HoldLimits, OfProcessesByTheJailsIdElsewhere) {
  const auto holding = hold(Limits{});
  ASSERT_TRUE(holding.ok()) << holding.error().message();
  EXPECT_THAT(holding->enforced, Contains(Enforced{"pids_max", "RLIMIT_NPROC"}));
  EXPECT_TRUE(counts_by_id(root_));
}

// There the cgroup has room for the keepers too, so that it is the bound and not the limit.
TEST_F(HoldLimits, OfASessionsProcessesByTheJailsIdAndTheCgroupsBound) {
  give_all();
  const auto holding = hold(Limits{}, {}, kSessionReserve);
  ASSERT_TRUE(holding.ok()) << holding.error().message();
  EXPECT_THAT(holding->enforced, Contains(Enforced{"pids_max", "RLIMIT_NPROC"}));
  EXPECT_TRUE(writes(*holding, "pids.max"));
}

TEST_F(HoldLimits, OfSwapByAHostThatHasNone) {
  EXPECT_THAT(hold(Limits{})->enforced, Contains(Enforced{"memory_swap_max", "no swap on this host"}));
  swaps("/dev/sda2 partition 1024 0 -2\n");
  const auto refused = hold(Limits{});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message(), HasSubstr("'memory_swap_max'"));
  std::filesystem::remove(path_ + "/swaps");
  EXPECT_TRUE(hold(Limits{}).ok()) << "a kernel without swap";
}

TEST_F(HoldLimits, ThatNothingHoldsAreRefusedWithWhatToDo) {
  root_.trouble = "somebody is in it";
  Limits limits;
  limits.cpu_max = 1;
  const auto refused = hold(limits, {"memory_max"});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, EOPNOTSUPP);
  for (const char* part : {"'cpu_max'", "controller 'cpu'", "'cpu.max'", "'/sys/fs/cgroup/x'", "somebody is in it",
                           "list 'cpu_max' in unenforced_limits"})
    EXPECT_THAT(refused.error().message(), HasSubstr(part));
}

TEST_F(HoldLimits, ThatAreListedAreTold) {
  Limits limits;
  limits.memory_max = 1 << 20;
  limits.io_max_wbps = 1;
  const auto holding = hold(limits, {"memory_max", "io_max", "cpu_max"});
  ASSERT_TRUE(holding.ok()) << holding.error().message();
  EXPECT_THAT(holding->unenforced, testing::ElementsAre("memory_max", "io_max_wbps"));
  EXPECT_THAT(holding->files, IsEmpty());
  EXPECT_THAT(holding->enforced, Not(Contains(testing::Field(&Enforced::limit, "memory_max"))));
}

}  // namespace
}  // namespace sandboxd::launcher
