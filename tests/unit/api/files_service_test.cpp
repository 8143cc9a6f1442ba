// org.sandboxd.Files over a jail that says what the test makes it say.
#include "daemon/api/files_service.h"

#include <array>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "daemon/files/answer.h"
#include "fixture.h"

namespace sandboxd::test {
namespace {

using files::Answer;
using files::AnswerKind;
using files::encode_answer;

class Files : public ServerTest {
 protected:
  Files() { jail = run(client); }

  // Begins a call; the job that it became.
  FakeSupervisor::Executed& begin(const std::string& method, Json parameters, bool more = false) {
    supervisor.execs.clear();
    parameters["jail"] = jail;
    other.call("org.sandboxd.Files." + method, parameters, more);
    EXPECT_TRUE(loop.until([&] { return supervisor.execs.contains(jail); }));
    return supervisor.execs[jail];
  }
  static void end(const FakeSupervisor::Executed& job, int code = 0) {
    job.observer.report(protocol::JobReport{.job = 2, .exit_code = code});
  }
  Json refused(const std::string& method, Json parameters) {
    parameters["jail"] = jail;
    return other.ask("org.sandboxd.Files." + method, parameters);
  }

  Client client = connect();
  Client other = connect();
  std::string jail;
};

TEST_F(Files, ReadRunsOurProgramInTheJail) {
  auto& job = begin("Read", {{"path", "/a\n"}, {"offset", 7}});
  EXPECT_TRUE(job.program);
  EXPECT_EQ(job.spec.argv, (std::vector<std::string>{"sandboxd-files", "read", "/a\n", "7", "524288"}));
  EXPECT_EQ(job.spec.stdio, protocol::Stdio::kRelay);
  EXPECT_GT(job.spec.wall_time.value_or(0), 0u);
  job.observer.output(2, "what it says on standard error is nothing");
  const std::string said = encode_answer({.kind = AnswerKind::kData, .data = "\xff", .end = true, .size = 8}) +
                           encode_answer({.kind = AnswerKind::kDone});
  for (const char byte : said) job.observer.output(1, {&byte, 1});
  end(job);
  const Json reply = other.reply()["parameters"];
  EXPECT_EQ(reply["data"], (Json{{"b64", "/w=="}}));
  EXPECT_EQ(reply["end"], true);
  EXPECT_EQ(reply["size"], 8);
}

TEST_F(Files, WriteSendsTheContentToIt) {
  auto& job = begin("Write", {{"path", "/f"}, {"data", "hello"}, {"mode", 0600}, {"exclusive", true}});
  EXPECT_EQ(job.spec.argv, (std::vector<std::string>{"sandboxd-files", "write", "/f", "5", "600", "x"}));
  EXPECT_EQ(job.spec.stdin_data, "hello");
  job.observer.output(1, encode_answer({.kind = AnswerKind::kDone}));
  end(job);
  EXPECT_EQ(other.reply()["parameters"], Json::object());
}

TEST_F(Files, ParametersAreChecked) {
  for (const auto& [method, parameters] :
       {std::pair<const char*, Json>{"Read", {{"path", "relative"}}},
        {"Read", {{"path", "/a/../b"}}},
        {"Read", {{"path", "/f"}, {"length", (512 << 10) + 1}}},
        {"Write", {{"path", "/f"}, {"data", "x"}, {"mode", 04755}}},
        {"Write", {{"path", "/f"}, {"data", "x"}, {"append", true}, {"exclusive", true}}},
        {"Write", {{"path", "/f"}}},
        {"List", {{"path", "/f"}, {"x", 1}}},
        {"Put", {{"path", "/f"}, {"depth_max", 100000}}},
        {"Get", {{"path", "/f"}}}}) {
    EXPECT_EQ(refused(method, parameters)["error"], "org.sandboxd.InvalidArgument") << method << parameters;
  }
  EXPECT_TRUE(supervisor.execs.empty());
}

TEST_F(Files, ErrorsOfTheJailAreTyped) {
  auto& job = begin("Stat", {{"path", "/f"}});
  job.observer.output(
      1, encode_answer(
             {.kind = AnswerKind::kFailed, .operation = "\x1b[2J", .path = "/f\xff", .detail = "a\nb", .code = 13}));
  end(job, 1);
  const Json reply = other.reply();
  EXPECT_EQ(reply["error"], "org.sandboxd.Files.Failed");
  EXPECT_EQ(reply["parameters"]["errno"], 13);
  EXPECT_EQ(reply["parameters"]["operation"].get<std::string>().find('\x1b'), std::string::npos);
  EXPECT_EQ(reply["parameters"]["detail"].get<std::string>().find('\n'), std::string::npos);
}

// The program is a job like others: its jail can kill it, and make it say anything.
TEST_F(Files, WhatTheJailMakesOfTheAnswerIsNoAnswer) {
  const std::string data = encode_answer({.kind = AnswerKind::kData, .data = "x"});
  const std::string done = encode_answer({.kind = AnswerKind::kDone});
  for (const std::string& said :
       {std::string(), std::string("{\"data\": \"x\"}"), data, done, data + "x", data + done + done,
        std::string("\xff\xff\xff\x7f"), data.substr(0, data.size() - 1)}) {
    auto& job = begin("Read", {{"path", "/f"}});
    job.observer.output(1, said);
    end(job);
    const Json reply = other.reply();
    EXPECT_EQ(reply["error"], "org.sandboxd.Files.Failed") << said;
    EXPECT_EQ(reply["parameters"]["errno"], EPROTO);
  }
}

TEST_F(Files, ALongListComesInPieces) {
  auto& job = begin("List", {{"path", "/d"}}, true);
  constexpr int kEntries = 3000;
  for (int i = 0; i < kEntries; ++i)
    job.observer.output(1, encode_answer({.kind = AnswerKind::kEntry, .entry = {.name = fmt::format("f{}", i)}}));
  job.observer.output(1, encode_answer({.kind = AnswerKind::kDone}));
  end(job);
  std::size_t seen = 0;
  int replies = 0;
  for (bool complete = false; !complete; ++replies) {
    const Json reply = other.reply()["parameters"];
    seen += reply["entries"].size();
    complete = reply["complete"];
  }
  EXPECT_EQ(seen, static_cast<std::size_t>(kEntries));
  EXPECT_GT(replies, 1);
}

TEST_F(Files, AListInOneReplySaysThatItIsNotComplete) {
  auto& job = begin("List", {{"path", "/d"}});
  for (int i = 0; i < 3000; ++i)
    job.observer.output(1, encode_answer({.kind = AnswerKind::kEntry, .entry = {.name = fmt::format("f{}", i)}}));
  job.observer.output(1, encode_answer({.kind = AnswerKind::kDone}));
  end(job);
  const Json reply = other.reply()["parameters"];
  EXPECT_EQ(reply["complete"], false);
  EXPECT_LT(reply["entries"].size(), 3000u);
}

struct Pipe {
  UniqueFd read{}, write{};
};
Pipe make_pipe() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

class FilesStreams : public Files, public ::testing::WithParamInterface<const char*> {};

// The client gets one end of the stream; the others stay here, and the bytes never come by.
TEST_P(FilesStreams, AreTheClientsOwn) {
  const bool put = GetParam() == std::string_view("Put");
  auto& job = begin(GetParam(), {{"path", "/d"}}, true);
  EXPECT_EQ(job.spec.stdio, protocol::Stdio::kPass);
  EXPECT_EQ(job.spec.detach, put);
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe error = make_pipe();
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(in.write));
  fds.push_back(std::move(out.read));
  fds.push_back(std::move(error.read));
  job.observer.started({}, std::move(fds));
  EXPECT_EQ(other.reply()["parameters"]["started"], true);
  ASSERT_EQ(other.fds.size(), 1u);
  const std::string answer = encode_answer({.kind = AnswerKind::kDone, .files = 3, .bytes = 4});
  if (put) {
    ASSERT_TRUE(write_all(other.fds[0].get(), "stream").ok());
    other.fds.clear();
    EXPECT_EQ(read_fd(in.read.get()).value(), "stream");
    ASSERT_TRUE(write_all(out.write.get(), answer).ok());
  } else {
    ASSERT_TRUE(write_all(out.write.get(), "stream").ok());
    out.write.reset();
    EXPECT_EQ(read_fd(other.fds[0].get()).value(), "stream");
    ASSERT_TRUE(write_all(error.write.get(), answer).ok());
  }
  end(job);
  EXPECT_EQ(other.reply()["parameters"], (Json{{"files", 3}, {"bytes", 4}}));
}

// A job keeps its end open and says nothing.
TEST_P(FilesStreams, AnAnswerThatDoesNotComeIsNotWaitedFor) {
  auto& job = begin(GetParam(), {{"path", "/d"}}, true);
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe error = make_pipe();
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(in.write));
  fds.push_back(std::move(out.read));
  fds.push_back(std::move(error.read));
  job.observer.started({}, std::move(fds));
  EXPECT_EQ(other.reply()["parameters"]["started"], true);
  end(job);
  EXPECT_EQ(other.reply()["error"], "org.sandboxd.Files.Failed");
}

INSTANTIATE_TEST_SUITE_P(BothWays, FilesStreams, ::testing::Values("Get", "Put"));

}  // namespace
}  // namespace sandboxd::test
