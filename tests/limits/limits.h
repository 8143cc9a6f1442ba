// The fixture of the checks on limits: a launcher whose sandboxd the test is, a program that takes too much (tests/sandboxees/
// limit_hog), and a neighbour whose jail must not notice. Proof are the kernel's counters of the jail's cgroup.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cgroups/usage.h"
#include "tests/support/launcher_stack.h"
#include "tests/support/stack.h"

namespace sandboxd::test {

inline constexpr std::uint64_t kMiB = 1U << 20;

// What limit_hog said of each thing: how much it got, and the errno that ended that ("OK": none).
using Taken = std::map<std::string, std::pair<long, std::string>>;
Taken parse_hog(const std::string& out);

struct Ran {
  JobEnd end{};
  Taken taken{};
  bool killed = false;              // no word of the job's end: the jail was killed as a whole
  cgroups::MemoryEvents memory{};   // all zero without the controller
  std::uint64_t memory_peak = 0;    // 0 where the kernel doesn't tell
  std::uint64_t refused_forks = 0;  // by pids.max
  cgroups::CpuStat cpu{};
  std::uint64_t wall_usec = 0;
};

class Limited : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;
  void TearDown() override;

  static LauncherStack& stack() { return *stack_; }
  static HostileSandboxd& client() { return *client_; }
  // limit_hog in a jail of its own with what the tests allow it by default; `workspace`: a directory of the disk, writable.
  wire::JailPlan hog(std::vector<std::string> words, bool workspace = false);
  // Hands in the files of the plan, and starts it.
  Launched start(const wire::JailPlan& plan);
  // To its end, read from the kernel, and removed.
  Ran run(const wire::JailPlan& plan);
  Ran await(const wire::JailPlan& plan, Launched launched, std::uint64_t begun_usec);
  // Another jail, alive from here on; TearDown asks that it saw all of its own steps.
  void start_neighbour(int lines);
  static std::string read(const Launched& launched, wire::StartedFd what);
  // False: skip. In the guest nothing may be missing.
  static bool host_has(const std::string& controller);

 private:
  static std::unique_ptr<LauncherStack> stack_;
  static std::unique_ptr<HostileSandboxd> client_;
  static std::uint32_t number_;
  std::vector<UniqueFd> held_{};  // connections to the broker
  std::optional<std::pair<wire::JailPlan, Launched>> neighbour_{};
  int neighbour_lines_ = 0;
};

#define NEEDS_CONTROLLER(name) \
  if (!host_has(name)) GTEST_SKIP() << "this host's cgroups have no controller '" name "'"

}  // namespace sandboxd::test
