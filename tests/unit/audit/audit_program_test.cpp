// The real sandboxd-audit, with stand-ins for sandboxd and the launcher; killed, starved of disk, lied to.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/proc_status.h"
#include "base/socket.h"
#include "base/text.h"
#include "daemon/audit/frame.h"
#include "daemon/audit/scan.h"
#include "daemon/audit/segments.h"
#include "daemon/audit/verify.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/message.h"
#include "tests/support/program.h"

namespace sandboxd::audit {
namespace {

constexpr uid_t kAuditUid = own_id(kPoolFirst, OwnId::kAudit);
constexpr uid_t kSandboxdUid = own_id(kPoolFirst, OwnId::kSandboxd);

wire::AuditRecord record_of(const std::string& action, wire::AuditPhase phase, const std::string& request = "") {
  wire::AuditRecord record;
  record.action = action;
  record.phase = phase;
  record.outcome = "ok";
  record.request = request;
  record.detail = "{}";
  return record;
}

struct Answer {
  bool acked = false;
  std::uint64_t id = 0;
  wire::Ack ack{};
  int code = 0;
  std::string detail{};
};

class AuditProgram : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts a program under another id";
    listen("audit", kSandboxdUid);
    listen("audit-launcher", 0);
    prepare_directory();
    start();
  }

  void listen(const std::string& name, uid_t owner) {
    Result<UniqueFd> fd = listen_unix(path(name), SOCK_SEQPACKET, 0600, owner, 64);
    ASSERT_TRUE(fd.ok()) << fd.error().message();
    options_.sockets[name] = fd->get();
    listeners_.push_back(std::move(*fd));
  }
  void prepare_directory() const {
    std::filesystem::create_directory(directory());
    ::chmod(directory().c_str(), 0700);
    ASSERT_EQ(::chown(directory().c_str(), kAuditUid, kAuditUid), 0);
  }
  void start() {
    options_.uid = kAuditUid;
    options_.env["SANDBOXD_STATE_DIR"] = dir_.path();
    options_.env["SANDBOXD_SLICE_FIRST"] = std::to_string(kPoolFirst);
    program_ = test::RunningProgram::start(test::program_path("sandboxd-audit"), options_);
  }

  std::string path(const std::string& name) const { return dir_.path() + "/" + name + ".sock"; }
  std::string directory() const { return dir_.path() + "/audit"; }

  // The launcher's by default: this test is root. `uid`: connects as that one, in a child that hands the socket back.
  UniqueFd connect(const std::string& name, uid_t uid = 0) const {
    if (uid == 0) {
      Result<UniqueFd> fd = connect_unix(path(name), SOCK_SEQPACKET);
      return fd.ok() ? std::move(*fd) : UniqueFd();
    }
    auto pair = socket_pair(SOCK_SEQPACKET);
    (void)test::as_user(uid, [&] {
      Result<UniqueFd> fd = connect_unix(path(name), SOCK_SEQPACKET);
      const std::uint8_t byte = 0;
      const int number = fd.ok() ? fd->get() : -1;
      return fd.ok() && send_packet(pair->first.get(), {&byte, 1}, {&number, 1}).ok() ? 0 : 1;
    });
    Result<Packet> packet = receive_packet(pair->second.get(), 1, 1, MSG_DONTWAIT);
    return packet.ok() && packet->fds.size() == 1 ? std::move(packet->fds.front()) : UniqueFd();
  }
  UniqueFd connect_sandboxd() const { return connect("audit", kSandboxdUid); }

  static bool send(int socket, const wire::AuditRecord& record, std::uint64_t id) {
    return wire::send(socket, wire::AuditMessage::kAppend, id, record).ok();
  }
  static std::optional<Answer> receive(int socket) {
    const Result<bool> ready = wait_readable(socket, monotonic_usec() + 10'000'000);
    if (!ready.ok() || !*ready) return std::nullopt;
    const Result<wire::Message> message = wire::receive_message(socket, 0);
    if (!message.ok() || message->end) return std::nullopt;
    Answer answer;
    answer.id = message->id;
    answer.acked = message->type == static_cast<std::uint16_t>(wire::AuditMessage::kAck);
    if (answer.acked) {
      answer.ack = *wire::body_of<wire::Ack>(*message);
    } else {
      const wire::Refused refused = *wire::body_of<wire::Refused>(*message);
      answer.code = refused.code;
      answer.detail = refused.detail;
    }
    return answer;
  }
  static Answer append(int socket, const wire::AuditRecord& record, std::uint64_t id = 1) {
    if (!send(socket, record, id)) return {};
    return receive(socket).value_or(Answer{});
  }

  // index -> record, of all segments; the verdict must be good.
  std::map<std::uint64_t, nlohmann::json> records() const {
    std::map<std::uint64_t, nlohmann::json> all;
    Position position;
    const UniqueFd segments(::open((directory() + "/seg").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Result<std::vector<std::uint64_t>> firsts = list_segments(segments.get());
    for (const std::uint64_t first : *firsts) {
      const Result<std::string> bytes = read_file(segments.get(), segment_name(first), kMaxSegment);
      position = scan_segment(*bytes, position, [&](std::uint64_t index, const nlohmann::json& record) {
                   all[index] = record;
                 }).end;
    }
    return all;
  }

  test::TempDir dir_;
  std::vector<UniqueFd> listeners_;
  test::StartOptions options_;
  test::RunningProgram program_;
};

// Writes without waiting for answers; the program is killed `delay_usec` after its `acks`-th one, somewhere among the next.
void run_until_killed(const test::RunningProgram& program, int socket, std::size_t acks, std::uint64_t delay_usec,
                      std::map<std::uint64_t, Sha256Digest>& acked) {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  std::uint64_t kill_at = acks == 0 ? monotonic_usec() + delay_usec : 0;
  for (;;) {
    if (kill_at != 0 && monotonic_usec() >= kill_at) program.signal(SIGKILL);
    const auto body = wire::encode(record_of("jail.exit", wire::AuditPhase::kEvent, fmt::format("r-{}", sent)));
    if (sent < answered + 40 && wire::send_message(socket, 1, sent, body, {}, MSG_DONTWAIT).ok()) ++sent;
    const Result<wire::Message> message = wire::receive_message(socket, 0, MSG_DONTWAIT);
    if (!message.ok() && message.error().code == EAGAIN) continue;
    if (!message.ok() || message->end) return;
    const wire::Ack ack = *wire::body_of<wire::Ack>(*message);
    acked[ack.index] = ack.leaf_hash;
    if (++answered == acks) kill_at = monotonic_usec() + delay_usec;
  }
}

TEST_F(AuditProgram, AcknowledgesWhatIsInTheLog) {
  const UniqueFd sandboxd = connect_sandboxd();
  const Answer answer = append(sandboxd.get(), record_of("jail.exit", wire::AuditPhase::kEvent), 77);
  ASSERT_TRUE(answer.acked) << answer.detail;
  EXPECT_EQ(answer.id, 77U);
  const auto all = records();
  ASSERT_TRUE(all.contains(answer.ack.index));
  EXPECT_EQ(leaf_hash(all.at(answer.ack.index).dump()), answer.ack.leaf_hash);
}

TEST_F(AuditProgram, BeginsEachRunWithARecord) {
  const UniqueFd sandboxd = connect_sandboxd();
  ASSERT_TRUE(append(sandboxd.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked);
  const auto all = records();
  EXPECT_EQ(all.at(0).at("action"), "audit.open");
  EXPECT_EQ(all.at(0).at("actor").at("source"), "audit");
}

TEST_F(AuditProgram, SaysWhoWroteByTheSocketThatItCameBy) {
  const UniqueFd sandboxd = connect_sandboxd();
  const UniqueFd launcher = connect("audit-launcher");
  ASSERT_TRUE(append(sandboxd.get(), record_of("jail.start", wire::AuditPhase::kIntent, "r-1")).acked);
  const Answer launch = append(launcher.get(), record_of("jail.launch", wire::AuditPhase::kEvent, "r-1"));
  ASSERT_TRUE(launch.acked) << launch.detail;
  const auto all = records();
  EXPECT_EQ(all.at(launch.ack.index).at("actor").at("source"), "launcher");
  EXPECT_EQ(all.at(launch.ack.index).at("ref"), launch.ack.index - 1);
  EXPECT_EQ(all.at(launch.ack.index - 1).at("actor").at("source"), "sandboxd");
}

TEST_F(AuditProgram, RefusesALaunchWhoseIntentIsNotInTheLog) {
  const UniqueFd launcher = connect("audit-launcher");
  const Answer answer = append(launcher.get(), record_of("jail.launch", wire::AuditPhase::kEvent, "r-1"));
  EXPECT_FALSE(answer.acked);
  EXPECT_EQ(answer.code, EPERM);
}

TEST_F(AuditProgram, FindsAnIntentThatWasSentAMomentBefore) {
  const UniqueFd sandboxd = connect_sandboxd();
  const UniqueFd launcher = connect("audit-launcher");
  for (int i = 0; i < 200; ++i) {
    const std::string request = fmt::format("r-{}", i);
    ASSERT_TRUE(send(sandboxd.get(), record_of("jail.start", wire::AuditPhase::kIntent, request), 1));
    const Answer answer = append(launcher.get(), record_of("jail.launch", wire::AuditPhase::kEvent, request));
    ASSERT_TRUE(answer.acked) << i << answer.detail;
    ASSERT_TRUE(receive(sandboxd.get())->acked);
  }
}

TEST_F(AuditProgram, LetsATakenOverSandboxdWriteNoLaunch) {
  const UniqueFd sandboxd = connect_sandboxd();
  EXPECT_EQ(append(sandboxd.get(), record_of("jail.launch", wire::AuditPhase::kEvent, "r-1")).code, EPERM);
  EXPECT_EQ(append(sandboxd.get(), record_of("audit.recovered", wire::AuditPhase::kEvent)).code, EPERM);
  // Its id opens no connection to the launcher's socket, whatever the socket's mode.
  ASSERT_EQ(::chmod(path("audit-launcher").c_str(), 0666), 0);
  const UniqueFd stolen = connect("audit-launcher", kSandboxdUid);
  EXPECT_FALSE(append(stolen.get(), record_of("jail.launch", wire::AuditPhase::kEvent)).acked);
}

TEST_F(AuditProgram, TakesNobodyElseForSandboxd) {
  ASSERT_EQ(::chmod(path("audit").c_str(), 0666), 0);
  const UniqueFd stranger = connect("audit", 60001);
  ASSERT_TRUE(stranger.valid());
  EXPECT_FALSE(append(stranger.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked);
}

TEST_F(AuditProgram, AnswersInOrder) {
  const UniqueFd sandboxd = connect_sandboxd();
  std::vector<bool> good;
  for (std::uint64_t id = 0; id < 100; ++id) {
    good.push_back(id % 7 != 3);
    ASSERT_TRUE(send(sandboxd.get(), record_of(good.back() ? "jail.exit" : "NO", wire::AuditPhase::kEvent), id));
  }
  std::uint64_t last = 0;
  for (std::uint64_t id = 0; id < 100; ++id) {
    const std::optional<Answer> answer = receive(sandboxd.get());
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->id, id);
    EXPECT_EQ(answer->acked, good[id]);
    if (answer->acked) {
      EXPECT_GT(answer->ack.index, std::exchange(last, answer->ack.index));
    }
  }
}

TEST_F(AuditProgram, WaitsForAPeerThatReadsNothingAndServesAnother) {
  const UniqueFd deaf = connect_sandboxd();
  const UniqueFd other = connect_sandboxd();
  int sent = 0;
  const auto body = wire::encode(record_of("jail.exit", wire::AuditPhase::kEvent));
  // Until its socket is full: the program has stopped to read from it.
  for (std::uint64_t until = monotonic_usec() + 10'000'000; monotonic_usec() < until; ++sent) {
    if (!wire::send_message(deaf.get(), 1, static_cast<std::uint64_t>(sent), body, {}, MSG_DONTWAIT).ok() &&
        append(other.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked &&
        !wire::send_message(deaf.get(), 1, static_cast<std::uint64_t>(sent), body, {}, MSG_DONTWAIT).ok()) {
      break;
    }
  }
  EXPECT_TRUE(append(other.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked);
  const std::optional<Answer> first = receive(deaf.get());
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(first->acked);
}

TEST_F(AuditProgram, ClosesAConnectionThatSpeaksNonsenseAndGoesOn) {
  const UniqueFd bad = connect_sandboxd();
  const std::vector<std::uint8_t> noise(100, 0x55);
  ASSERT_TRUE(send_packet(bad.get(), noise, {}).ok());
  EXPECT_FALSE(receive(bad.get()).has_value());
  const UniqueFd good = connect_sandboxd();
  EXPECT_TRUE(append(good.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked);
}

TEST_F(AuditProgram, LosesNothingAcknowledgedWhenItIsKilled) {
  std::mt19937 random(20260101);
  std::map<std::uint64_t, Sha256Digest> acked;
  for (int round = 0; round < 50; ++round) {
    const UniqueFd sandboxd = connect_sandboxd();
    ASSERT_TRUE(append(sandboxd.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked) << "round " << round;
    run_until_killed(program_, sandboxd.get(), random() % 40, random() % 3000, acked);
    ASSERT_TRUE(program_.wait().has_value());
    start();
  }
  const UniqueFd sandboxd = connect_sandboxd();
  ASSERT_TRUE(append(sandboxd.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked);
  const auto all = records();
  for (const auto& [index, hash] : acked) {
    ASSERT_TRUE(all.contains(index)) << index;
    ASSERT_EQ(leaf_hash(all.at(index).dump()), hash) << index;
  }
  EXPECT_GT(acked.size(), 200U);
  const Result<Verification> result = verify(directory());
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->verdict, Verdict::kGood) << result->problem;
}

TEST_F(AuditProgram, RunsWithoutCapabilitiesAndConfined) {
  const UniqueFd sandboxd = connect_sandboxd();
  ASSERT_TRUE(append(sandboxd.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked);
  const UniqueFd proc(::open(("/proc/" + std::to_string(program_.pid())).c_str(), O_PATH | O_CLOEXEC));
  const Result<ProcStatus> status = read_proc_status(proc.get());
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(status->cap_permitted | status->cap_effective | status->cap_inheritable | status->cap_bounding |
                status->cap_ambient,
            0U);
  EXPECT_TRUE(status->no_new_privs);
  EXPECT_EQ(status->seccomp, SeccompMode::kFilter);
}

TEST_F(AuditProgram, RefusesToStartOnALogThatWasChanged) {
  {
    const UniqueFd sandboxd = connect_sandboxd();
    for (int i = 0; i < 5; ++i)
      ASSERT_TRUE(append(sandboxd.get(), record_of("jail.exit", wire::AuditPhase::kEvent)).acked);
  }
  program_.signal(SIGTERM);
  ASSERT_EQ(program_.wait(), 0);
  const std::string name = directory() + "/seg/" + segment_name(0);
  std::fstream file(name, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(40).put('X');
  file.close();
  start();
  const std::optional<int> status = program_.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 1);
}

TEST_F(AuditProgram, RefusesADirectoryThatIsNotItsOwn) {
  program_.end();
  ASSERT_EQ(::chmod(directory().c_str(), 0750), 0);
  start();
  const std::optional<int> status = program_.wait();
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(WEXITSTATUS(*status), 1);
}

// In a mount namespace of its own, so that the host sees no mount.
class AuditOnAFullDisk : public AuditProgram {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: mounts a tmpfs";
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    std::filesystem::create_directory(directory());
    // Room for one segment and not for two.
    ASSERT_EQ(::mount("tmpfs", directory().c_str(), "tmpfs", 0, "size=24m"), 0);
    AuditProgram::SetUp();
  }
  void TearDown() override {
    program_.end();
    ::umount2(directory().c_str(), MNT_DETACH);
  }
};

TEST_F(AuditOnAFullDisk, RefusesRecordsAndWritesNoPartOfThem) {
  const UniqueFd sandboxd = connect_sandboxd();
  wire::AuditRecord large = record_of("jail.exit", wire::AuditPhase::kEvent);
  large.detail = R"({"text":")" + std::string(30000, 'x') + R"("})";
  Answer answer;
  std::uint64_t last = 0;
  do {
    answer = append(sandboxd.get(), large);
    if (answer.acked) last = answer.ack.index;
  } while (answer.acked);
  EXPECT_EQ(answer.code, ENOSPC);
  EXPECT_GT(last, 400U);
  const Result<Verification> full = verify(directory());
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->verdict, Verdict::kGood) << full->problem;
  EXPECT_EQ(full->end.records, last + 1);
  // Its records go on when there is room again.
  ASSERT_EQ(::mount(nullptr, directory().c_str(), nullptr, MS_REMOUNT, "size=64m"), 0);
  answer = append(sandboxd.get(), large);
  EXPECT_TRUE(answer.acked) << answer.detail;
  EXPECT_EQ(answer.ack.index, last + 1);
}

TEST(AuditVerifyProgram, SaysItByItsExitStatus) {
  const test::TempDir dir;
  const auto status_of = [&](const std::vector<std::string>& arguments) {
    test::StartOptions options;
    options.arguments = arguments;
    const UniqueFd quiet(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    options.stderr_fd = quiet.get();
    test::RunningProgram program = test::RunningProgram::start(test::program_path("sandboxd-audit-verify"), options);
    return WEXITSTATUS(program.wait().value_or(-1));
  };
  EXPECT_EQ(status_of({"--nope"}), 3);
  EXPECT_EQ(status_of({dir.path(), dir.path()}), 3);
  EXPECT_EQ(status_of({dir.path()}), 2);
  std::filesystem::create_directory(dir.path() + "/seg");
  std::string text;
  const std::string json = R"({"prev_hash":")" + std::string(64, '0') + R"(","seq":0})";
  append_record(text, 0, json);
  append_commit(text, 1, text.size(), leaf_hash(json));
  std::ofstream(dir.path() + "/seg/" + segment_name(0)) << text;
  EXPECT_EQ(status_of({dir.path()}), 0);
  std::ofstream(dir.path() + "/seg/" + segment_name(0)) << text << "R 00";
  EXPECT_EQ(status_of({dir.path()}), 2);
  text[40] = 'X';
  std::ofstream(dir.path() + "/seg/" + segment_name(0)) << text;
  EXPECT_EQ(status_of({dir.path()}), 1);
}

}  // namespace
}  // namespace sandboxd::audit
