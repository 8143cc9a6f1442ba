// The public API against a daemon of scripted answers on a real socket.
#include <sandboxd/client.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/socket.h"
#include "base/unique_fd.h"
#include "protocol/frame.h"

namespace sandboxd::client {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json jail_json(const char* id) {
  return {{"jail", id},
          {"name", ""},
          {"profile", "default"},
          {"state", "running"},
          {"uid", 1},
          {"argv", {"x"}},
          {"argv_cut", false},
          {"started", 1},
          {"session", false},
          {"frozen", true},
          {"labels", {{"k", "v"}}},
          {"jobs", 1},
          {"in_force", Json::array()},
          {"unenforced", Json::array()},
          {"profile_hash", "cc"}};
}
Json job_json(int number, bool tty) {
  return {{"jail", "j-1"}, {"job", number}, {"state", "running"}, {"argv", {"x"}}, {"argv_cut", false},
          {"started", 1},  {"tty", tty},    {"detached", false},  {"attached", 1}};
}
Json report_json(int code) {
  return {{"jail", "j-1"},
          {"job", 2},
          {"profile", "default"},
          {"profile_hash", ""},
          {"verdict", "exited"},
          {"exit_code", code},
          {"detail", ""},
          {"usage", {{"wall", 1}, {"cpu_user", 1}, {"cpu_system", 1}, {"memory_peak", 1}}},
          {"enforced_by", Json::array()},
          {"unenforced", Json::array()},
          {"audit_index", 0},
          {"survivors", 0}};
}
Json reply(const Json& parameters, bool more = false) {
  Json frame = {{"parameters", parameters}};
  if (more) frame["continues"] = true;
  return frame;
}

class Peer {
 public:
  Peer() {
    EXPECT_NE(::mkdtemp(directory_), nullptr);
    auto listener = listen_unix(path(), SOCK_STREAM, 0600, ::geteuid(), 8);
    EXPECT_TRUE(listener.ok());
    listener_ = std::move(listener).value();
    thread_ = std::thread([this] { serve(); });
  }
  ~Peer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    ::unlink(path().c_str());
    ::rmdir(directory_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  [[nodiscard]] std::string path() const { return std::string(directory_) + "/s.sock"; }
  // What is sent when the method is called; descriptors go with the first frame.
  void answer(const std::string& method, std::vector<Json> frames, std::vector<int> fds = {},
              std::function<void()> before_last = {}) {
    const std::lock_guard lock(mutex_);
    answers_["org.sandboxd." + method] = {std::move(frames), std::move(fds), std::move(before_last)};
  }
  Json parameters(const std::string& method) {
    const std::lock_guard lock(mutex_);
    return seen_["org.sandboxd." + method];
  }
  Client connect(Milliseconds timeout = std::chrono::seconds(20)) {
    auto client = Client::connect({.socket = path(), .timeout = timeout});
    EXPECT_TRUE(client.has_value());
    return std::move(client).value();
  }

 private:
  struct Answer {
    std::vector<Json> frames{};
    std::vector<int> fds{};
    std::function<void()> before_last{};
  };

  void serve() {
    std::vector<std::thread> threads;
    for (;;) {
      if (!wait_readable(listener_.get(), 0).ok()) break;  // the listener does not block
      const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) break;
      threads.emplace_back([this, fd] { talk(fd); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  void talk(int fd) {
    const UniqueFd connection(fd);
    protocol::FrameReader frames;
    char bytes[4096];
    for (ssize_t got = 0; (got = ::recv(fd, bytes, sizeof bytes, 0)) > 0;) {
      (void)frames.feed({bytes, static_cast<std::size_t>(got)});
      while (const auto frame = frames.next()) {
        const Json call = Json::parse(*frame);
        if (!send_answer(fd, call["method"].get<std::string>(), call["parameters"])) return;
      }
    }
  }
  // False: hangs up.
  bool send_answer(int fd, const std::string& method, const Json& parameters) {
    Answer answer;
    {
      const std::lock_guard lock(mutex_);
      seen_[method] = parameters;
      if (!answers_.contains(method)) return false;
      answer = answers_[method];
    }
    for (std::size_t i = 0; i < answer.frames.size(); ++i) {
      if (i + 1 == answer.frames.size() && answer.before_last) answer.before_last();
      const std::string text = answer.frames[i].dump();
      const std::span<const std::uint8_t> span(reinterpret_cast<const std::uint8_t*>(text.c_str()), text.size() + 1);
      if (!send_packet(fd, span, i == 0 ? std::span<const int>(answer.fds) : std::span<const int>()).ok()) return false;
    }
    return true;
  }

  char directory_[32] = "/tmp/client-test-XXXXXX";
  UniqueFd listener_;
  std::mutex mutex_;
  std::map<std::string, Answer> answers_;
  std::map<std::string, Json> seen_;
  std::thread thread_;
};

struct Pipe {
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read, write;
};

TEST(Client, SaysThatNobodyListens) {
  const auto client = Client::connect({.socket = "/nonexistent/s.sock"});
  ASSERT_FALSE(client.has_value());
  EXPECT_EQ(client.error().kind, ErrorKind::kUnreachable);
  EXPECT_EQ(client.error().code, ENOENT);
  EXPECT_THAT(client.error().text, HasSubstr("is sandboxd running?"));
}

TEST(Client, GivesTheDaemonsErrorsTheirKindAndFields) {
  Peer peer;
  peer.answer("Jail.Freeze", {{{"error", "org.sandboxd.NotFound"}, {"parameters", {{"what", "jail"}, {"name", "x"}}}}});
  peer.answer("Files.Stat",
              {{{"error", "org.sandboxd.Files.Failed"},
                {"parameters", {{"operation", "lstat"}, {"path", "/x"}, {"errno", 13}, {"detail", ""}}}}});
  Client client = peer.connect();
  const auto frozen = client.freeze("x");
  ASSERT_FALSE(frozen.has_value());
  EXPECT_EQ(frozen.error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(frozen.error().name, "org.sandboxd.NotFound");
  EXPECT_EQ(frozen.error().field("what"), "jail");
  const auto stat = client.files("j").stat("/x");
  ASSERT_FALSE(stat.has_value());
  EXPECT_EQ(stat.error().kind, ErrorKind::kFileFailed);
  EXPECT_EQ(stat.error().code, EACCES);
}

TEST(Client, TimesOutAndGoesOn) {
  Peer peer;
  peer.answer("Jail.Thaw", {});
  peer.answer("Jail.Freeze", {reply(Json::object())});
  Client client = peer.connect(Milliseconds(50));
  const auto thawed = client.thaw("x");
  ASSERT_FALSE(thawed.has_value());
  EXPECT_EQ(thawed.error().kind, ErrorKind::kTimedOut);
  EXPECT_TRUE(client.freeze("x").has_value());
}

TEST(Client, ConnectsAgainAfterTheDaemonHungUp) {
  Peer peer;
  peer.answer("Jail.Freeze", {reply(Json::object())});
  Client client = peer.connect();
  EXPECT_EQ(client.thaw("x").error().kind, ErrorKind::kDisconnected);  // a method without an answer: it hangs up
  EXPECT_TRUE(client.freeze("x").has_value());
}

TEST(Client, JoinsTheRepliesOfAList) {
  Peer peer;
  peer.answer("Jail.List", {reply({{"jails", {jail_json("j-1")}}, {"complete", false}}, true),
                            reply({{"jails", {jail_json("j-2")}}, {"complete", true}})});
  const auto jails = peer.connect().list();
  ASSERT_TRUE(jails.has_value()) << jails.error().text;
  ASSERT_EQ(jails->size(), 2U);
  EXPECT_EQ((*jails)[1].jail, "j-2");
  EXPECT_TRUE((*jails)[0].frozen);
  EXPECT_THAT((*jails)[0].labels, ElementsAre(testing::Pair("k", "v")));
}

TEST(Client, RefusesAnAnswerThatIsNone) {
  Peer peer;
  peer.answer("Jail.Inspect", {reply({{"jail", {{"jail", 5}}}})});
  peer.answer("Jail.Jobs", {reply({{"no", "jobs"}})});
  Client client = peer.connect();
  EXPECT_EQ(client.inspect("x").error().kind, ErrorKind::kMalformed);
  EXPECT_EQ(client.jobs("x").error().kind, ErrorKind::kMalformed);
}

TEST(Job, HasItsStreamsAsDescriptors) {
  Peer peer;
  Pipe in;
  Pipe out;
  Pipe error;
  std::string typed;
  const auto read_input = [&] {  // to its end
    char bytes[16];
    for (ssize_t got = 0; (got = ::read(in.read.get(), bytes, sizeof bytes)) > 0;)
      typed.append(bytes, static_cast<std::size_t>(got));
  };
  peer.answer("Jail.Exec", {reply({{"started", job_json(2, false)}}, true), reply({{"report", report_json(7)}})},
              {in.write.get(), out.read.get(), error.read.get()}, read_input);
  ExecSpec spec;
  spec.argv = {"x"};
  spec.stdio = Stdio::kPass;
  Client client = peer.connect();
  auto job = client.exec("j-1", spec);
  ASSERT_TRUE(job.has_value()) << job.error().text;
  EXPECT_EQ(job->number(), 2U);
  EXPECT_FALSE(job->has_terminal());
  in.write.reset();
  ASSERT_EQ(::write(out.write.get(), "out", 3), 3);
  ASSERT_EQ(::write(error.write.get(), "error", 5), 5);
  out.write.reset();
  error.write.reset();
  out.read.reset();
  const auto end = job->communicate("typed");
  ASSERT_TRUE(end.has_value()) << end.error().text;
  EXPECT_EQ(end->out, "out");
  EXPECT_EQ(end->error, "error");
  EXPECT_EQ(end->report.exit_code, 7);
  EXPECT_EQ(typed, "typed");
  EXPECT_FALSE(job->next().has_value());  // there is nothing after the report
}

TEST(Job, RaisesNoSignalWhenItReadsNoMore) {
  Peer peer;
  auto input = socket_pair(SOCK_STREAM);
  ASSERT_TRUE(input.ok());
  auto& [ours, theirs] = input.value();
  ASSERT_EQ(::shutdown(theirs.get(), SHUT_RD), 0);  // a write to ours is EPIPE, and SIGPIPE would end this test
  Pipe out;
  Pipe error;
  const auto await_close = [&theirs = theirs] {  // the library lets go of the job's input once the write has failed
    pollfd polled{theirs.get(), POLLHUP, 0};
    do polled.revents = 0;
    while (::poll(&polled, 1, 20'000) == 1 && (polled.revents & POLLHUP) == 0);
    EXPECT_NE(polled.revents & POLLHUP, 0);
  };
  peer.answer("Jail.Exec", {reply({{"started", job_json(2, false)}}, true), reply({{"report", report_json(0)}})},
              {ours.get(), out.read.get(), error.read.get()}, await_close);
  ExecSpec spec;
  spec.argv = {"x"};
  spec.stdio = Stdio::kPass;
  Client client = peer.connect();
  auto job = client.exec("j-1", spec);
  ASSERT_TRUE(job.has_value());
  ours.reset();
  out.write.reset();
  error.write.reset();
  EXPECT_TRUE(job->communicate(std::string(200'000, 'x')).has_value());
  sigset_t pending;
  ::sigpending(&pending);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

TEST(Job, HasATerminalWhenTwoDescriptorsCome) {
  Peer peer;
  Pipe typed;
  Pipe shown;
  peer.answer("Jail.Attach", {reply({{"started", job_json(3, true)}}, true)}, {typed.write.get(), shown.read.get()});
  peer.answer("Jail.Resize", {reply(Json::object())});
  Client client = peer.connect();
  auto job = client.attach("j-1", 3, 100);
  ASSERT_TRUE(job.has_value()) << job.error().text;
  EXPECT_TRUE(job->has_terminal());
  EXPECT_TRUE(job->input && job->output && !job->error);
  EXPECT_EQ(peer.parameters("Jail.Attach"), (Json{{"jail", "j-1"}, {"job", 3}, {"replay", 100}}));
  EXPECT_TRUE(job->resize({.rows = 5, .columns = 6}).has_value());
  EXPECT_EQ(peer.parameters("Jail.Resize"),
            (Json{{"jail", "j-1"}, {"job", 3}, {"size", {{"rows", 5}, {"columns", 6}}}}));
}

TEST(Job, HandsOutRelayedOutput) {
  Peer peer;
  peer.answer("Jail.Run",
              {reply({{"started", jail_json("j-1")}}, true),
               reply({{"output", {{"stream", "stdout"}, {"data", {{"b64", "/w=="}}}}}}, true),
               reply({{"output", {{"stream", "stderr"}, {"data", "e"}}}}, true), reply({{"report", report_json(0)}})});
  Request request;
  request.spec.argv = {"x"};
  auto job = peer.connect().run(std::move(request));  // the job needs no Client to live
  ASSERT_TRUE(job.has_value());
  const auto end = job->communicate();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->out, "\xff");
  EXPECT_EQ(end->error, "e");
}

TEST(Job, WaitsNoLongerThanItIsTold) {
  Peer peer;
  peer.answer("Jail.Run", {reply({{"started", jail_json("j-1")}}, true)});
  Request request;
  request.spec.argv = {"x"};
  Client client = peer.connect();
  auto job = client.run(std::move(request));
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(job->wait(Milliseconds(30)).error().kind, ErrorKind::kTimedOut);
  const auto update = job->next(Milliseconds(0));
  ASSERT_TRUE(update.has_value());
  EXPECT_FALSE(update->has_value());
}

TEST(Events, TellOfGapsAndRememberWhereTheyAre) {
  Peer peer;
  const Json event = {{"cursor", 9},          {"time", 1}, {"epoch", "e"}, {"jail", "j-1"}, {"kind", "started"},
                      {"detail", {{"a", 1}}}, {"uid", 3}};
  peer.answer("Jail.Events", {reply({{"gap", 4}}, true), reply({{"event", event}}, true), reply(Json::object())});
  auto events = peer.connect().events({.after = 5, .epoch = "e"}, /*follow=*/false);
  ASSERT_TRUE(events.has_value());
  const auto gap = events->next();
  ASSERT_TRUE(gap.has_value() && gap->has_value());
  EXPECT_EQ((*gap)->gap, 4U);
  EXPECT_EQ(peer.parameters("Jail.Events"), (Json{{"after", 5}, {"epoch", "e"}, {"follow", false}}));
  const auto next = events->next();
  ASSERT_TRUE(next.has_value() && next->has_value() && (*next)->event.has_value());
  EXPECT_EQ((*next)->event->detail, R"({"a":1})");
  EXPECT_EQ(events->cursor().after, 9U);
  EXPECT_FALSE(events->next().value().has_value());
}

TEST(Files, AreReadWholeInParts) {
  Peer peer;
  peer.answer("Files.Read", {reply({{"data", "abc"}, {"end", true}, {"size", 3}})});
  Client client = peer.connect();
  EXPECT_EQ(client.files("j").read_all("/f").value(), "abc");
  EXPECT_EQ(client.files("j").read_all("/f", 2).error().kind, ErrorKind::kFileRefused);
}

TEST(Files, ComeAsAStreamWithAnEnd) {
  Peer peer;
  Pipe tar;
  peer.answer("Files.Get", {reply({{"started", true}}, true), reply({{"files", 2}, {"bytes", 30}})}, {tar.read.get()});
  Client client = peer.connect();
  auto transfer = client.files("j").get("/d");
  ASSERT_TRUE(transfer.has_value()) << transfer.error().text;
  EXPECT_TRUE(static_cast<bool>(transfer->stream));
  const auto result = transfer->finish();
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->files, 2U);
  peer.answer("Files.Put", {reply({{"started", true}}, true)});
  EXPECT_EQ(client.files("j").put("/d").error().kind, ErrorKind::kMalformed);  // no stream came
}

TEST(Client, CallsWhatItHasNoFunctionFor) {
  Peer peer;
  peer.answer("Host.Info", {reply({{"info", {{"version", "1"}}}})});
  Client client = peer.connect();
  EXPECT_EQ(client.call("org.sandboxd.Host.Info").value(), R"({"info":{"version":"1"}})");
  EXPECT_EQ(client.call("org.sandboxd.Host.Info", "[").error().kind, ErrorKind::kInvalid);
}

}  // namespace
}  // namespace sandboxd::client
