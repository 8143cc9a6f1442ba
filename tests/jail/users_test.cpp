// What one user takes by a thousand others that it may be: E67.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/socket.h"
#include "tests/support/command.h"
#include "tests/support/host.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

constexpr uid_t kFirstSub = 700'000, kSubs = 1000, kNobodys = 800'000;
constexpr std::size_t kConnections = 64, kChildren = 64;

// alice's subordinate ids, in the mount namespace of this test alone.
class SubordinateIds : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0 || ::access("/etc/subuid", F_OK) < 0) return;
    own_mount_namespace();
    folder_ = std::make_unique<WorkDir>();
    const std::string file = folder_->path() + "/subuid";
    std::ofstream(file) << fmt::format("{}:{}:{}\n", kAlice, kFirstSub, kSubs);
    ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
    ASSERT_EQ(::mount(file.c_str(), "/etc/subuid", nullptr, MS_BIND, nullptr), 0);
    stack_ = std::make_unique<Stack>();
  }
  static void TearDownTestSuite() {
    if (!stack_) return;
    EXPECT_TRUE(stack_->end());
    EXPECT_EQ(stack_->left_over(), "");
    stack_.reset();
    ::umount2("/etc/subuid", MNT_DETACH);
    folder_.reset();
  }
  void SetUp() override {
    if (!stack_) GTEST_SKIP() << "needs root, and a host with /etc/subuid";
    ASSERT_EQ(stack_->failure(), "");
  }

  // A connection by each of `count` users from `first` on. The kernel notes the effective id at connect(2).
  static std::vector<UniqueFd> connect_all(const std::string& path, int type, uid_t first, std::size_t count) {
    std::vector<UniqueFd> sockets;
    for (std::size_t i = 0; i < count; ++i) {
      if (::seteuid(first + static_cast<uid_t>(i)) < 0) std::abort();
      auto socket = connect_unix(path, type);
      if (::seteuid(0) < 0) std::abort();
      if (!socket.ok()) continue;
      sockets.push_back(std::move(socket).value());
    }
    return sockets;
  }
  // Nothing is asked, so whoever hears something is refused. All that came before a refused one have been looked at.
  static std::size_t refused(const std::vector<UniqueFd>& sockets, std::size_t expected) {
    std::vector<pollfd> all;
    for (const UniqueFd& socket : sockets) all.push_back({socket.get(), POLLIN, 0});
    const auto heard = [&] {
      ::poll(all.data(), all.size(), 0);
      return static_cast<std::size_t>(std::ranges::count_if(all, [](const pollfd& one) { return one.revents != 0; }));
    };
    static_cast<void>(eventually([&] { return heard() >= expected; }, 20'000));
    return heard();
  }
  static void expect_runs(uid_t uid) {
    const std::string work = stack_->dir().make(fmt::format("work-{}", uid), uid);
    const Output done = stack_->ctl(uid, {"run", "--", "/bin/echo", "ran"}, "", work);
    EXPECT_EQ(done.out, "ran\n") << describe(done);
    std::filesystem::remove_all(work);
  }

  static std::unique_ptr<WorkDir> folder_;
  static std::unique_ptr<Stack> stack_;
};

std::unique_ptr<WorkDir> SubordinateIds::folder_;
std::unique_ptr<Stack> SubordinateIds::stack_;

TEST_F(SubordinateIds, E67_HoldOneUsersConnections) {
  const auto flood = connect_all(stack_->socket(), SOCK_STREAM, kFirstSub, kSubs);
  ASSERT_GE(flood.size(), kSubs - 8);
  EXPECT_EQ(refused(flood, flood.size() - kConnections), flood.size() - kConnections);
  expect_runs(kBob);
  const Output own = stack_->ctl(kAlice, {"info"});
  EXPECT_NE(own.status, 0) << "the owner's own connections are of the same share";
}

// The control: as many users who are nobody's.
TEST_F(SubordinateIds, E67_OthersHaveEachTheirOwn) {
  constexpr std::size_t kFew = 2 * kConnections;
  const auto many = connect_all(stack_->socket(), SOCK_STREAM, kNobodys, kFew);
  EXPECT_EQ(many.size(), kFew);
  expect_runs(kBob);
  EXPECT_EQ(refused(many, 0), 0U);
}

TEST_F(SubordinateIds, E67_HoldOneUsersPlacesAtTheBroker) {
  const std::string broker = stack_->runtime_dir() + "/broker.sock";
  const auto flood = connect_all(broker, SOCK_SEQPACKET, kFirstSub, 3 * kChildren);
  EXPECT_EQ(refused(flood, flood.size() - kChildren), flood.size() - kChildren);
  expect_runs(kBob);
}

// Hundreds of starts of one user, one after another in many places; another's each come to their turn.
TEST_F(SubordinateIds, E67_StartManyJailsWhileAnotherUsersStartsAreNotLate) {
  constexpr int kAtOnce = 24, kRounds = 5, kBound = 10'000;
  const std::string go_on = stack_->dir().write("go-on", "", 0, 0644);
  std::vector<Command> flood;
  for (int i = 0; i < kAtOnce; ++i) {
    CommandSpec spec = stack_->ctl_spec(kFirstSub + static_cast<uid_t>(i), {"run", "--", "/bin/true"});
    spec.argv.insert(
        spec.argv.begin(),
        {"/bin/sh", "-c", "n=0; while [ -e " + go_on + " ]; do \"$@\" && n=$((n+1)); done; echo $n", "sh"});
    flood.emplace_back(std::move(spec));
  }
  for (int i = 0; i < kRounds; ++i) {
    const std::uint64_t begun = monotonic_usec();
    const Output done = stack_->ctl(kBob, {"run", "--", "/bin/echo", "ran"});
    EXPECT_EQ(done.out, "ran\n") << describe(done);
    EXPECT_LT(monotonic_usec() - begun, std::uint64_t{1000} * static_cast<std::uint64_t>(scaled_ms(kBound)));
  }
  std::filesystem::remove(go_on);
  int started = 0;
  for (Command& command : flood) started += std::atoi(command.finish().out.c_str());
  EXPECT_GT(started, kAtOnce) << "there was no flood";
}

TEST_F(SubordinateIds, E67_AreTheirOwnUsersInAllElse) {
  expect_runs(kFirstSub + 7);
  const std::string work = stack_->dir().make("of-alice", kAlice);
  const Output made = stack_->ctl(kAlice, {"create"}, "", work);
  ASSERT_EQ(made.status, 0) << describe(made);
  const Output seen = stack_->ctl(kFirstSub, {"ps", "--json"});
  EXPECT_EQ(seen.out.find("\"uid\":4242"), std::string::npos) << seen.out;
  EXPECT_EQ(stack_->ctl(kAlice, {"rm", "-f", made.out.substr(0, made.out.find('\n'))}).status, 0);
  std::filesystem::remove_all(work);
}

}  // namespace
}  // namespace sandboxd::test
