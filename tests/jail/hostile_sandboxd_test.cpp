// Whoever takes sandboxd over, with what it has of a live jail and of users: ids E65, E73, E74, E78.
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/socket.h"
#include "tests/support/command.h"
#include "tests/support/launcher_stack.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

using testing::HasSubstr;
using wire::JailPlan;

// A launcher with a profile that is alice's alone.
class TakenOver : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0) return;
    folder_ = std::make_unique<WorkDir>();
    static_cast<void>(folder_->make("profiles.d", 0));
    write_profile("hers");
    LauncherStack::Options options;
    options.config = fmt::format(R"("profile_dirs": ["{}/profiles.d"])", folder_->path());
    stack_ = std::make_unique<LauncherStack>(options);
    client_ = stack_->connect();
  }
  static void TearDownTestSuite() {
    client_.reset();
    stack_.reset();
    folder_.reset();
  }
  void SetUp() override {
    if (!stack_) GTEST_SKIP() << "needs root: starts the launcher";
    ASSERT_NE(client_, nullptr) << stack_->log();
  }
  static void write_profile(const std::string& description) {
    static_cast<void>(
        folder_->write("profiles.d/mine.json",
                       fmt::format(R"({{"name": "mine", "description": "{}", "inherits": "default", "users": [{}]}})",
                                   description, kAlice)));
  }
  static JailPlan plan_of(const std::string& profile, std::vector<std::string> argv = {"/bin/echo", "ran"}) {
    return client_->plan(++number_, std::move(argv), profile);
  }
  static JailPlan with_token(JailPlan plan, const wire::Token& token, uid_t uid = kAlice) {
    plan.has_token = true;
    plan.token = token;
    plan.inside_uid = plan.inside_gid = uid;
    return plan;
  }
  static std::string outcome(const JailPlan& plan) {
    Launched launched = client_->start(plan);
    std::string text =
        launched.failed ? launched.failed->step + ": " + launched.failed->detail : await_job(launched).out;
    EXPECT_TRUE(client_->remove(plan.number));
    return text;
  }

  static std::unique_ptr<WorkDir> folder_;
  static std::unique_ptr<LauncherStack> stack_;
  static std::unique_ptr<HostileSandboxd> client_;
  static std::uint32_t number_;
};

std::unique_ptr<WorkDir> TakenOver::folder_;
std::unique_ptr<LauncherStack> TakenOver::stack_;
std::unique_ptr<HostileSandboxd> TakenOver::client_;
std::uint32_t TakenOver::number_ = 0;

TEST_F(TakenOver, E65_AProfileForSomeUsersNeedsTheBrokersWordThatItIsThey) {
  EXPECT_THAT(outcome(plan_of("mine")), HasSubstr("token"));
  {
    const auto bobs = stack_->hand_over(kBob, token_of(1), {});
    ASSERT_TRUE(bobs.has_value());
    EXPECT_THAT(outcome(with_token(plan_of("mine"), token_of(1), kBob)), HasSubstr("is for users 4242"));
  }
  const auto alices = stack_->hand_over(kAlice, token_of(2), {});
  ASSERT_TRUE(alices.has_value());
  EXPECT_EQ(outcome(with_token(plan_of("mine"), token_of(2))), "ran\n");
  EXPECT_THAT(outcome(with_token(plan_of("mine"), token_of(2))), HasSubstr("claim")) << "once";
}

// Nothing of theirs is mapped, so who has no files may be anybody: here a system account.
TEST_F(TakenOver, E65_WhoHandsNothingOverNeedsNoIdThatMayBeMapped) {
  constexpr uid_t kSystem = 33;
  const auto held = stack_->hand_over(kSystem, token_of(3), {});
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(outcome(with_token(plan_of("default"), token_of(3), kSystem)), "ran\n");
}

TEST_F(TakenOver, E73_AWiderPlanDoesNotTakeTheTokenThatItCites) {
  const auto held = stack_->hand_over(kAlice, token_of(4), {});
  ASSERT_TRUE(held.has_value());
  JailPlan wide = with_token(plan_of("default"), token_of(4));
  wide.network = wire::NetworkMode::kHost;
  EXPECT_THAT(outcome(wide), HasSubstr("narrow"));
  EXPECT_EQ(outcome(with_token(plan_of("default"), token_of(4))), "ran\n");
}

TEST_F(TakenOver, E73_AProfilesOldHashIsRefused) {
  const auto first = stack_->hand_over(kAlice, token_of(5), {});
  ASSERT_EQ(outcome(with_token(plan_of("mine"), token_of(5))), "ran\n");
  const JailPlan old = with_token(plan_of("mine"), token_of(6));
  write_profile("changed");
  stack_->launcher().signal(SIGHUP);
  const auto reloaded = [] {
    client_ = stack_->connect();
    return client_ != nullptr && client_->profiles().find("mine")->description == "changed";
  };
  ASSERT_TRUE(eventually(reloaded, 20'000));
  const auto second = stack_->hand_over(kAlice, token_of(6), {});
  EXPECT_THAT(outcome(old), HasSubstr("narrow"));
  EXPECT_EQ(outcome(with_token(plan_of("mine"), token_of(6))), "ran\n");
}

// What sandboxd's id can write of the cgroups: nothing by their names. Root, the control, can open each of them.
TEST_F(TakenOver, E73_TheCgroupsFilesAreRoots) {
  const JailPlan plan = plan_of("default", {"/bin/sleep", "1000"});
  const Launched launched = client_->start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  const std::string slice = slice_cgroup(stack_->slice());
  const std::string jail = fmt::format("{}/jail-{}", slice, plan.number);
  std::size_t files = 0;
  for (const std::string& folder : {slice, jail}) {
    for (const char* name :
         {"cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "cgroup.max.depth", "cgroup.type", "cgroup.kill",
          "cgroup.freeze", "memory.max", "memory.swap.max", "pids.max", "cpu.max", "io.max"}) {
      const std::string path = folder + "/" + name;
      if (::access(path.c_str(), F_OK) < 0) continue;
      ++files;
      EXPECT_TRUE(UniqueFd(::open(path.c_str(), O_WRONLY | O_CLOEXEC)).valid()) << path << ": the control";
      const auto as_sandboxd = [&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC) < 0 ? errno : 0; };
      EXPECT_EQ(as_user(own_id(stack_->slice(), OwnId::kSandboxd), as_sandboxd), EACCES) << path;
    }
    const auto below = [&] { return ::mkdir((folder + "/mine").c_str(), 0755) < 0 ? errno : 0; };
    EXPECT_EQ(as_user(own_id(stack_->slice(), OwnId::kSandboxd), below), EACCES) << folder;
  }
  EXPECT_GE(files, 10U);
  EXPECT_TRUE(client_->remove(plan.number));
}

// The two files that it was given are those two, and no way to others.
TEST_F(TakenOver, E73_WhatItHasOfAJailsCgroupIsNoWayFurther) {
  const JailPlan plan = plan_of("default", {"/bin/sleep", "1000"});
  const Launched launched = client_->start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  std::size_t writable = 0;
  for (std::size_t i = static_cast<std::size_t>(wire::StartedFd::kCgroupKill); i < launched.fds.size(); ++i) {
    const int fd = launched.fds[i].get();
    if (fd < 0) continue;
    struct stat info {};
    ASSERT_EQ(::fstat(fd, &info), 0);
    EXPECT_TRUE(S_ISREG(info.st_mode)) << i;
    EXPECT_EQ(info.st_uid, 0U);
    writable += (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY ? 1 : 0;
    const auto further = [&] { return ::openat(fd, "../cgroup.procs", O_WRONLY | O_CLOEXEC) < 0 ? errno : 0; };
    EXPECT_EQ(as_user(own_id(stack_->slice(), OwnId::kSandboxd), further), ENOTDIR) << i;
  }
  EXPECT_EQ(writable, 2U) << "kill and freeze";
  EXPECT_TRUE(client_->remove(plan.number));
}

class TakenOverControl : public TakenOver, public ::testing::WithParamInterface<int> {};

// E74: the socket that keeps a jail is shut, at one end or both, and the jail ends, with a job that would stay.
TEST_P(TakenOverControl, E74_AControlSocketThatIsShutEndsTheJail) {
  const JailPlan plan = plan_of("default", {"/bin/sh", "-c", GetParam() == SHUT_RD ? "exit 3" : "sleep 1000"});
  const Launched launched = client_->start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->detail;
  pollfd ended{launched.pidfd(), POLLIN, 0};
  ASSERT_EQ(::poll(&ended, 1, 0), 0);
  ASSERT_EQ(::shutdown(launched.control(), GetParam()), 0);
  EXPECT_EQ(::poll(&ended, 1, scaled_ms(20'000)), 1);
  const std::uint32_t first = stack_->slice() + plan.number * kIdsPerJail;
  EXPECT_TRUE(eventually([&] { return processes_of_ids(first, kIdsPerJail).empty(); }));
  EXPECT_TRUE(client_->remove(plan.number));
}
INSTANTIATE_TEST_SUITE_P(Ends, TakenOverControl, ::testing::Values(SHUT_RD, SHUT_WR, SHUT_RDWR));

// E78: a directory whose path prints as "/etc", in a user and a mount namespace of its owner's. There is no path that anybody
// looks at: without its namespace it is refused, with it the jail sees what is in it, and in neither case the host's.
class ForeignDirectory : public TakenOver {
 protected:
  void SetUp() override {
    TakenOver::SetUp();
    if (IsSkipped()) return;
    auto pair = socket_pair(SOCK_SEQPACKET);
    ASSERT_TRUE(pair.ok());
    child_ = ::fork();
    ASSERT_GE(child_, 0);
    if (child_ == 0) {
      pair->first.reset();
      ::_exit(live_there(pair->second.get()));
    }
    pair->second.reset();
    auto sent = receive_packet(pair->first.get(), 1, 2);
    ASSERT_TRUE(sent.ok() && sent->fds.size() == 2) << "no user namespaces for users here";
    directory_ = std::move(sent->fds[0]);
    namespace_ = std::move(sent->fds[1]);
    keep_ = std::move(pair->first);
  }
  void TearDown() override {
    keep_.reset();
    int status = 0;
    if (child_ > 0) {
      EXPECT_EQ(::waitpid(child_, &status, 0), child_);
      EXPECT_EQ(status, 0);
    }
  }
  static int live_there(int socket) {
    if (::setgid(kAlice) < 0 || ::setuid(kAlice) < 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return 1;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/uid_map") << fmt::format("0 {} 1", kAlice);
    std::ofstream("/proc/self/gid_map") << fmt::format("0 {} 1", kAlice);
    if (::mount("none", "/etc", "tmpfs", 0, nullptr) < 0) return 2;
    std::ofstream("/etc/hostname") << "of alice's own\n";
    const int fds[] = {::open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                       ::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)};
    char path[64] = {};
    if (::readlink(fmt::format("/proc/self/fd/{}", fds[0]).c_str(), path, sizeof path - 1) != 4) return 3;
    const std::uint8_t byte = 1;
    if (!send_packet(socket, {&byte, 1}, fds).ok()) return 4;
    char end = 0;
    return ::read(socket, &end, 1) == 0 ? 0 : 5;  // the test's end
  }
  static JailPlan bind_plan(const wire::Token& token) {
    JailPlan plan = with_token(plan_of("default", {"/bin/cat", "/work/hostname"}), token);
    plan.binds = {{0, "/work", wire::Access::kRo, true}};
    return plan;
  }

  UniqueFd directory_, namespace_, keep_;
  pid_t child_ = -1;
};

TEST_F(ForeignDirectory, E78_IsRefusedWithoutItsNamespace) {
  const auto held = stack_->hand_over(kAlice, token_of(7), {directory_.get()});
  ASSERT_TRUE(held.has_value());
  const std::string refused = outcome(bind_plan(token_of(7)));
  EXPECT_THAT(refused, HasSubstr("workspace"));
  EXPECT_THAT(refused, testing::Not(HasSubstr("alice")));
}

TEST_F(ForeignDirectory, E78_AsARootItIsRefusedTo) {
  const auto held = stack_->hand_over(kAlice, token_of(8), {directory_.get()});
  ASSERT_TRUE(held.has_value());
  JailPlan plan = with_token(plan_of("default"), token_of(8));
  plan.root = wire::RootKind::kDirectory;
  EXPECT_THAT(outcome(plan), testing::Not(HasSubstr("ran")));
}

// The control: a directory of the host's, by the same way.
TEST_F(ForeignDirectory, E78_TheHostsOwnIsTaken) {
  const std::string path = stack_->dir().make("etc", kAlice);
  static_cast<void>(stack_->dir().write("etc/hostname", "of the host\n", kAlice));
  const UniqueFd own(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto held = stack_->hand_over(kAlice, token_of(9), {own.get()});
  ASSERT_TRUE(held.has_value());
  EXPECT_EQ(outcome(bind_plan(token_of(9))), "of the host\n");
}

}  // namespace
}  // namespace sandboxd::test
