// What fails during a launch stays with that launch: each set-up call refused in turn (E13, E75), and a client's file system
// that never answers (E66).
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/errno_hints.h"
#include "base/ids.h"
#include "base/socket.h"
#include "tests/jail/hostile.h"

namespace sandboxd::test {
namespace {

using wire::JailPlan;
using wire::LauncherMessage;

// Answers the gate's questions: each call goes on, but for one.
class Gate {
 public:
  explicit Gate(int listener) : listener_(listener), stop_(::eventfd(0, EFD_CLOEXEC)), thread_([this] { serve(); }) {}
  ~Gate() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t wrote = ::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // The call after `calls` more is refused with EPERM; -1: none.
  void refuse_after(long calls) {
    refused_call_ = -1;
    left_ = calls;
  }
  [[nodiscard]] int refused_call() const { return refused_call_; }  // its number; -1: it did not come to that

 private:
  void serve() {
    for (;;) {
      pollfd fds[2] = {{listener_, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(&fds[0], 2, -1) < 0 && errno != EINTR) return;
      if (fds[1].revents != 0 || (fds[0].revents & POLLHUP) != 0) return;
      if (fds[0].revents != 0) answer();
    }
  }
  void answer() {
    seccomp_notif question{};
    if (::ioctl(listener_, SECCOMP_IOCTL_NOTIF_RECV, &question) < 0) return;
    seccomp_notif_resp reply{};
    reply.id = question.id;
    const long left = left_ >= 0 ? left_-- : -1;
    if (left == 0) {
      refused_call_ = question.data.nr;
      reply.error = -EPERM;
    } else {
      reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    }
    // ENOENT: whoever asked is dead already.
    static_cast<void>(::ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &reply));
  }

  int listener_;
  UniqueFd stop_;
  std::atomic<long> left_ = -1;
  std::atomic<int> refused_call_ = -1;
  std::thread thread_;
};

std::string fact(const Launched& launched, const std::string& name) {
  for (const wire::Fact& row : launched.started->readback.facts) {
    if (row.name == name) return row.value;
  }
  return "";
}

// Two jails at a time: each in a network namespace of its own, and not in the host's.
void expect_apart(HostileSandboxd& client, std::uint32_t first) {
  const Launched a = client.start(client.plan(first, {"/bin/sleep", "1000"}));
  const Launched b = client.start(client.plan(first + 1, {"/bin/sleep", "1000"}));
  ASSERT_TRUE(a.started && b.started) << (a.failed ? a.failed->detail : b.failed->detail);
  struct stat host {};
  ASSERT_EQ(::stat("/proc/self/ns/net", &host), 0);
  const std::set<std::string> namespaces = {fact(a, "ns.net"), fact(b, "ns.net"), std::to_string(host.st_ino)};
  EXPECT_EQ(namespaces.size(), 3U);
  EXPECT_TRUE(client.remove(first));
  EXPECT_TRUE(client.remove(first + 1));
}

TEST(HostileFault, E13_E75_EachSetUpCallThatFailsEndsTheLaunchAndNothingElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the launcher";
  LauncherStack stack({.config = "", .gated = true});
  ASSERT_GE(stack.gate(), 0) << stack.log();
  Gate gate(stack.gate());
  const auto client = stack.connect();
  ASSERT_NE(client, nullptr) << stack.log();
  const std::vector<std::string> mounts = mounts_seen_by(stack.launcher().pid());
  const std::size_t descriptors = open_descriptors(stack.launcher().pid());
  std::uint32_t number = 1;
  long calls = 0;
  std::set<int> numbers;
  for (; calls < 400; ++calls) {
    gate.refuse_after(calls);
    JailPlan plan = client->plan(number, {"/bin/true"});
    plan.dirs = {"/made"};
    Launched launched = client->start(plan);
    const int refused = gate.refused_call();
    if (refused >= 0) numbers.insert(refused);
    if (launched.started && refused < 0) await_job(launched);
    const bool late = launched.started && gate.refused_call() >= 0;
    gate.refuse_after(-1);
    EXPECT_TRUE(client->remove(number)) << "after call " << calls;
    if (launched.started && !late) break;
    ASSERT_TRUE(launched.failed || late) << "call " << calls << " (number " << refused
                                         << ") was refused, and the jail started all the same";
    EXPECT_TRUE(!launched.failed || !launched.failed->step.empty()) << calls;
    if (calls % 16 == 0) expect_apart(*client, number + 1);
    number += 3;
  }
  EXPECT_GT(calls, 40) << "the gate sees too little";
  // No launch went on by another way: by a path where a descriptor was refused, without a mount, a rule or a filter.
  constexpr int kOpenTree = 428, kMoveMount = 429, kFsopen = 430, kFsconfig = 431, kFsmount = 432, kMountSetattr = 442,
                kRestrictSelf = 446;
  EXPECT_THAT(numbers, ::testing::IsSupersetOf(std::set<int>{kOpenTree, kMoveMount, kFsopen, kFsconfig, kFsmount,
                                                             kMountSetattr, kRestrictSelf, SYS_unshare, SYS_pivot_root,
                                                             SYS_clone3, SYS_seccomp, SYS_setresuid, SYS_capset}));
  expect_apart(*client, number + 1);
  EXPECT_TRUE(jail_cgroups(stack.slice()).empty());
  EXPECT_EQ(mounts_seen_by(stack.launcher().pid()), mounts);
  // The networks that the launcher keeps at hand may not have been made yet when it was counted.
  constexpr std::size_t kNetworks = 8;
  EXPECT_TRUE(eventually([&] { return open_descriptors(stack.launcher().pid()) <= descriptors + kNetworks; }))
      << open_descriptors(stack.launcher().pid()) << " descriptors, " << descriptors << " before";
  EXPECT_TRUE(
      eventually([&] { return processes_of_ids(stack.slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail).empty(); }));
  fmt::print("{} calls refused, one after another\n", calls);
}

// A process has one listener at most: under a container engine's, the recorder's can't be had, and the jail isn't started without it.
TEST(HostileFault, E36_UnderAListenerOfOthersAJailThatTellsIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the launcher";
  LauncherStack stack({.config = "", .gated = true});
  ASSERT_GE(stack.gate(), 0) << stack.log();
  const Gate gate(stack.gate());
  const auto client = stack.connect();
  ASSERT_NE(client, nullptr) << stack.log();
  JailPlan plan = client->plan(1, {"/bin/echo", "ran"});
  plan.explain_denials = true;
  const Launched told = client->start(plan);
  ASSERT_TRUE(told.failed.has_value());
  EXPECT_EQ(told.failed->step, "seccomp") << told.failed->detail;
  EXPECT_EQ(told.failed->code, EBUSY);
  EXPECT_THAT(errno_hint(told.failed->detail, EBUSY), ::testing::HasSubstr("one listener at most"));
  EXPECT_TRUE(client->remove(1));
  Launched plain = client->start(client->plan(2, {"/bin/echo", "ran"}));
  ASSERT_TRUE(plain.started.has_value()) << plain.failed->detail;
  EXPECT_EQ(await_job(plain).wait_status, 0);
  EXPECT_TRUE(client->remove(2));
}

TEST(HostileFault, E66_AClientsFileSystemThatNeverAnswersHoldsUpOneLaunchOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: mounts a FUSE file system";
  LauncherStack stack;
  const auto client = stack.connect();
  ASSERT_NE(client, nullptr) << stack.log();
  const std::string point = stack.dir().make("fuse", kAlice);
  Command server({.argv = {program_path("fuse_hang"), point, std::to_string(kAlice)}});
  if (!server.await_output("ready")) GTEST_SKIP() << "no FUSE here: " << server.finish().err;
  UniqueFd broker = connect_as(kAlice, stack.socket("broker"), SOCK_SEQPACKET);
  ASSERT_TRUE(broker.valid());
  // From here on nothing is forked: a child's exit would close its copy, and wait for ever.
  UniqueFd file(::open((point + "/file").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(file.valid());
  BrokerMessage message;
  message.token = token_of(1);
  message.fds = 1;
  const int fd = file.get();
  ASSERT_TRUE(
      send_packet(broker.get(), {reinterpret_cast<const std::uint8_t*>(&message), sizeof message}, {&fd, 1}).ok());
  JailPlan stuck = client->plan(1, {"/bin/sleep", "1000"});
  stuck.has_token = true;
  stuck.token = token_of(1);
  stuck.job.stdio = wire::StdioMode::kInherit;
  const std::uint64_t request = client->send_start(stuck);
  ASSERT_TRUE(server.await_output("flush")) << "nobody closed the file";
  for (std::uint32_t number = 2; number < 12; ++number) {
    const std::uint64_t before = monotonic_usec();
    Launched other = client->start(client->plan(number));
    ASSERT_TRUE(other.started.has_value()) << other.failed->detail;
    EXPECT_EQ(await_job(other).wait_status, 0);
    EXPECT_LT(monotonic_usec() - before, static_cast<std::uint64_t>(scaled_ms(3'000)) * 1000);
    EXPECT_TRUE(client->remove(number));
  }
  // It is killed at its deadline, and its number stays taken while it hangs all the same.
  const auto late = client->answer(request, 60'000);
  ASSERT_TRUE(late && late->type == static_cast<std::uint16_t>(LauncherMessage::kFailed));
  fmt::print("{}: {}\n", wire::body_of<wire::Failed>(*late)->step, wire::body_of<wire::Failed>(*late)->detail);
  EXPECT_FALSE(client->remove(1, 100));
  // The server's end lets all of them go.
  server.signal(SIGKILL);
  EXPECT_TRUE(client->remove(1, 30'000));
  Launched again = client->start(client->plan(1));
  ASSERT_TRUE(again.started.has_value());
  EXPECT_EQ(await_job(again).wait_status, 0);
  EXPECT_TRUE(client->remove(1));
  file.reset();
  ::umount2(point.c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace sandboxd::test
