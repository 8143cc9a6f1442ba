// Whoever takes sandboxd over gets no jail that is wider than a profile, no id, file or number of somebody else, and no launch
// without a record: ids E49, E65, E72, E79.
#include <array>
#include <csignal>
#include <filesystem>
#include <functional>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/socket.h"
#include "tests/jail/hostile.h"
#include "tests/support/lingering.h"

namespace sandboxd::test {
namespace {

using wire::JailPlan;
using wire::LauncherMessage;

struct Forgery {
  const char* what;
  const char* profile;
  std::function<void(JailPlan&)> apply;
};

const std::vector<Forgery> kForgeries = {
    {"another profile's hash", "strict", [](JailPlan& p) { p.profile_hash[0] ^= 1; }},
    {"a profile that does not exist", "default", [](JailPlan& p) { p.profile = "root"; }},
    {"the plan of one profile under the name of another", "strict", [](JailPlan& p) { p.profile = "default"; }},
    {"number 0", "default", [](JailPlan& p) { p.number = 0; }},
    {"a number of the next slice", "default", [](JailPlan& p) { p.number = kNumbersPerSlice; }},
    {"the last number", "default", [](JailPlan& p) { p.number = 0xFFFFFFFFU; }},
    {"a path as the jail's id", "default", [](JailPlan& p) { p.jail = "../x"; }},
    {"no wall clock", "strict", [](JailPlan& p) { p.limits.wall_time = 0; }},
    {"a longer wall clock", "strict", [](JailPlan& p) { p.limits.wall_time += 1; }},
    {"more descriptors", "strict", [](JailPlan& p) { p.limits.nofile += 1; }},
    {"more processes", "strict", [](JailPlan& p) { p.limits.pids_max += 1; }},
    {"no bound on processes", "default", [](JailPlan& p) { p.limits.pids_max = 0; }},
    {"larger files", "strict", [](JailPlan& p) { p.limits.file_size_max = 0; }},
    {"more scratch", "strict", [](JailPlan& p) { p.limits.scratch_max += 1; }},
    {"more inodes", "strict", [](JailPlan& p) { p.limits.inodes_max = 0; }},
    {"the host's network", "default", [](JailPlan& p) { p.network = wire::NetworkMode::kHost; }},
    {"a network mode that is none", "default", [](JailPlan& p) { p.network = static_cast<wire::NetworkMode>(7); }},
    {"the whole host", "strict", [](JailPlan& p) { p.root = wire::RootKind::kHost; }},
    {"a root kind that is none", "default", [](JailPlan& p) { p.root = static_cast<wire::RootKind>(200); }},
    {"a full procfs", "strict", [](JailPlan& p) { p.proc = wire::ProcKind::kFull; }},
    {"unix sockets", "default", [](JailPlan& p) { p.unix_sockets = wire::UnixSockets::kAny; }},
    {"a tmpfs less", "default", [](JailPlan& p) { p.tmpfs.pop_back(); }},
    {"a larger tmpfs", "strict", [](JailPlan& p) { p.tmpfs[0].size += 1; }},
    {"a tmpfs without a cap", "default", [](JailPlan& p) { p.tmpfs[0].size = 0; }},
    {"a setuid tmpfs mode", "default", [](JailPlan& p) { p.tmpfs[0].mode = 04777; }},
    {"a tmpfs of its own", "strict",
     [](JailPlan& p) {
       p.tmpfs.push_back({"/scratch", 4096, 16, 0755});
     }},
    {"a tmpfs over /usr", "default",
     [](JailPlan& p) {
       p.tmpfs.push_back({"/usr", 4096, 16, 0755});
     }},
    {"a tmpfs over /proc", "default",
     [](JailPlan& p) {
       p.tmpfs.push_back({"/proc/sys", 4096, 16, 0755});
     }},
    {"a directory by a way up", "default", [](JailPlan& p) { p.dirs = {"/tmp/../../etc"}; }},
    {"an id of the pool", "default", [](JailPlan& p) { p.inside_uid = kPoolFirst + 5; }},
    {"jail-init's own id", "default", [](JailPlan& p) { p.inside_uid = kInitInsideId; }},
    {"no id", "default", [](JailPlan& p) { p.inside_gid = 0xFFFFFFFFU; }},
    {"a bind without a token", "default",
     [](JailPlan& p) {
       p.binds = {{0, "/work", wire::Access::kRo, true}};
     }},
    {"a root directory without a token", "default", [](JailPlan& p) { p.root = wire::RootKind::kDirectory; }},
    {"inherited descriptors without a token", "default", [](JailPlan& p) { p.job.stdio = wire::StdioMode::kInherit; }},
    {"a stdio mode that is none", "default", [](JailPlan& p) { p.job.stdio = static_cast<wire::StdioMode>(9); }},
    {"a line in passwd", "default", [](JailPlan& p) { p.home = "/tmp\nroot::0:0::/:/bin/sh"; }},
    {"a field in passwd", "default", [](JailPlan& p) { p.user_name = "a:x:0"; }},
    {"a working directory by a descriptor", "default", [](JailPlan& p) { p.job.workdir = "/proc/self/fd/3"; }},
    {"a relative working directory", "default", [](JailPlan& p) { p.job.workdir = "tmp"; }},
    {"no program", "default", [](JailPlan& p) { p.job.argv.clear(); }},
    {"a NUL in an argument", "default", [](JailPlan& p) { p.job.argv.emplace_back("a\0b", 3); }},
    {"a variable twice", "default", [](JailPlan& p) { p.job.env.emplace_back("PATH=/evil"); }},
    {"a host name with a line", "default", [](JailPlan& p) { p.hostname = "a\n1.2.3.4 b"; }},
    {"a megabyte of arguments times three", "default",
     [](JailPlan& p) { p.job.argv.assign(30, std::string(120'000, 'x')); }},
};

TEST_F(Hostile, E65_APlanThatNarrowsItsProfileIsCarriedOut) {
  for (const char* profile : {"default", "strict"}) {
    const std::uint32_t number = next_number();
    Launched launched = client().start(client().plan(number, {"/bin/echo", "hello"}, profile));
    ASSERT_TRUE(launched.started.has_value()) << launched.failed->step << ": " << launched.failed->detail;
    EXPECT_EQ(await_job(launched).out, "hello\n");
    EXPECT_TRUE(client().remove(number));
  }
}

TEST_F(Hostile, E65_APlanThatIsWiderOrMalformedIsRefused) {
  for (const Forgery& forgery : kForgeries) {
    JailPlan plan = client().plan(next_number(), {"/bin/true"}, forgery.profile);
    forgery.apply(plan);
    expect_refused_plan(plan, forgery.what);
  }
}

TEST_F(Hostile, E65_NoLaunchWithoutARecordOfTheIntent) {
  JailPlan plan = client().plan(next_number());
  plan.request = "r-never-recorded";
  const Launched launched = client().start(plan);
  ASSERT_TRUE(launched.failed.has_value());
  EXPECT_EQ(launched.failed->step, "audit");
  EXPECT_TRUE(client().remove(plan.number));
}

TEST_F(Hostile, E65_TheOtherSocketsAreClosedToSandboxd) {
  const uid_t sandboxd = own_id(stack().slice(), OwnId::kSandboxd);
  EXPECT_TRUE(connect_as(sandboxd, stack().socket("audit"), SOCK_SEQPACKET).valid());
  for (const char* name : {"broker-claim", "audit-launcher", "broker-admin"}) {
    EXPECT_FALSE(connect_as(sandboxd, stack().socket(name), SOCK_SEQPACKET).valid()) << name;
  }
}

TEST_F(Hostile, E65_NobodyElseIsServedByTheLauncher) {
  EXPECT_FALSE(connect_as(kAlice, stack().socket("launcher"), SOCK_SEQPACKET).valid());
  // Root may connect, by its capability, and is hung up on: the launcher asks who it is.
  HostileSandboxd root(connect_as(0, stack().socket("launcher"), SOCK_SEQPACKET));
  EXPECT_FALSE(root.greet());
  EXPECT_NE(stack().connect(), nullptr);
}

// What a client handed over: the ids and the descriptors are the broker's to say.
class HostileFiles : public Hostile {
 protected:
  // A plan that binds descriptor 0 of alice's.
  static JailPlan plan_with(std::uint8_t token) {
    JailPlan plan = client().plan(next_number(), {"/bin/cat", "/work/file"});
    plan.has_token = true;
    plan.token = token_of(token);
    plan.binds = {{0, "/work", wire::Access::kRo, true}};
    return plan;
  }
  static UniqueFd open_directory(uid_t owner) {
    const std::string path = stack().dir().make(fmt::format("files-{}", next_number()), owner, 0700);
    static_cast<void>(
        stack().dir().write(std::filesystem::path(path).filename().string() + "/file", "text\n", owner, 0600));
    return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
};

TEST_F(HostileFiles, E65_AClientsOwnFilesReachItsJail) {
  const UniqueFd directory = open_directory(kAlice);
  const auto held = stack().hand_over(kAlice, token_of(1), {directory.get()});
  ASSERT_TRUE(held.has_value());
  const JailPlan plan = plan_with(1);
  Launched launched = client().start(plan);
  ASSERT_TRUE(launched.started.has_value()) << launched.failed->step << ": " << launched.failed->detail;
  EXPECT_EQ(launched.started->broker_uid, kAlice);
  EXPECT_EQ(await_job(launched).out, "text\n");
  EXPECT_TRUE(client().remove(plan.number));
  // Once: a token that was claimed is gone.
  const Launched again = client().start(plan_with(1));
  EXPECT_TRUE(again.failed.has_value());
}

TEST_F(HostileFiles, E65_AVictimsIdIsRefused) {
  const UniqueFd directory = open_directory(kAlice);
  for (const uid_t claimed : {kBob, uid_t{1000}, uid_t{33}}) {
    const auto held = stack().hand_over(kAlice, token_of(2), {directory.get()});
    ASSERT_TRUE(held.has_value());
    JailPlan plan = plan_with(2);
    plan.inside_uid = plan.inside_gid = claimed;
    expect_refused_plan(plan, fmt::format("uid {}", claimed));
  }
}

TEST_F(HostileFiles, E65_RootAndThePoolHandNothingOverInPublic) {
  const UniqueFd directory = open_directory(kAlice);
  for (const uid_t uid :
       {uid_t{0}, stack().slice() + kIdsPerJail + kJobOffset, own_id(stack().slice(), OwnId::kSandboxd)}) {
    std::optional<BrokerRefusal> refusal;
    EXPECT_FALSE(stack().hand_over(uid, token_of(3), {directory.get()}, "broker", &refusal).has_value()) << uid;
    EXPECT_EQ(refusal, BrokerRefusal::kNotAllowed) << uid;
  }
}

TEST_F(HostileFiles, E65_IdsOfSystemAccountsAreNotMapped) {
  const UniqueFd directory = open_directory(33);
  const auto held = stack().hand_over(33, token_of(4), {directory.get()});
  ASSERT_TRUE(held.has_value());
  JailPlan plan = plan_with(4);
  plan.inside_uid = plan.inside_gid = 33;
  expect_refused_plan(plan, "uid 33");
}

// The broker has a child for each, which run side by side: on a busy machine the second may be the first.
TEST_F(HostileFiles, E65_ATokenIsOneSendersAndUnknownOnesGiveNothing) {
  const UniqueFd directory = open_directory(kAlice);
  const UniqueFd first = stack().send_over(kAlice, token_of(5), {directory.get()});
  const UniqueFd second = stack().send_over(kBob, token_of(5), {directory.get()});
  ASSERT_TRUE(first && second);
  std::array<pollfd, 2> both = {pollfd{first.get(), POLLIN, 0}, pollfd{second.get(), POLLIN, 0}};
  ASSERT_EQ(::poll(both.data(), both.size(), scaled_ms(20'000)), 1) << "one of them is refused";
  const UniqueFd& refused = both[0].revents != 0 ? first : second;
  const auto answer = receive_packet(refused.get(), 1, 0, MSG_DONTWAIT);
  ASSERT_TRUE(answer.ok() && answer->bytes.size() == 1);
  EXPECT_EQ(static_cast<BrokerRefusal>(answer->bytes[0]), BrokerRefusal::kTokenInUse);
  const Launched unknown = client().start(plan_with(6));
  ASSERT_TRUE(unknown.failed.has_value());
  EXPECT_EQ(unknown.failed->step, "claim");
}

TEST_F(HostileFiles, E65_ADescriptorOpenedWithoutARightIsRefused) {
  const UniqueFd path(::open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::optional<BrokerRefusal> refusal;
  EXPECT_FALSE(stack().hand_over(kAlice, token_of(7), {path.get()}, "broker", &refusal).has_value());
  EXPECT_EQ(refusal, BrokerRefusal::kNotAllowed);
}

TEST_F(HostileFiles, E65_AnIndexBeyondTheDescriptorsIsRefused) {
  const UniqueFd directory = open_directory(kAlice);
  const auto held = stack().hand_over(kAlice, token_of(8), {directory.get()});
  ASSERT_TRUE(held.has_value());
  JailPlan plan = plan_with(8);
  plan.binds[0].fd = 1;
  const Launched launched = client().start(plan);
  EXPECT_TRUE(launched.failed.has_value());
  EXPECT_TRUE(client().remove(plan.number));
}

// E79: a directory as standard input would be a way out, a terminal outlives the command.
TEST_F(HostileFiles, E79_StdioIsAPipeARegularFileOrNull) {
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_EQ(::unlockpt(master.get()), 0);
  const UniqueFd tty(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  for (const auto& [what, fd] : std::initializer_list<std::pair<const char*, int>>{
           {"a terminal", tty.get()}, {"a device", zero.get()}, {"a socket", socket.get()}}) {
    std::optional<BrokerRefusal> refusal;
    EXPECT_FALSE(stack().hand_over(kAlice, token_of(9), {fd}, "broker", &refusal).has_value()) << what;
    EXPECT_EQ(refusal, BrokerRefusal::kNotAllowed) << what;
  }
  const UniqueFd directory = open_directory(kAlice);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const bool good : {false, true}) {
    const auto held = stack().hand_over(kAlice, token_of(10), {good ? null.get() : directory.get()});
    ASSERT_TRUE(held.has_value());
    JailPlan plan = client().plan(next_number(), {"/bin/cat"});
    plan.has_token = true;
    plan.token = token_of(10);
    plan.job.stdio = wire::StdioMode::kInherit;
    Launched launched = client().start(plan);
    EXPECT_EQ(launched.started.has_value(), good);
    if (good) {
      EXPECT_EQ(await_job(launched).wait_status, 0);
    }
    EXPECT_TRUE(client().remove(plan.number));
  }
}

TEST_F(Hostile, E72_ANumberInUseIsNotGivenAgain) {
  const std::uint32_t number = next_number();
  Launched first = client().start(client().plan(number, {"/bin/sleep", "1000"}));
  ASSERT_TRUE(first.started.has_value()) << first.failed->detail;
  const Launched second = client().start(client().plan(number));
  ASSERT_TRUE(second.failed.has_value());
  EXPECT_EQ(second.failed->code, EEXIST);
  pollfd alive{first.pidfd(), POLLIN, 0};
  EXPECT_EQ(::poll(&alive, 1, 0), 0) << "the jail that had the number was touched";
  const wire::Message busy = client().verb(LauncherMessage::kRemove, number);
  EXPECT_EQ(busy.type, static_cast<std::uint16_t>(LauncherMessage::kFailed));
  EXPECT_TRUE(client().remove(number));
}

TEST_F(Hostile, E72_NumbersThatAreNoneAreRefused) {
  for (const std::uint32_t number : {0U, kNumbersPerSlice, 0xFFFFFFFFU, 16'000U}) {
    for (const LauncherMessage type : {LauncherMessage::kInspect, LauncherMessage::kKill}) {
      EXPECT_EQ(client().verb(type, number).type, static_cast<std::uint16_t>(LauncherMessage::kFailed)) << number;
    }
  }
}

TEST_F(Hostile, E49_ACgroupThatIsThereAlreadyIsRefused) {
  const std::uint32_t number = next_number();
  const std::string slice = slice_cgroup(stack().slice());
  ASSERT_NE(slice, "");
  const std::string path = fmt::format("{}/jail-{}", slice, number);
  ASSERT_EQ(::mkdir(path.c_str(), 0755), 0);
  const Launched refused = client().start(client().plan(number));
  ASSERT_TRUE(refused.failed.has_value());
  EXPECT_EQ(refused.failed->step, "cgroup");
  EXPECT_EQ(refused.failed->code, EEXIST);
  ASSERT_EQ(::rmdir(path.c_str()), 0);
  Launched launched = client().start(client().plan(number));
  ASSERT_TRUE(launched.started.has_value());
  EXPECT_EQ(await_job(launched).wait_status, 0);
  EXPECT_TRUE(client().remove(number));
}

// A packet that is no message of ours; the connection is closed, and nothing else happens.
class HostileBytes : public Hostile {
 protected:
  static std::vector<std::uint8_t> packet(std::uint16_t type, std::vector<std::uint8_t> body,
                                          std::function<void(wire::Header&)> apply = {}) {
    wire::Header header;
    header.type = type;
    header.id = 1;
    header.size = static_cast<std::uint32_t>(body.size());
    if (apply) apply(header);
    std::vector<std::uint8_t> bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
  }
  static void expect_closed(const std::vector<std::uint8_t>& bytes, const std::string& what,
                            const std::vector<int>& fds = {}) {
    const auto connection = stack().connect();
    ASSERT_NE(connection, nullptr);
    ASSERT_TRUE(send_packet(connection->fd(), bytes, fds).ok()) << what;
    const std::uint64_t deadline = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(10'000)) * 1000;
    const auto ready = wait_readable(connection->fd(), deadline);
    ASSERT_TRUE(ready.ok() && *ready) << what;
    const auto answer = wire::receive_message(connection->fd(), wire::kStartedFds);
    const bool refused =
        answer.ok() && (answer->end || answer->type == static_cast<std::uint16_t>(LauncherMessage::kFailed));
    EXPECT_TRUE(refused || !answer.ok()) << what;
  }
};

TEST_F(HostileBytes, E72_GarbageIsNoRequest) {
  constexpr auto kStart = static_cast<std::uint16_t>(LauncherMessage::kStart);
  const std::vector<std::uint8_t> good = wire::encode(client().plan(next_number()));
  expect_closed({1, 2, 3}, "three bytes");
  expect_closed(std::vector<std::uint8_t>(4096, 0xFF), "all ones");
  expect_closed(packet(kStart, good, [](wire::Header& h) { h.magic ^= 1; }), "magic");
  expect_closed(packet(kStart, good, [](wire::Header& h) { h.version = 9; }), "version");
  expect_closed(packet(kStart, good, [](wire::Header& h) { h.size += 1; }), "a size that is too large");
  expect_closed(packet(kStart, good, [](wire::Header& h) { h.size = 0xFFFFFFFFU; }), "the largest size");
  expect_closed(packet(kStart, good, [](wire::Header& h) { h.flags = 1; }), "a memfd that does not come");
  expect_closed(packet(kStart, good, [](wire::Header& h) { h.flags = 0x80; }), "an unknown flag");
  expect_closed(packet(99, good), "an unknown type");
  expect_closed(packet(static_cast<std::uint16_t>(LauncherMessage::kStarted), good), "an answer");
  const UniqueFd file(::open("/root", O_RDONLY | O_CLOEXEC));
  expect_closed(packet(kStart, good), "a descriptor", {file.get()});
  expect_closed(packet(kStart, good, [](wire::Header& h) { h.flags = 1; }), "a directory in place of a memfd",
                {file.get()});
}

TEST_F(HostileBytes, E72_ADescriptorThatDoesNotCloseHoldsNobodyUp) {
  Lingering lingering;
  const auto connection = stack().connect();
  ASSERT_NE(connection, nullptr);
  const int fd = lingering.get();
  const std::uint64_t begun = monotonic_usec();
  const pid_t launcher = stack().launcher().pid();  // stopped: it must be the last who has the descriptor
  ASSERT_EQ(::kill(launcher, SIGSTOP), 0);
  ASSERT_TRUE(eventually([&] { return status_line(launcher, "State").starts_with("T"); }));
  ASSERT_TRUE(send_packet(connection->fd(), std::vector<std::uint8_t>(64, 0xFF), {&fd, 1}).ok());
  lingering.close();
  ASSERT_EQ(::kill(launcher, SIGCONT), 0);
  const std::uint32_t number = next_number();
  Launched launched = client().start(client().plan(number));
  ASSERT_TRUE(launched.started.has_value());
  EXPECT_LT(monotonic_usec() - begun, 5'000'000U);
  EXPECT_EQ(await_job(launched).wait_status, 0);
  EXPECT_TRUE(client().remove(number));
}

TEST_F(HostileBytes, E72_TruncatedPlansAreRefused) {
  constexpr auto kStart = static_cast<std::uint16_t>(LauncherMessage::kStart);
  const std::vector<std::uint8_t> good = wire::encode(client().plan(next_number()));
  for (std::size_t size = 0; size < good.size(); size += good.size() / 12 + 1) {
    expect_closed(packet(kStart, {good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)}),
                  fmt::format("{} of {} bytes", size, good.size()));
  }
  std::vector<std::uint8_t> more = good;
  more.push_back(0);
  expect_closed(packet(kStart, more), "a byte more");
}

TEST_F(HostileBytes, E72_AfterGarbageTheLauncherServesAsBefore) {
  const std::uint32_t number = next_number();
  Launched launched = client().start(client().plan(number));
  ASSERT_TRUE(launched.started.has_value());
  EXPECT_EQ(await_job(launched).wait_status, 0);
  EXPECT_TRUE(client().remove(number));
}

}  // namespace
}  // namespace sandboxd::test
