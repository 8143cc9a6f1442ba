#include "daemon/api/run.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "fixture.h"

namespace sandboxd::test {
namespace {

class Run : public ServerTest {};

Json parameters_of(Json reply) { return reply["parameters"]; }

std::string bytes_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : base64_decode(value["b64"].get<std::string>()).value();
}

TEST_F(Run, TellsWhatHappensAsItHappens) {
  Client client = connect();
  const std::string jail = run(client, {{"argv", {"sh", "-c", "x"}}});
  supervisor.start(jail);
  supervisor.output(jail, 1, "out");
  supervisor.output(jail, 2, "\xff");
  supervisor.exit(jail, 3);
  const Json started = client.reply();
  EXPECT_EQ(started["continues"], true);
  EXPECT_EQ(started["parameters"]["started"]["jail"], jail);
  EXPECT_EQ(started["parameters"]["started"]["argv"], (Json{"sh", "-c", "x"}));
  EXPECT_EQ(parameters_of(client.reply()), (Json{{"output", {{"stream", "stdout"}, {"data", "out"}}}}));
  EXPECT_EQ(parameters_of(client.reply()), (Json{{"output", {{"stream", "stderr"}, {"data", {{"b64", "/w=="}}}}}}));
  const Json report = client.reply();
  EXPECT_FALSE(report.contains("continues"));
  EXPECT_EQ(report["parameters"]["report"]["exit_code"], 3);
  EXPECT_EQ(report["parameters"]["report"]["verdict"], "exited");
  EXPECT_EQ(report["parameters"].size(), 1U);
}

TEST_F(Run, HandsTheSpecOver) {
  Client client = connect();
  const Json spec = {{"argv", {"x", Json{{"b64", "/w=="}}}},
                     {"env", {Json{{"name", "A"}, {"value", "1"}}}},
                     {"wall_time", 1000},
                     {"name", "n"}};
  const std::string jail = run(client, spec);
  const protocol::JobSpec& got = supervisor.jails.at(jail).spec;
  EXPECT_EQ(got.argv, (std::vector<std::string>{"x", "\xff"}));
  EXPECT_EQ(got.env, (std::vector<std::pair<std::string, std::string>>{{"A", "1"}}));
  EXPECT_EQ(got.wall_time, 1000U);
  EXPECT_EQ(supervisor.clients[0].uid, ::getuid());
  EXPECT_EQ(supervisor.clients[0].pid, ::getpid());
  EXPECT_FALSE(supervisor.clients[0].admin) << "uid 0 on the public socket is a client like any other";
}

TEST_F(Run, OneReplyHoldsAllWithoutMore) {
  Client client = connect();
  const std::string jail = run(client, {{"argv", {"x"}}}, false);
  supervisor.start(jail);
  supervisor.output(jail, 1, "one ");
  supervisor.output(jail, 2, "err");
  supervisor.output(jail, 1, "two");
  loop.settle();
  EXPECT_FALSE(client.has_reply());
  supervisor.exit(jail, 0);
  const Json got = parameters_of(client.reply());
  EXPECT_EQ(got["started"]["jail"], jail);
  EXPECT_EQ(got["stdout"], "one two");
  EXPECT_EQ(got["stderr"], "err");
  EXPECT_EQ(got["stdout_cut"], 0);
  EXPECT_EQ(got["report"]["exit_code"], 0);
}

TEST_F(Run, CapturedOutputKeepsItsBeginningAndItsEndAndSaysWhatIsMissing) {
  for (const char fill : {'x', '\0', '\n', '\xff'}) {
    Client client = connect();
    const std::string jail = run(client, {{"argv", {"x"}}}, false);
    supervisor.start(jail);
    for (int i = 0; i < 10; ++i) supervisor.output(jail, 1, std::string(60'000, fill));
    supervisor.output(jail, 1, "the end");
    supervisor.output(jail, 2, std::string(api::kCapturedHead, fill));
    supervisor.exit(jail, 0);
    const Json got = parameters_of(client.reply());
    EXPECT_EQ(bytes_of(got["stdout"]), std::string(api::kCapturedHead, fill));
    const std::string tail = bytes_of(got["stdout_tail"]);
    EXPECT_EQ(tail.size(), api::kCapturedTail);
    EXPECT_TRUE(tail.ends_with("the end"));
    EXPECT_EQ(got["stdout_cut"], 600'007 - api::kCapturedHead - api::kCapturedTail);
    EXPECT_EQ(bytes_of(got["stderr"]).size(), api::kCapturedHead);
    EXPECT_EQ(got["stderr_cut"], 0);
    EXPECT_FALSE(got.contains("stderr_tail"));
  }
}

TEST_F(Run, OutputThatFitsTogetherComesInOnePiece) {
  Client client = connect();
  const std::string jail = run(client, {{"argv", {"x"}}}, false);
  supervisor.start(jail);
  supervisor.output(jail, 1, std::string(api::kCapturedHead - 1, 'x'));
  supervisor.output(jail, 1, "12345");
  supervisor.exit(jail, 0);
  const Json got = parameters_of(client.reply());
  EXPECT_EQ(bytes_of(got["stdout"]).size(), api::kCapturedHead + 4);
  EXPECT_EQ(got["stdout_cut"], 0);
}

TEST_F(Run, LargeOutputComesWholeToASlowReader) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.start(jail);
  (void)client.reply();
  constexpr std::size_t kTotal = 8U << 20;
  std::size_t produced = 0, read = 0;
  while (read < kTotal) {
    while (produced < kTotal && !supervisor.jails.at(jail).paused) {
      supervisor.output(jail, 1, std::string(65536, static_cast<char>('a' + produced / 65536 % 26)));
      produced += 65536;
    }
    const std::string data = bytes_of(parameters_of(client.reply())["output"]["data"]);
    ASSERT_FALSE(data.empty());
    for (std::size_t i = 0; i < data.size(); i += 4096) ASSERT_EQ(data[i], 'a' + (read + i) / 65536 % 26);
    read += data.size();
    ASSERT_LT(produced - read, 2U << 20) << "nothing piles up";
  }
  supervisor.exit(jail, 0);
  EXPECT_TRUE(parameters_of(client.reply()).contains("report"));
}

TEST_F(Run, OneLargePieceIsSplit) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.start(jail);
  (void)client.reply();
  supervisor.output(jail, 1, std::string(1'500'000, '\0'));
  std::size_t read = 0;
  while (read < 1'500'000) read += bytes_of(parameters_of(client.reply())["output"]["data"]).size();
  EXPECT_EQ(read, 1'500'000U);
}

TEST_F(Run, PassesDescriptorsWithTheFirstReply) {
  Client client = connect();
  const std::string jail = run(client, {{"argv", {"x"}}, {"stdio", "pass"}});
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd writer(ends[1]);
  std::vector<UniqueFd> fds;
  fds.emplace_back(ends[0]);
  fds.emplace_back(::dup(ends[0]));
  fds.emplace_back(::dup(ends[0]));
  supervisor.start(jail, std::move(fds));
  EXPECT_TRUE(parameters_of(client.reply()).contains("started"));
  ASSERT_EQ(client.fds.size(), 3U);
  ASSERT_EQ(::write(writer.get(), "z", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(client.fds[2].get(), &byte, 1), 1);
}

TEST_F(Run, PassNeedsMore) {
  Client client = connect();
  const Json reply = client.ask("org.sandboxd.Jail.Run", {{"spec", {{"argv", {"x"}}, {"stdio", "pass"}}}});
  EXPECT_EQ(reply["error"], "org.sandboxd.InvalidArgument");
  EXPECT_EQ(reply["parameters"]["path"], "/parameters/spec/stdio");
  EXPECT_TRUE(supervisor.jails.empty());
}

TEST_F(Run, ABadSpecStartsNothingAndSaysWhere) {
  Client client = connect();
  const auto path_of = [&](const Json& parameters) {
    const Json reply = client.ask("org.sandboxd.Jail.Run", parameters);
    EXPECT_EQ(reply["error"], "org.sandboxd.InvalidArgument");
    return reply["parameters"]["path"];
  };
  EXPECT_EQ(path_of(Json::object()), "/parameters/spec");
  EXPECT_EQ(path_of({{"spec", {{"argv", {"x"}}}}, {"x", 1}}), "/parameters/x");
  EXPECT_EQ(path_of({{"spec", {{"argv", {"x"}}, {"env", {Json{{"name", "A=B"}, {"value", ""}}}}}}}),
            "/parameters/spec/env/0/name");
  EXPECT_TRUE(supervisor.jails.empty());
}

TEST_F(Run, AFailureAfterTheStartIsTheLastReply) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.start(jail);
  supervisor.jails.at(jail).observer.failure(jails::SetupFailed{"exec", 2, "no such file"});
  EXPECT_TRUE(parameters_of(client.reply()).contains("started"));
  const Json failed = client.reply();
  EXPECT_EQ(failed["error"], "org.sandboxd.SetupFailed");
  EXPECT_EQ(failed["parameters"], (Json{{"step", "exec"}, {"errno", 2}, {"detail", "no such file"}}));
  EXPECT_TRUE(client.ask("org.sandboxd.Version").contains("parameters"));
}

TEST_F(Run, EveryFailureHasItsError) {
  struct Row {
    jails::Failure failure;
    std::string error;
    Json parameters;
  };
  Client client = connect();
  for (const Row& row : {
           Row{jails::Denied{"r", "a"}, "Denied", {{"rule", "r"}, {"allowed", "a"}}},
           Row{jails::SetupFailed{"s", 1, "d"}, "SetupFailed", {{"step", "s"}, {"errno", 1}, {"detail", "d"}}},
           Row{jails::InvalidArgument{"p", "v", "e"},
               "InvalidArgument",
               {{"path", "p"}, {"value", "v"}, {"expected", "e"}}},
           Row{jails::NotFound{"w", "n"}, "NotFound", {{"what", "w"}, {"name", "n"}}},
           Row{jails::LimitReached{"l", 7, "s"}, "LimitReached", {{"limit", "l"}, {"most", 7}, {"scope", "s"}}},
           Row{jails::Unavailable{"w", "d"}, "Unavailable", {{"what", "w"}, {"detail", "d"}}},
       }) {
    supervisor.fails = row.failure;
    const Json reply = client.ask("org.sandboxd.Jail.Run", {{"spec", {{"argv", {"x"}}}}});
    EXPECT_EQ(reply["error"], "org.sandboxd." + row.error);
    EXPECT_EQ(reply["parameters"], row.parameters);
  }
}

TEST_F(Run, AOnewayRunEndsWithoutAWord) {
  Client client = connect();
  client.send({{"method", "org.sandboxd.Jail.Run"}, {"parameters", {{"spec", {{"argv", {"x"}}}}}}, {"oneway", true}});
  client.call("org.sandboxd.Version");
  ASSERT_TRUE(loop.until([&] { return supervisor.jails.size() == 1; }));
  supervisor.start("jail-1");
  supervisor.output("jail-1", 1, "x");
  supervisor.exit("jail-1", 0);
  EXPECT_TRUE(parameters_of(client.reply()).contains("version"));
}

}  // namespace
}  // namespace sandboxd::test
