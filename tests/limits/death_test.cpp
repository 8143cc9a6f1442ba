// The daemon's programs and jails' first processes die while jails are busy with all that they may have: nothing stays behind, and
// who has nothing to do with it goes on.
#include <csignal>
#include <list>
#include <memory>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/ids.h"
#include "tests/support/command.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

class DeathUnderLoad : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    stack_ = std::make_unique<Stack>();
    ASSERT_EQ(stack_->failure(), "");
    static_cast<void>(stack_->dir().copy_program("limit_hog", "probes/limit_hog"));
    for (const auto& words : {std::vector<std::string>{"spin", "600000"}, {"hold", "64"}, {"beat", "100000"}})
      start(words);
    ASSERT_TRUE(eventually([&] { return jails() == 3 && job_processes() >= 3; }, 60'000));
  }

  void start(const std::vector<std::string>& words) {
    std::vector<std::string> arguments = {"run", "--ro-bind", stack_->probes() + ":/probes", "--", "/probes/limit_hog"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    CommandSpec spec = stack_->ctl_spec(kAlice, std::move(arguments));
    spec.timeout_ms = 120'000;
    commands_.emplace_back(std::move(spec));
  }
  [[nodiscard]] std::size_t jails() const { return jail_cgroups(stack_->slice()).size(); }
  [[nodiscard]] std::size_t job_processes() const {
    std::size_t jobs = 0;
    for (const pid_t pid : processes_of_ids(stack_->slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail))
      jobs += command_name(pid) == "limit_hog" ? 1 : 0;
    return jobs;
  }
  [[nodiscard]] bool nothing_left() const {
    return jails() == 0 && processes_of_ids(stack_->slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail).empty();
  }
  // Dead, and another in its place.
  void kill_program(const std::string& name) {
    const pid_t old = stack_->program(name);
    ASSERT_GT(old, 0) << name;
    ASSERT_EQ(::kill(old, SIGKILL), 0);
    ASSERT_TRUE(eventually(
        [&] {
          const pid_t now = stack_->program(name);
          return now > 0 && now != old;
        },
        30'000));
  }
  // Every new jail can be had again.
  void expect_service() const {
    Output ran;
    EXPECT_TRUE(eventually(
        [&] {
          ran = stack_->ctl(kAlice, {"run", "--", "/bin/echo", "works"});
          return ran.out == "works\n";
        },
        60'000))
        << describe(ran);
  }

  std::unique_ptr<Stack> stack_{};
  std::list<Command> commands_{};
};

TEST_F(DeathUnderLoad, OfTheDaemonEndsItsJails) {
  kill_program("sandboxd");
  EXPECT_TRUE(eventually([&] { return nothing_left(); }, 60'000));
  for (Command& command : commands_) EXPECT_NE(command.finish().status, 0);
  expect_service();
}

TEST_F(DeathUnderLoad, OfTheLauncherTouchesNoJail) {
  const std::size_t before = jails();
  kill_program("sandboxd-launcher");
  expect_service();
  EXPECT_TRUE(eventually([&] { return jails() == before; })) << jails();
  EXPECT_GE(job_processes(), 3U);
  for (Command& command : commands_) command.signal(SIGTERM);
  for (Command& command : commands_) EXPECT_NE(command.finish().status, 0);
  EXPECT_TRUE(eventually([&] { return nothing_left(); }, 60'000));
}

TEST_F(DeathUnderLoad, OfAJailsFirstProcessEndsThatJailAlone) {
  pid_t first = 0;
  for (const pid_t pid : processes_of_ids(stack_->slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail)) {
    if (command_name(pid) == "jail-init") first = pid;
  }
  ASSERT_GT(first, 0);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return jails() == 2; }, 60'000));
  EXPECT_GE(job_processes(), 2U);
  expect_service();
  for (Command& command : commands_) command.signal(SIGTERM);
  for (Command& command : commands_) EXPECT_NE(command.finish().status, 0);
  EXPECT_TRUE(eventually([&] { return nothing_left(); }, 60'000));
}

}  // namespace
}  // namespace sandboxd::test
