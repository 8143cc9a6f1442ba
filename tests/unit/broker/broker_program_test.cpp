// The real sandboxd-broker, with clients of several uids and a stand-in for the launch child.
#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/broker_message.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/proc_status.h"
#include "base/socket.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/claim.h"
#include "daemon/wire/message.h"
#include "tests/support/lingering.h"
#include "tests/support/program.h"
#include "tests/support/silent_fuse.h"

namespace sandboxd {
namespace {

constexpr uid_t kBrokerUid = own_id(kPoolFirst, OwnId::kBroker);
constexpr uid_t kAlice = 60001;
constexpr uid_t kBob = 60002;

using Token = wire::Token;

Token token_of(std::uint8_t n) {
  Token token{};
  token.fill(n);
  return token;
}

class BrokerProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts a program under another id";
    test::StartOptions options;
    options.uid = kBrokerUid;
    const auto listen = [&](const char* name, mode_t mode) {
      Result<UniqueFd> fd = listen_unix(path(name), SOCK_SEQPACKET, mode, 0, 128);
      ASSERT_TRUE(fd.ok()) << fd.error().message();
      options.sockets[name] = fd->get();
      listeners_.push_back(std::move(*fd));
    };
    listen("broker", 0666);
    listen("broker-admin", 0600);
    listen("broker-claim", 0600);
    broker_ = test::RunningProgram::start(test::program_path("sandboxd-broker"), options);
  }

  std::string path(const std::string& name) const { return dir_.path() + "/" + name + ".sock"; }

  // As the calling process's ids are. Empty when there is no connection.
  UniqueFd hand_in(const Token& token, std::vector<int> fds, bool mount_ns = false,
                   const char* socket = "broker") const {
    Result<UniqueFd> connection = connect_unix(path(socket), SOCK_SEQPACKET);
    if (!connection.ok()) return {};
    BrokerMessage message;
    message.token = token;
    message.fds = static_cast<std::uint32_t>(fds.size());
    message.has_mount_ns = mount_ns ? 1 : 0;
    (void)send_packet(connection->get(), {reinterpret_cast<const std::uint8_t*>(&message), sizeof message}, fds);
    return std::move(*connection);
  }

  // A client of `uid` in a child that lives until the object goes; it has handed in `opened` under `token` when this returns.
  class Client {
   public:
    Client(pid_t pid, UniqueFd stop) : pid_(pid), stop_(std::move(stop)) {}
    Client(Client&& other) noexcept : pid_(std::exchange(other.pid_, -1)), stop_(std::move(other.stop_)) {}
    ~Client() { end(); }
    void end() {
      stop_.reset();
      if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
      pid_ = -1;
    }

   private:
    pid_t pid_;
    UniqueFd stop_;
  };

  Client client(uid_t uid, const Token& token, const std::vector<std::string>& opened,
                std::vector<gid_t> groups = {}) const {
    int stop[2];
    int ready[2];
    EXPECT_EQ(::pipe2(stop, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(stop[1]);
      ::setgroups(groups.size(), groups.data());
      if (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0) ::_exit(1);
      std::vector<int> fds;
      for (const std::string& name : opened) fds.push_back(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
      const UniqueFd connection = hand_in(token, fds);
      char byte = 0;
      (void)!::write(ready[1], &byte, 1);
      (void)!::read(stop[0], &byte, 1);
      ::_exit(0);
    }
    const UniqueFd ready_end(ready[0]);
    const UniqueFd theirs(stop[0]);
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    return {pid, UniqueFd(stop[1])};
  }

  // The last message of an answer, and whose the client is when that came first.
  struct Answer : wire::Message {
    std::optional<wire::Claimant> who{};
  };

  // What the launch child does.
  Result<Answer> claim(const Token& token, std::uint64_t wait_usec = 5'000'000) const {
    TRY_ASSIGN(const UniqueFd connection, connect_unix(path("broker-claim"), SOCK_SEQPACKET));
    TRY(wire::send(connection.get(), wire::ClaimMessage::kClaim, 42, wire::Claim{token}));
    return answer_to(connection.get(), wait_usec);
  }
  static Result<Answer> answer_to(int connection, std::uint64_t wait_usec = 5'000'000) {
    Answer answer;
    for (;;) {
      TRY_ASSIGN(const bool ready, wait_readable(connection, monotonic_usec() + wait_usec));
      if (!ready) return make_error("no answer");
      TRY_ASSIGN(static_cast<wire::Message&>(answer), wire::receive_message(connection, kMaxFdsPerMessage));
      if (answer.type != static_cast<std::uint16_t>(wire::ClaimMessage::kClaimant)) return answer;
      EXPECT_EQ(answer.id, 42U);
      EXPECT_FALSE(answer.who) << "told twice";
      TRY_ASSIGN(answer.who, wire::body_of<wire::Claimant>(answer));
    }
  }

  struct Claimed : wire::Claimant {
    bool has_mount_ns = false;
  };
  static Claimed claimed(const Result<Answer>& answer) {
    EXPECT_TRUE(answer.ok()) << answer.error().message();
    if (!answer.ok()) return {};
    EXPECT_EQ(answer->type, static_cast<std::uint16_t>(wire::ClaimMessage::kClaimed));
    EXPECT_EQ(answer->id, 42U);
    EXPECT_TRUE(answer->who) << "whose it is comes first";
    const Result<wire::Claimed> body = wire::body_of<wire::Claimed>(*answer);
    EXPECT_TRUE(body.ok());
    return answer->who && body.ok() ? Claimed{*answer->who, body->has_mount_ns} : Claimed{};
  }

  static int failure(const Result<Answer>& answer) {
    EXPECT_TRUE(answer.ok()) << answer.error().message();
    if (!answer.ok()) return -1;
    EXPECT_EQ(answer->type, static_cast<std::uint16_t>(wire::ClaimMessage::kClaimFailed));
    const Result<wire::Refused> body = wire::body_of<wire::Refused>(*answer);
    return body.ok() ? body->code : -1;
  }

  // The byte that the broker says before it closes; 0 when it closes without one, -1 after five seconds.
  static int refusal(int connection) {
    const Result<bool> ready = wait_readable(connection, monotonic_usec() + 5'000'000);
    if (!ready.ok() || !*ready) return -1;
    std::uint8_t byte = 0;
    return ::recv(connection, &byte, 1, 0) == 1 ? byte : 0;
  }
  static int as_int(BrokerRefusal refusal) { return static_cast<int>(refusal); }

  test::TempDir dir_;
  std::vector<UniqueFd> listeners_;
  test::RunningProgram broker_;
};

TEST_F(BrokerProgram, GivesTheClaimerTheClientsFilesWithTheKernelsIds) {
  const Client alice = client(kAlice, token_of(1), {"/usr", "/etc/passwd"}, {60100, 60101});
  const Result<Answer> answer = claim(token_of(1));
  const Claimed body = claimed(answer);
  EXPECT_EQ(body.uid, kAlice);
  EXPECT_EQ(body.gid, kAlice);
  EXPECT_THAT(body.groups, ::testing::ElementsAre(60100, 60101));
  EXPECT_FALSE(body.admin);
  EXPECT_FALSE(body.has_mount_ns);
  ASSERT_EQ(answer->fds.size(), 2U);
  struct stat theirs {
  }, ours{};
  ASSERT_EQ(::fstat(answer->fds[0].get(), &theirs), 0);
  ASSERT_EQ(::stat("/usr", &ours), 0);
  EXPECT_EQ(theirs.st_ino, ours.st_ino);
  EXPECT_EQ(theirs.st_dev, ours.st_dev);
}

// The process that sent the next packet, as the kernel says (SO_PASSCRED, unix(7)), and the packet's type.
std::pair<pid_t, std::uint16_t> sender_of_next(int socket) {
  EXPECT_TRUE(wait_readable(socket, monotonic_usec() + 5'000'000).ok());
  wire::Header header;
  iovec part{&header, sizeof header};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &control[0];
  message.msg_controllen = sizeof control;
  EXPECT_GT(::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), 0);
  ucred sender{};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_type == SCM_CREDENTIALS) std::memcpy(&sender, CMSG_DATA(c), sizeof sender);
  }
  return {sender.pid, header.type};
}

TEST_F(BrokerProgram, WhoseAClientIsSaysMainAndNotTheChildThatReadsTheClient) {
  const Client alice = client(kAlice, token_of(1), {});
  const Result<UniqueFd> connection = connect_unix(path("broker-claim"), SOCK_SEQPACKET);
  ASSERT_TRUE(connection.ok());
  const int yes = 1;
  ASSERT_EQ(::setsockopt(connection->get(), SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes), 0);
  ASSERT_TRUE(wire::send(connection->get(), wire::ClaimMessage::kClaim, 42, wire::Claim{token_of(1)}).ok());
  const auto [first, claimant] = sender_of_next(connection->get());
  EXPECT_EQ(claimant, static_cast<std::uint16_t>(wire::ClaimMessage::kClaimant));
  EXPECT_EQ(first, broker_.pid());
  const auto [second, claimed] = sender_of_next(connection->get());
  EXPECT_EQ(claimed, static_cast<std::uint16_t>(wire::ClaimMessage::kClaimed));
  EXPECT_NE(second, broker_.pid());
}

TEST_F(BrokerProgram, GivesATokenOnce) {
  const Client alice = client(kAlice, token_of(1), {"/usr"});
  EXPECT_EQ(claimed(claim(token_of(1))).uid, kAlice);
  EXPECT_EQ(failure(claim(token_of(1))), ETIMEDOUT);
}

TEST_F(BrokerProgram, LetsAClaimWaitForATokenThatIsOnItsWay) {
  Result<UniqueFd> early = connect_unix(path("broker-claim"), SOCK_SEQPACKET);
  ASSERT_TRUE(early.ok());
  ASSERT_TRUE(wire::send(early->get(), wire::ClaimMessage::kClaim, 42, wire::Claim{token_of(1)}).ok());
  // Another claim that comes later and is answered: the first has been read and parked by then.
  const Client bob = client(kBob, token_of(2), {});
  EXPECT_EQ(claimed(claim(token_of(2))).uid, kBob);
  const Client alice = client(kAlice, token_of(1), {"/usr"});
  EXPECT_EQ(claimed(answer_to(early->get())).uid, kAlice);
}

TEST_F(BrokerProgram, AnswersAClaimForAnUnknownTokenAfterItsWait) {
  const std::uint64_t start = monotonic_usec();
  EXPECT_EQ(failure(claim(token_of(9))), ETIMEDOUT);
  EXPECT_GE(monotonic_usec() - start, wire::kClaimWaitUsec);
}

TEST_F(BrokerProgram, KeepsATokenForTheFirstWhoSentIt) {
  // Alice's child has mostly told its token once a claim of a third one, sent after it, is answered; on a busy machine it may be
  // behind all the same, and then the next round has other tokens.
  for (std::uint8_t round = 0; round < 6; ++round) {
    const Token token = token_of(static_cast<std::uint8_t>(2 * round + 1));
    const Token later = token_of(static_cast<std::uint8_t>(2 * round + 2));
    const Client alice = client(kAlice, token, {"/usr"});
    const Client ping = client(kAlice, later, {});
    (void)claim(later);
    const int refused = test::as_user(kBob, [&] {
      const UniqueFd thief = hand_in(token, {});
      return refusal(thief.get());
    });
    if (refused != as_int(BrokerRefusal::kTokenInUse)) continue;
    const Result<Answer> answer = claim(token);
    EXPECT_EQ(claimed(answer).uid, kAlice);
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->fds.size(), 1U);
    return;
  }
  FAIL() << "the token was given to the second in every round";
}

TEST_F(BrokerProgram, DropsTheFilesOfAClientThatCloses) {
  Client alice = client(kAlice, token_of(1), {"/usr"});
  alice.end();
  const Result<Answer> answer = claim(token_of(1));
  // Either its child has gone (no such token), or it answers that the client has.
  if (answer.ok() && answer->end) return;
  EXPECT_THAT(failure(answer), ::testing::AnyOf(ETIMEDOUT, ECANCELED, ESRCH));
}

TEST_F(BrokerProgram, RefusesIdsOfThePool) {
  EXPECT_EQ(test::as_user(kPoolFirst + 16, [&] { return refusal(hand_in(token_of(1), {}).get()); }),
            as_int(BrokerRefusal::kNotAllowed));
}

TEST_F(BrokerProgram, RefusesRootOnThePublicSocket) {
  EXPECT_EQ(refusal(hand_in(token_of(1), {}).get()), as_int(BrokerRefusal::kNotAllowed));
}

TEST_F(BrokerProgram, MarksWhatCameByTheAdminSocket) {
  const UniqueFd root(::open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const UniqueFd connection = hand_in(token_of(1), {root.get()}, false, "broker-admin");
  const Claimed body = claimed(claim(token_of(1)));
  EXPECT_EQ(body.uid, 0U);
  EXPECT_TRUE(body.admin);
}

TEST_F(BrokerProgram, RefusesADirectoryThatWasOnlyNamed) {
  EXPECT_EQ(test::as_user(kAlice,
                          [&] {
                            const UniqueFd root(::open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC));
                            return refusal(hand_in(token_of(1), {root.get()}).get());
                          }),
            as_int(BrokerRefusal::kNotAllowed));
}

TEST_F(BrokerProgram, RefusesAMessageThatIsNone) {
  EXPECT_EQ(test::as_user(kAlice,
                          [&] {
                            Result<UniqueFd> connection = connect_unix(path("broker"), SOCK_SEQPACKET);
                            const std::vector<std::uint8_t> noise(4096, 0x42);
                            (void)send_packet(connection->get(), noise, {});
                            return refusal(connection->get());
                          }),
            as_int(BrokerRefusal::kMalformed));
}

TEST_F(BrokerProgram, HandsOverAMountNamespace) {
  const UniqueFd ns(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  const UniqueFd connection = hand_in(token_of(1), {ns.get()}, true, "broker-admin");
  const Result<Answer> answer = claim(token_of(1));
  EXPECT_TRUE(claimed(answer).has_mount_ns);
  EXPECT_EQ(answer->fds.size(), 1U);
}

TEST_F(BrokerProgram, TakesClaimsFromRootOnly) {
  const Client alice = client(kAlice, token_of(1), {"/usr"});
  // Whatever the mode of the socket: the peer is asked for.
  ASSERT_EQ(::chmod(path("broker-claim").c_str(), 0666), 0);
  EXPECT_EQ(test::as_user(kBob,
                          [&] {
                            const Result<Answer> answer = claim(token_of(1));
                            return answer.ok() && !answer->end ? 1 : 0;
                          }),
            0);
  EXPECT_EQ(claimed(claim(token_of(1))).uid, kAlice);
}

TEST_F(BrokerProgram, LimitsTheConnectionsOfOneUidAndServesAnother) {
  EXPECT_EQ(test::as_user(kBob,
                          [&] {
                            std::vector<UniqueFd> held;
                            for (int i = 0; i < 65; ++i) {
                              Result<UniqueFd> connection = connect_unix(path("broker"), SOCK_SEQPACKET);
                              if (!connection.ok()) return 101;
                              held.push_back(std::move(*connection));
                            }
                            // Accepted in order: the last one is over the limit.
                            const int last = refusal(held.back().get());
                            if (last != static_cast<int>(BrokerRefusal::kTooMany)) return 102;
                            return 0;
                          }),
            0);
  const Client alice = client(kAlice, token_of(1), {"/usr"});
  EXPECT_EQ(claimed(claim(token_of(1))).uid, kAlice);
}

// Whose connection is refused has main itself let go of what it sent.
TEST_F(BrokerProgram, WhatARefusedClientSentHoldsNobodyUp) {
  test::Lingering lingering;
  ASSERT_EQ(::kill(broker_.pid(), SIGSTOP), 0);  // it must be the last who has the descriptor
  const UniqueFd root = hand_in(token_of(9), {lingering.get()});
  const std::uint64_t begun = monotonic_usec();
  lingering.close();
  ASSERT_EQ(::kill(broker_.pid(), SIGCONT), 0);
  EXPECT_EQ(refusal(root.get()), as_int(BrokerRefusal::kNotAllowed));
  const Client alice = client(kAlice, token_of(1), {"/usr"});
  EXPECT_EQ(claimed(claim(token_of(1))).uid, kAlice);
  EXPECT_LT(monotonic_usec() - begun, 2'000'000U);
}

TEST_F(BrokerProgram, RunsWithoutCapabilitiesAndConfined) {
  const Client alice = client(kAlice, token_of(1), {});
  (void)claim(token_of(1));  // it serves, so it is confined
  const UniqueFd proc(::open(("/proc/" + std::to_string(broker_.pid())).c_str(), O_PATH | O_CLOEXEC));
  const Result<ProcStatus> status = read_proc_status(proc.get());
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(status->cap_permitted | status->cap_effective | status->cap_inheritable | status->cap_bounding |
                status->cap_ambient,
            0U);
  EXPECT_TRUE(status->no_new_privs);
  EXPECT_EQ(status->seccomp, SeccompMode::kFilter);
  EXPECT_EQ(status->uid[0], kBrokerUid);
}

TEST_F(BrokerProgram, EndsOnSigtermWithItsChildren) {
  const UniqueFd held = hand_in(token_of(1), {}, false, "broker-admin");
  const UniqueFd served = hand_in(token_of(2), {}, false, "broker-admin");
  ASSERT_EQ(claimed(claim(token_of(2))).uid, 0U);
  broker_.signal(SIGTERM);
  const std::optional<int> status = broker_.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(*status, 0);
  EXPECT_EQ(refusal(held.get()), 0) << "its child ends, so the connection does, without a word";
}

// Its client's file system never answers a close: only the child that holds such a descriptor may hang.
class BrokerWithASilentFileSystem : public BrokerProgram {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: mounts a FUSE file system";
    mount_point_ = dir_.path() + "/fuse";
    std::filesystem::create_directory(mount_point_);
    if (!fuse_.mount(mount_point_)) GTEST_SKIP() << fuse_.problem();
    BrokerProgram::SetUp();
  }
  // Before anything of it is closed here: that would hang the test as well.
  void TearDown() override {
    fuse_.stop();
    ::close(file_);
  }

  [[nodiscard]] std::vector<pid_t> children() const {
    std::ifstream list(fmt::format("/proc/{0}/task/{0}/children", broker_.pid()));
    return {std::istream_iterator<pid_t>(list), {}};
  }
  // Sleeps in spite of SIGKILL, in one of its threads (a sanitizer has one too): uninterruptibly, or on its way out already,
  // its table of descriptors gone.
  static bool is_deaf_to_sigkill(pid_t child) {
    ::kill(child, SIGKILL);
    std::error_code gone;
    const bool leaving = std::filesystem::is_empty(fmt::format("/proc/{}/fd", child), gone);
    for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", child), gone)) {
      std::ifstream file(task.path() / "stat");
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      if (text.find(") D ") != std::string::npos || (leaving && text.find(") S ") != std::string::npos)) return true;
    }
    return false;
  }
  // A deadline instead of a sleep: a child hangs some time after its answer was sent.
  [[nodiscard]] bool hang_soon(std::ptrdiff_t wanted) const {
    for (const std::uint64_t until = monotonic_usec() + 5'000'000; monotonic_usec() < until; ::sched_yield()) {
      const std::vector<pid_t> all = children();
      if (std::count_if(all.begin(), all.end(), is_deaf_to_sigkill) == wanted) return true;
    }
    return false;
  }
  [[nodiscard]] bool holds_the_file(pid_t child) const {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/fd", child), gone)) {
      if (std::filesystem::read_symlink(entry, gone) == fuse_.file()) return true;
    }
    return false;
  }
  [[nodiscard]] bool is_held_soon() const {
    for (const std::uint64_t until = monotonic_usec() + 5'000'000; monotonic_usec() < until; ::sched_yield()) {
      const std::vector<pid_t> all = children();
      if (std::any_of(all.begin(), all.end(), [this](pid_t child) { return holds_the_file(child); })) return true;
    }
    return false;
  }
  [[nodiscard]] UniqueFd open_file() const { return UniqueFd(::open(fuse_.file().c_str(), O_RDWR | O_CLOEXEC)); }

  std::string mount_point_;
  test::SilentFuse fuse_;
  int file_ = -1;
  std::optional<Result<Answer>> answer_;
};

TEST_F(BrokerWithASilentFileSystem, HangsOnlyTheChildThatHoldsIt) {
  // Claimed; then closed by its client before a claim; then refused, beside one that is only a name.
  file_ = open_file().release();
  ASSERT_GE(file_, 0);
  const UniqueFd claimed_one = hand_in(token_of(1), {file_}, false, "broker-admin");
  answer_ = claim(token_of(1));
  EXPECT_EQ(claimed(*answer_).uid, 0U);
  EXPECT_EQ(refusal(claimed_one.get()), 0) << "the connection is closed before what may hang is";
  ASSERT_TRUE(hang_soon(1));
  UniqueFd closed_one = hand_in(token_of(2), {file_}, false, "broker-admin");
  ASSERT_TRUE(is_held_soon());
  closed_one.reset();
  ASSERT_TRUE(hang_soon(2));
  const UniqueFd name(::open("/usr", O_PATH | O_CLOEXEC));
  const UniqueFd refused_one = hand_in(token_of(3), {file_, name.get()}, false, "broker-admin");
  EXPECT_EQ(refusal(refused_one.get()), as_int(BrokerRefusal::kNotAllowed));
  ASSERT_TRUE(hang_soon(3));
  // Refused by the main process itself, unread.
  EXPECT_EQ(refusal(hand_in(token_of(4), {file_}).get()), as_int(BrokerRefusal::kNotAllowed));
  // From this process: another would hang too, on what it inherits, when it ends.
  for (std::uint8_t i = 10; i < 30; ++i) {
    const UniqueFd next = hand_in(token_of(i), {}, false, "broker-admin");
    EXPECT_EQ(claimed(claim(token_of(i), 1'000'000)).uid, 0U);
  }
  broker_.signal(SIGTERM);
  EXPECT_EQ(broker_.wait(), 0) << "it waits for no child";
}

TEST(BrokerStart, RefusesToRunWithCapabilities) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: has capabilities to start with";
  const test::TempDir dir;
  test::StartOptions options;
  std::vector<UniqueFd> listeners;
  for (const char* name : {"broker", "broker-admin", "broker-claim"}) {
    Result<UniqueFd> fd = listen_unix(dir.path() + "/" + name, SOCK_SEQPACKET, 0600, 0, 8);
    ASSERT_TRUE(fd.ok());
    options.sockets[name] = fd->get();
    listeners.push_back(std::move(*fd));
  }
  test::RunningProgram broker = test::RunningProgram::start(test::program_path("sandboxd-broker"), options);
  const std::optional<int> status = broker.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 1);
}

TEST(BrokerStart, RefusesToRunWithoutItsSockets) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts a program under another id";
  test::StartOptions options;
  options.uid = kBrokerUid;
  test::RunningProgram broker = test::RunningProgram::start(test::program_path("sandboxd-broker"), options);
  const std::optional<int> status = broker.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 1);
}

}  // namespace
}  // namespace sandboxd
