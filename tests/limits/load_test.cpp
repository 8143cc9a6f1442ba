// Many jails alive, many more started and ended: nothing is left of them, and the last costs what the first did. With
// SANDBOXD_LONG (./run-tests --long) 500 and 2000, else a tenth; a ratio of times is asked of the long run alone.
#include <array>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/ids.h"
#include "tests/support/command.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kAlive = 100;       // each process weighs ten times as much
constexpr bool kWeighed = false;  // what is freed is kept, to be looked at; and its times mean nothing
#else
constexpr int kAlive = 500;
constexpr bool kWeighed = true;
#endif
constexpr std::array kPrograms = {"sandboxd", "sandboxd-launcher", "sandboxd-broker", "sandboxd-audit"};

// What the daemon's programs hold, by name.
struct Held {
  std::map<std::string, std::size_t> descriptors{};
  std::map<std::string, long> resident_kib{};
  std::size_t processes = 0;
  std::size_t cgroups = 0;
  std::size_t mounts = 0;
  bool operator==(const Held&) const = default;
};

Held held(const Stack& stack) {
  Held now;
  for (const char* name : kPrograms) {
    const pid_t pid = stack.program(name);
    now.descriptors[name] = open_descriptors(pid);
    now.resident_kib[name] = std::atol(status_line(pid, "VmRSS").c_str());
  }
  now.processes = processes_of_ids(stack.slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail).size();
  now.cgroups = jail_cgroups(stack.slice()).size();
  now.mounts = stack.mounts().size();
  return now;
}

class Load : public ::testing::Test {
 protected:
  Load() : is_long_(std::getenv("SANDBOXD_LONG") != nullptr) {}

  Output load(int alive, int starts) const {
    CommandSpec spec;
    spec.argv = {program_path("bench_load"),
                 "--socket",
                 stack_->socket(),
                 "--alive",
                 std::to_string(alive),
                 "--starts",
                 std::to_string(starts),
                 "--goal",
                 is_long_ && kWeighed ? "1.3" : "1000"};
    spec.timeout_ms = 900'000;
    return test::run(std::move(spec));
  }

  // What is held when nothing goes any more: a client's connection, a mount, a page goes a moment after what it was for.
  Held settled() const {
    Held now = held(*stack_);
    EXPECT_TRUE(eventually([&] {
      ::usleep(300'000);
      const Held earlier = std::exchange(now, held(*stack_));
      return earlier == now;
    }));
    return now;
  }

  bool is_long_;
  std::unique_ptr<Stack> stack_{};
};

TEST_F(Load, LeavesNothingBehindAndGetsNoDearer) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  stack_ = std::make_unique<Stack>(R"("user_limits": {"jails": 1000, "calls_per_second": 100000})");
  ASSERT_EQ(stack_->failure(), "");
  const int alive = is_long_ ? kAlive : kAlive / 10;
  const int starts = is_long_ ? 4 * kAlive : 4 * kAlive / 10;
  // Tables and pools that grow once are grown.
  const Output warm = load(alive, 20);
  ASSERT_LE(warm.status, 1) << describe(warm);
  ASSERT_TRUE(eventually([&] { return held(*stack_).cgroups == 0; }, 60'000));
  const Held before = settled();
  const Output loaded = load(alive, starts);
  fmt::print("{}", loaded.out);
  EXPECT_EQ(loaded.status, 0) << describe(loaded);
  EXPECT_TRUE(eventually([&] { return held(*stack_).cgroups == 0 && held(*stack_).processes == 0; }, 60'000))
      << held(*stack_).cgroups << " cgroups, " << held(*stack_).processes << " processes";
  const Held after = settled();
  EXPECT_EQ(after.mounts, before.mounts);
  for (const char* name : kPrograms) {
    EXPECT_EQ(after.descriptors.at(name), before.descriptors.at(name)) << name << "'s descriptors";
    fmt::print("{}: {} KiB resident, {} after\n", name, before.resident_kib.at(name), after.resident_kib.at(name));
    if (kWeighed) {
      EXPECT_LT(after.resident_kib.at(name) - before.resident_kib.at(name), 4096) << name << " grew";
    }
  }
}

}  // namespace
}  // namespace sandboxd::test
