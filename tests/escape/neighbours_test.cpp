// Jails beside one another, and a job against whoever ends it or answers it: ids E16, E22, E37, E39, E50.
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/ids.h"
#include "base/socket.h"
#include "tests/escape/escape.h"

namespace sandboxd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kShared = "/usr/bin/env";

std::vector<std::string> in_jail(const Stack& stack, std::vector<std::string> options,
                                 const std::vector<std::string>& command) {
  options.insert(options.begin(), "run");
  options.insert(options.end(), {"--ro-bind", stack.probes() + ":/probes", "--"});
  options.insert(options.end(), command.begin(), command.end());
  return options;
}

class Neighbours : public Escape {
 protected:
  static CommandSpec jail(std::vector<std::string> options, const std::vector<std::string>& command) {
    return stack().ctl_spec(kAlice, in_jail(stack(), std::move(options), command));
  }
  // What one jail learns of another's locks and use of a file that both see.
  static Tries noticed(const std::string& profile) {
    Command holding(jail({"--profile", profile}, {"/probes/probe_channels", "hold", kShared}));
    EXPECT_TRUE(holding.await_output("ofd-lock"));
    Command noticing(jail({"--profile", profile}, {"/probes/probe_channels", "notice", kShared}));
    if (noticing.await_output("watching")) {
      const Output other = stack().ctl(kAlice, {"run", "--profile", profile, "--", kShared, "true"});
      EXPECT_EQ(other.status, 0) << describe(other);
    }
    Tries tries = parse_probe(noticing.finish());
    holding.signal(SIGTERM);
    return tries;
  }
};

// Shown, not refused: files that are shown to two jails are the same files, and what the kernel tells of their use is no matter of
// rights (SECURITY.md says so). The table of all locks is the host's, and is not shown; nobody else's id is.
TEST_F(Neighbours, E16_LocksAndUseOfAFileThatTwoJailsSeeAreSeen) {
  const Tries seen = noticed("default");
  EXPECT_TRUE(seen.at("flock").through);
  EXPECT_TRUE(seen.at("ofd-lock").through);
  EXPECT_TRUE(seen.at("inotify").through);
  EXPECT_FALSE(seen.at("table-of-locks").through);
}

TEST_F(Neighbours, E16_UnderStrictNobodyWatchesAndLocksAreSeen) {
  const Tries seen = noticed("strict");
  EXPECT_TRUE(seen.at("flock").through);
  EXPECT_FALSE(seen.at("inotify").through);
  EXPECT_EQ(seen.at("inotify").detail, "ENOSYS");
  EXPECT_EQ(seen.at("watch-by-signal").detail, "EINVAL");
  EXPECT_FALSE(seen.at("table-of-locks").through);
}

std::vector<pid_t> jailed_processes(const Stack& stack) {
  return processes_of_ids(stack.slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail);
}

// Two processes that stop all others and themselves.
TEST_F(Neighbours, E22_E50_AJailThatHasStoppedItselfAnswersAndIsKilled) {
  Command run(jail({"--name=stopped"}, {"/bin/sh", "-c",
                                        "(while :; do kill -STOP -1; done) & echo up; exec sh -c "
                                        "'while :; do kill -STOP -1; kill -STOP $$; done'"}));
  ASSERT_TRUE(run.await_output("up"));
  EXPECT_EQ(stack().ctl(kAlice, {"inspect", "stopped"}).status, 0);
  EXPECT_EQ(stack().ctl(kAlice, {"kill", "stopped", "--signal=KILL"}).status, 0);
  EXPECT_EQ(run.finish().status, 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return jailed_processes(stack()).empty(); }));
}

// Its own process is frozen with it, so somebody else must look at the clock.
TEST_F(Neighbours, E50_AFrozenJailsTimeRunsOut) {
  Command run(jail({"--name=frozen", "--timeout=5s"}, {"/bin/sh", "-c", "echo up; exec sleep 1000"}));
  ASSERT_TRUE(run.await_output("up"));
  ASSERT_EQ(stack().ctl(kAlice, {"freeze", "frozen"}).status, 0);
  EXPECT_EQ(stack().ctl(kAlice, {"inspect", "frozen"}).status, 0);
  EXPECT_EQ(run.finish().status, 124);
  EXPECT_TRUE(eventually([&] { return jailed_processes(stack()).empty(); }));
}

// What the rows E37 try, where another process answers for the filter.
TEST_F(Neighbours, E37_TheRecorderAnswersAsTheFilterWhateverItsCallersDo) {
  for (const char* check : {"rewrite", "storm", "threads"}) {
    const Output told = stack().ctl(kAlice, in_jail(stack(), {"--explain-denials"}, {"/probes/probe_channels", check}));
    EXPECT_EQ(told.status, 1) << describe(told);
    EXPECT_THAT(told.out, Not(HasSubstr("through"))) << check;
    EXPECT_THAT(told.out, HasSubstr("refused")) << check;
  }
  const Output after = stack().ctl(kAlice, {"run", "--explain-denials", "--", "unshare", "-U", "true"});
  EXPECT_THAT(after.err, HasSubstr("sandboxd: refused: unshare (EPERM)")) << describe(after);
}

TEST_F(Neighbours, E37_WithoutItsRecorderAJailEndsAndNoCallIsAllowed) {
  Command run(
      jail({"--explain-denials"}, {"/bin/sh", "-c", "echo up; while :; do /probes/probe_channels storm; done"}));
  ASSERT_TRUE(run.await_output("up"));
  pid_t recorder = 0;
  for (const pid_t pid : jailed_processes(stack())) {
    if (command_name(pid) != "jail-init") continue;
    for (const pid_t child : children_of(pid)) {
      if (command_name(child) == "jail-init") recorder = child;
    }
  }
  ASSERT_GT(recorder, 0) << "no child of jail-init has its name";
  ASSERT_EQ(::kill(recorder, SIGKILL), 0);
  const Output output = run.finish();
  EXPECT_NE(output.status, 0) << describe(output);
  EXPECT_THAT(output.out, Not(HasSubstr("through")));
  EXPECT_TRUE(eventually([&] { return jailed_processes(stack()).empty(); }));
}

// Programs that make sandboxes of their own: told which profile is for them (what works under `nested`: tests/jail/cli/nested_test.py).
TEST_F(Neighbours, E63_ASandboxInAJailIsToldWhichProfileLetsIt) {
  const Output output = stack().ctl(kAlice, {"run", "--explain-denials", "--", "unshare", "-r", "true"});
  EXPECT_NE(output.status, 0) << describe(output);
  EXPECT_THAT(output.err, HasSubstr("refused: unshare (EPERM)"));
  EXPECT_THAT(output.err, HasSubstr("'nested'"));
}

// A socket of alice's in a workspace, and a profile that lets jails connect to it.
class OverASocket : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the daemon";
    static_cast<void>(profiles_.write("sockets.json", R"({"name": "sockets", "description": "sockets of the caller's",
      "inherits": "default", "unix_sockets": "any"})"));
    stack_ = std::make_unique<Stack>(fmt::format(R"("profile_dirs": ["{}"])", profiles_.path()));
    ASSERT_EQ(stack_->failure(), "");
    workspace_ = stack_->dir().make("workspace", kAlice);
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    ASSERT_LT(path().size(), sizeof name.sun_path);
    path().copy(&name.sun_path[0], sizeof name.sun_path - 1);
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0) << std::strerror(errno);
    ASSERT_EQ(::listen(listener_.get(), 8), 0);
    ASSERT_EQ(::chown(path().c_str(), kAlice, kAlice), 0);
  }
  [[nodiscard]] std::string path() const { return workspace_ + "/agent"; }
  [[nodiscard]] Command job(const std::string& user, const std::vector<std::string>& command) const {
    return Command(stack_->ctl_spec(
        kAlice,
        in_jail(*stack_, {"--profile=sockets", user, "--workspace=rw", "--workspace-dir", workspace_}, command)));
  }
  [[nodiscard]] UniqueFd accept_one() const {
    pollfd one{listener_.get(), POLLIN, 0};
    if (::poll(&one, 1, scaled_ms(20'000)) != 1) return {};
    return UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  // The end of a probe that connects and is sent a directory of the host's, as by an accomplice outside.
  [[nodiscard]] Output send_directory(Command command, const std::string& directory) const {
    const UniqueFd peer = accept_one();
    const UniqueFd top(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int fd = top.get();
    const std::uint8_t byte = 0;
    EXPECT_TRUE(peer.valid() && send_packet(peer.get(), {&byte, 1}, {&fd, 1}).ok());
    return command.finish();
  }

  WorkDir profiles_{};
  std::unique_ptr<Stack> stack_{};
  std::string workspace_{};
  UniqueFd listener_{};
};

TEST_F(OverASocket, E39_AJobIsNobodyOutsideWhateverItIsCalledInside) {
  for (const char* user : {"--user=self", "--user=root"}) {
    Command command = job(user, {"/probes/probe_ipc", "connect", path()});
    const UniqueFd peer = accept_one();
    ASSERT_TRUE(peer.valid()) << user;
    ucred who{};
    socklen_t size = sizeof who;
    ASSERT_EQ(::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &who, &size), 0);
    EXPECT_TRUE(who.uid >= stack_->slice() + kIdsPerJail && who.uid < stack_->slice() + kIdsPerSlice) << who.uid;
    EXPECT_TRUE(who.gid >= stack_->slice() + kIdsPerJail && who.gid < stack_->slice() + kIdsPerSlice) << who.gid;
    static_cast<void>(command.finish());
  }
}

TEST_F(OverASocket, E39_ADirectoryThatAnAccompliceSendsLeadsNowhere) {
  const std::string elsewhere = stack_->dir().make("elsewhere", kAlice, 0777);
  static_cast<void>(stack_->dir().write("elsewhere/secret", "secret\n"));
  CommandSpec outside;
  outside.argv = {stack_->probes() + "/probe_channels", "receive", path(), "secret"};
  outside.uid = kAlice;
  const Output control = send_directory(Command(std::move(outside)), elsewhere);
  for (const char* user : {"--user=self", "--user=root"}) {
    const Output inside = send_directory(job(user, {"/probes/probe_channels", "receive", path(), "secret"}), elsewhere);
    EXPECT_THAT(inside.out, HasSubstr("received\n")) << describe(inside);
    expect_refused(inside, control, {"list", "read", "up", "make", "read-from-it"});
  }
}

}  // namespace
}  // namespace sandboxd::test
