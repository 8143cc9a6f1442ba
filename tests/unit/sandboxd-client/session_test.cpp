#include "sandboxd-client/ctl/session.h"

#include <csignal>
#include <functional>
#include <thread>

#include <gtest/gtest.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/socket.h"
#include "protocol/json.h"

namespace sandboxd::ctl {
namespace {

using namespace std::string_literals;

constexpr std::uint64_t kSoon = 200'000;  // what a session that must give up by itself is given
constexpr std::uint64_t kNever = 600'000'000;

const char* const kStarted =
    R"({"parameters":{"started":{"jail":"j-1","name":"","profile":"default","state":"running","uid":1000,"argv":["x"],)"
    R"("argv_cut":false,"started":1,"in_force":[],"session":false,"frozen":false,"labels":{},"jobs":1,"unenforced":[],"profile_hash":"cc"}},"continues":true})";

// A daemon that has started the job, and whose answer to Kill is scripted.
class Daemon {
 public:
  explicit Daemon(std::string answer_to_kill, bool answers = true)
      : answer_(std::move(answer_to_kill)), answers_(answers) {
    EXPECT_NE(::mkdtemp(directory_), nullptr);
    path_ = std::string(directory_) + "/sandboxd.sock";
    auto listener = listen_unix(path_, SOCK_STREAM, 0600, ::geteuid(), 4);
    EXPECT_TRUE(listener.ok());
    listener_ = std::move(listener).value();
  }
  ~Daemon() {
    ::unlink(path_.c_str());
    ::rmdir(directory_);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // The exit status of an attached run that gets `signal` once the job runs, and how long it took.
  int run_until_signal(int signal, std::uint64_t end_wait) {
    auto client = client::Client::connect({.socket = path_, .timeout = std::chrono::milliseconds(200)});
    EXPECT_TRUE(client.has_value());
    const UniqueFd server = accept();
    auto job = client->begin_run({});
    EXPECT_TRUE(job.has_value());
    send(server, kStarted);
    auto signals = socket_pair(SOCK_SEQPACKET);
    signalfd_siginfo info{};
    info.ssi_signo = static_cast<std::uint32_t>(signal);
    std::thread killer([&] {
      answer_kill(signals->first, info);
      std::uint8_t byte = 0;
      ssize_t got = 1;  // the call comes first
      while (got > 0 && wait_readable(server.get(), monotonic_usec() + 30'000'000).ok()) {
        got = ::recv(server.get(), &byte, 1, 0);
      }
      hung_up_ = got == 0;
    });
    int status = 0;
    {
      Session session(invocation_, std::move(job).value(), std::move(signals->second), {.end_wait = end_wait});
      status = session.run();
    }
    killer.join();
    return status;
  }
  [[nodiscard]] bool hung_up() const { return hung_up_; }

 private:
  UniqueFd accept() {
    EXPECT_TRUE(wait_readable(listener_.get(), monotonic_usec() + 10'000'000).ok());
    return UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  static void send(const UniqueFd& to, const std::string& frame) {
    EXPECT_EQ(::send(to.get(), frame.c_str(), frame.size() + 1, MSG_NOSIGNAL), static_cast<ssize_t>(frame.size() + 1));
  }
  // The session reads "started" before the signal: both are there, and replies come first in a turn.
  void answer_kill(const UniqueFd& signals, const signalfd_siginfo& info) {
    EXPECT_EQ(::send(signals.get(), &info, sizeof info, 0), static_cast<ssize_t>(sizeof info));
    kill_ = accept();
    char bytes[512];
    EXPECT_GT(::recv(kill_.get(), bytes, sizeof bytes, 0), 0);
    if (!answers_) return;
    if (!answer_.empty()) send(kill_, answer_);
    kill_.reset();
  }

  std::string answer_;
  bool answers_;
  Invocation invocation_{.verb = "run", .globals = {}, .command = {"x"}};
  char directory_[32] = "/tmp/session-test-XXXXXX";
  std::string path_;
  UniqueFd listener_, kill_;
  bool hung_up_ = false;
};

TEST(Session, HangsUpWhenTheDaemonTakesNoMoreConnections) {
  Daemon daemon("");
  EXPECT_EQ(daemon.run_until_signal(SIGTERM, kNever), 128 + SIGTERM);
  EXPECT_TRUE(daemon.hung_up());
}

TEST(Session, HangsUpWhenItsKillIsRefused) {
  Daemon daemon(
      R"({"error":"org.sandboxd.LimitReached","parameters":{"limit":"calls_per_second","most":1,"scope":"user"}})");
  EXPECT_EQ(daemon.run_until_signal(SIGINT, kNever), 128 + SIGINT);
  EXPECT_TRUE(daemon.hung_up());
}

TEST(Session, HangsUpWhenTheDaemonNeverAnswers) {
  Daemon daemon("", /*answers=*/false);
  const std::uint64_t before = monotonic_usec();
  EXPECT_EQ(daemon.run_until_signal(SIGTERM, kSoon), 128 + SIGTERM);
  EXPECT_GE(monotonic_usec() - before, kSoon);
  EXPECT_TRUE(daemon.hung_up());
}

TEST(Session, GoesOnWaitingForTheReportOfAJailThatIsGone) {
  Daemon daemon(R"({"error":"org.sandboxd.NotFound","parameters":{"what":"jail","name":"j-1"}})");
  const std::uint64_t before = monotonic_usec();
  EXPECT_EQ(daemon.run_until_signal(SIGTERM, kSoon), 128 + SIGTERM);
  EXPECT_GE(monotonic_usec() - before, kSoon) << "it hung up at once";
}

}  // namespace
}  // namespace sandboxd::ctl
