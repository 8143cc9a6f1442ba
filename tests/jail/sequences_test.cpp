// Sequences of valid and nearly valid requests to a real launcher, by a seed: what one leaves behind shows at the next. After each
// step no number, id, network or process is anybody's but its jail's; at the end nothing is left. E49, E72, E73.
//   SANDBOXD_SEED=N   that sequence alone       SANDBOXD_LONG   many of them (./run-tests --long)
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <unistd.h>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/socket.h"
#include "daemon/wire/codec.h"
#include "tests/support/command.h"
#include "tests/support/launcher_stack.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

using wire::JailPlan;
using wire::LauncherMessage;

constexpr std::uint32_t kNumbers = 6;  // few, so that they are used again
constexpr int kSteps = 60;
constexpr std::size_t kSlack = 16;  // descriptors of the launcher: connections, prepared networks

constexpr std::uint16_t type_of(LauncherMessage type) { return static_cast<std::uint16_t>(type); }

class Sequences : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the launcher";
    stack_ = std::make_unique<LauncherStack>();
    client_ = stack_->connect();
    ASSERT_NE(client_, nullptr) << stack_->log();
  }
  void TearDown() override {
    client_.reset();
    stack_.reset();
  }

  void play(std::uint32_t seed, int steps) {
    SCOPED_TRACE(fmt::format("SANDBOXD_SEED={}", seed));
    random_.seed(seed);
    mounts_ = mounts_seen_by(stack_->launcher().pid());
    descriptors_ = open_descriptors(stack_->launcher().pid());
    for (int i = 0; i < steps && !HasFailure(); ++i) {
      SCOPED_TRACE(fmt::format("step {}", i));
      step();
      expect_all_is_somebodys();
    }
    forget_all();
  }

 private:
  std::uint32_t below(std::uint32_t most) { return static_cast<std::uint32_t>(random_() % most); }
  std::uint32_t any_number() { return 1 + below(kNumbers); }

  void step() {
    switch (below(10)) {
      case 0:
      case 1:
      case 2: return start(any_number());
      case 3: return start_forged(any_number());
      case 4: return inspect(any_number());
      case 5: return end(any_number());
      case 6: return remove_live(any_number());
      case 7: return update(any_number());
      case 8: return drop();
      default: return garble(any_number());
    }
  }

  JailPlan plan_of(std::uint32_t number) {
    std::vector<std::string> argv = {"/bin/sleep", "1000"};
    if (below(4) == 0) argv = {"/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"};
    JailPlan plan = client_->plan(number, std::move(argv), below(3) == 0 ? "strict" : "default");
    plan.session = below(4) == 0;
    if (plan.session) plan.job.argv.clear();
    return plan;
  }

  void start(std::uint32_t number) {
    JailPlan plan = plan_of(number);
    if (plan.session) plan = client_->plan(number, {"/bin/sleep", "1000"});
    Launched launched = client_->start(plan);
    EXPECT_EQ(launched.started.has_value(), !live_.contains(number))
        << (launched.failed ? launched.failed->step + ": " + launched.failed->detail : "a second one of the number");
    if (launched.started) live_.insert_or_assign(number, std::move(launched));
  }

  void start_forged(std::uint32_t number) {
    static const std::vector<std::function<void(JailPlan&)>> kForgeries = {
        [](JailPlan& p) { p.network = wire::NetworkMode::kHost; },
        [](JailPlan& p) { p.limits.nofile = 1U << 30; },
        [](JailPlan& p) { p.profile_hash[3] ^= 1; },
        [](JailPlan& p) { p.number += kNumbersPerSlice; },
        [](JailPlan& p) { p.inside_uid = kPoolFirst + 5; },
        [](JailPlan& p) { p.request = "r-of-nobody"; },
        [](JailPlan& p) {
          p.tmpfs.push_back({"/usr", 4096, 16, 0755});
        },
        [](JailPlan& p) { p.job.workdir = "/proc/self/fd/3"; },
    };
    JailPlan plan = client_->plan(number);
    kForgeries[below(static_cast<std::uint32_t>(kForgeries.size()))](plan);
    EXPECT_TRUE(client_->start(plan).failed.has_value());
    // One that was refused late has taken its number, and left it empty.
    EXPECT_TRUE(live_.contains(number) || client_->remove(number));
  }

  void inspect(std::uint32_t number) {
    const bool live = client_->verb(LauncherMessage::kInspect, number).type == type_of(LauncherMessage::kInspected);
    EXPECT_EQ(live, live_.contains(number)) << number;
  }

  void end(std::uint32_t number) {
    const bool live = live_.erase(number) != 0;
    const bool killed = client_->verb(LauncherMessage::kKill, number).type == type_of(LauncherMessage::kDone);
    EXPECT_EQ(killed, live) << number;
    EXPECT_TRUE(!live || client_->remove(number));
  }

  // Without a kill: what lives stays.
  void remove_live(std::uint32_t number) {
    const bool removed = client_->verb(LauncherMessage::kRemove, number).type == type_of(LauncherMessage::kDone);
    EXPECT_FALSE(removed && live_.contains(number)) << number;
  }

  void update(std::uint32_t number) {
    Limits limits = client_->plan(number).limits;
    if (below(2) == 0) limits.pids_max = 1U << 30;
    const std::uint64_t id = (std::uint64_t{1} << 40) + ++asked_;
    ASSERT_TRUE(
        wire::send(client_->fd(), LauncherMessage::kUpdate, id, wire::UpdateRequest{number, "r-1", limits}).ok());
    const auto answer = client_->answer(id);
    ASSERT_TRUE(answer.has_value());
    EXPECT_TRUE(live_.contains(number) || answer->type == type_of(LauncherMessage::kFailed));
  }

  // sandboxd dies, with a start on its way: whatever came of that is found by the list, and ended.
  void drop() {
    const std::uint32_t number = any_number();
    if (below(2) == 0) client_->send_start(client_->plan(number, {"/bin/sleep", "1000"}));
    reconnect();
    for (auto row = live_.begin(); row != live_.end();) row = below(2) == 0 ? lost(row) : std::next(row);
    // A launch that is under way still takes its number when this asks.
    EXPECT_TRUE(eventually([&] {
      if (live_.contains(number)) return true;
      static_cast<void>(client_->verb(LauncherMessage::kKill, number));
      return client_->verb(LauncherMessage::kRemove, number).type == type_of(LauncherMessage::kDone) &&
             children_of(stack_->launcher().pid()).size() <= 1 + live_.size();
    }));
    EXPECT_TRUE(live_.contains(number) || client_->remove(number));
  }
  // Its descriptors go, which ends it; its number is taken until it is removed.
  std::map<std::uint32_t, Launched>::iterator lost(std::map<std::uint32_t, Launched>::iterator row) {
    const std::uint32_t number = row->first;
    const auto next = live_.erase(row);
    EXPECT_TRUE(client_->remove(number));
    return next;
  }

  void reconnect() {
    client_.reset();
    client_ = stack_->connect();
    ASSERT_NE(client_, nullptr) << stack_->log();
  }

  // A plan's bytes, cut or changed: refused, or the connection is closed. Never a jail.
  void garble(std::uint32_t number) {
    JailPlan plan = client_->plan(number);
    plan.request = "r-of-nobody";  // what is changed may happen to be a plan all the same
    std::vector<std::uint8_t> body = wire::encode(plan);
    if (below(2) == 0) {
      body.resize(below(static_cast<std::uint32_t>(body.size())));
    } else {
      for (int i = 0; i < 4; ++i)
        body[below(static_cast<std::uint32_t>(body.size()))] ^= static_cast<std::uint8_t>(1 + below(255));
    }
    const std::uint64_t id = (std::uint64_t{1} << 41) + ++asked_;
    ASSERT_TRUE(wire::send_message(client_->fd(), type_of(LauncherMessage::kStart), id, body, {}, 0).ok());
    const auto answer = client_->answer(id);
    EXPECT_TRUE(!answer || answer->type == type_of(LauncherMessage::kFailed));
    reconnect();
    for (std::uint32_t one = 1; one <= kNumbers; ++one) {
      EXPECT_TRUE(live_.contains(one) || client_->remove(one));
    }
  }

  void expect_all_is_somebodys() {
    std::set<std::string> networks;
    for (const auto& [number, launched] : live_) {
      std::error_code gone;
      const auto network =
          std::filesystem::read_symlink(fmt::format("/proc/{}/ns/net", launched.started->init_pid), gone);
      EXPECT_FALSE(gone) << "jail " << number << " has ended";
      EXPECT_TRUE(networks.insert(network).second) << "jail " << number << " shares its network";
    }
    const auto strangers = [&] {
      return std::ranges::count_if(processes_of_ids(stack_->slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail),
                                   [&](pid_t pid) { return !is_of_a_jail(pid); });
    };
    EXPECT_TRUE(eventually([&] { return strangers() == 0; })) << "processes of ids that no jail has";
    const auto cgroups = [&] { return jail_cgroups(stack_->slice()).size(); };
    EXPECT_TRUE(eventually([&] { return cgroups() == live_.size(); }))
        << cgroups() << " cgroups, " << live_.size() << " jails";
    EXPECT_LE(open_descriptors(stack_->launcher().pid()), descriptors_ + kSlack);
  }
  bool is_of_a_jail(pid_t pid) const {
    const std::string uid = status_line(pid, "Uid");
    const std::uint64_t id = std::strtoull(uid.c_str(), nullptr, 10);
    return uid.empty() || id < stack_->slice() ||
           live_.contains(static_cast<std::uint32_t>((id - stack_->slice()) / kIdsPerJail));
  }

  void forget_all() {
    for (auto row = live_.begin(); row != live_.end();) row = lost(row);
    expect_all_is_somebodys();
    const pid_t launcher = stack_->launcher().pid();
    EXPECT_TRUE(eventually([&] { return mounts_seen_by(launcher) == mounts_; }));
    EXPECT_TRUE(eventually([&] { return open_descriptors(launcher) <= descriptors_ + kSlack; }));
  }

  std::unique_ptr<LauncherStack> stack_;
  std::unique_ptr<HostileSandboxd> client_;
  std::mt19937 random_;
  std::map<std::uint32_t, Launched> live_;
  std::vector<std::string> mounts_;
  std::size_t descriptors_ = 0;
  std::uint64_t asked_ = 0;
};

TEST_F(Sequences, E72_LeaveNothingAndShareNothing) {
  if (const char* seed = std::getenv("SANDBOXD_SEED"); seed != nullptr) {
    return play(static_cast<std::uint32_t>(std::strtoul(seed, nullptr, 10)), 10 * kSteps);
  }
  const std::uint32_t seeds = std::getenv("SANDBOXD_LONG") == nullptr ? 2 : 200;
  for (std::uint32_t seed = 1; seed <= seeds && !HasFailure(); ++seed) play(seed, kSteps);
}

}  // namespace
}  // namespace sandboxd::test
