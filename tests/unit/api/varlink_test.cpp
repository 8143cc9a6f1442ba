#include "daemon/api/varlink.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/socket.h"
#include "fixture.h"
#include "protocol/frame.h"
#include "tests/support/lingering.h"

namespace sandboxd::test {
namespace {

using ::testing::HasSubstr;

// A server of one interface, whose methods are made to show the generic part.
class Varlink : public SocketTest {
 protected:
  Varlink() {
    auto made = api::VarlinkServer::create(
        loop.get(), {.disconnected = [this](const api::Peer& peer) { gone.push_back(peer.connection); },
                     .warn = [this](const std::string& line) { warnings.push_back(line); }});
    server = std::move(made).value();
    server->add({"org.example.test",
                 "interface org.example.test\nmethod Echo(x: object) -> (x: object)\n",
                 {{"Echo", [](const api::CallPtr& call) { call->reply(call->parameters()); }},
                  {"Later", [this](const api::CallPtr& call) { later.push_back(call); }},
                  {"Count", [this](const api::CallPtr& call) { count += 1, call->reply(Json::object()); }},
                  {"Huge",
                   [](const api::CallPtr& call) {
                     call->reply({{"x", std::string(2U << 20, 'x')}});
                   }},
                  {"Missing", nullptr}}});
    EXPECT_TRUE(server->listen(listen_at("socket"), false).ok());
  }
  Client connect() { return Client(loop, path("socket")); }

  std::unique_ptr<api::VarlinkServer> server{};
  std::vector<api::CallPtr> later{};
  std::vector<std::uint64_t> gone{};
  int count = 0;
};

TEST_F(Varlink, SaysWhoItIs) {
  Client client = connect();
  const Json info = client.ask("org.varlink.service.GetInfo")["parameters"];
  EXPECT_EQ(info["product"], "sandboxd");
  EXPECT_EQ(info["interfaces"], (Json{"org.example.test", "org.varlink.service"}));
  EXPECT_EQ(info["version"], SANDBOXD_VERSION);
}

TEST_F(Varlink, DescribesItsInterfaces) {
  Client client = connect();
  const auto describe = [&](const char* name) {
    return client.ask("org.varlink.service.GetInterfaceDescription", {{"interface", name}});
  };
  EXPECT_THAT(describe("org.example.test")["parameters"]["description"].get<std::string>(), HasSubstr("method Echo"));
  EXPECT_THAT(describe("org.varlink.service")["parameters"]["description"].get<std::string>(),
              HasSubstr("interface org.varlink.service"));
  EXPECT_EQ(describe("org.example.no")["error"], "org.varlink.service.InterfaceNotFound");
}

struct Refused {
  const char* method;
  Json parameters;
  const char* error;
  Json details;
};

TEST_F(Varlink, RefusesWhatItHasNot) {
  Client client = connect();
  for (const Refused& call : {
           Refused{"org.example.no.Echo", Json::object(), "InterfaceNotFound", {{"interface", "org.example.no"}}},
           Refused{"Echo", Json::object(), "InterfaceNotFound", {{"interface", "Echo"}}},
           Refused{"", Json::object(), "InterfaceNotFound", {{"interface", ""}}},
           Refused{"org.example.test.No", Json::object(), "MethodNotFound", {{"method", "No"}}},
           Refused{"org.example.test.", Json::object(), "MethodNotFound", {{"method", ""}}},
           Refused{"org.example.test.Missing", Json::object(), "MethodNotImplemented", {{"method", "Missing"}}},
           Refused{"org.varlink.service.GetInfo", {{"x", 1}}, "InvalidParameter", {{"parameter", "x"}}},
           Refused{"org.varlink.service.GetInterfaceDescription",
                   Json::object(),
                   "InvalidParameter",
                   {{"parameter", "interface"}}},
           Refused{"org.varlink.service.GetInterfaceDescription",
                   {{"interface", 1}},
                   "InvalidParameter",
                   {{"parameter", "interface"}}},
       }) {
    const Json reply = client.ask(call.method, call.parameters);
    EXPECT_EQ(reply["error"], std::string("org.varlink.service.") + call.error) << call.method;
    EXPECT_EQ(reply["parameters"], call.details) << call.method;
  }
}

TEST_F(Varlink, AnswersABadFrameAndGoesOn) {
  using namespace std::string_view_literals;
  Client client = connect();
  for (const std::string_view frame :
       {"\0"sv, "nonsense\0"sv, "[]\0"sv, "{\"method\":\"a.b.C\",\"method\":\"a.b.C\"}\0"sv}) {
    client.send_raw(frame);
    EXPECT_EQ(client.reply()["error"], "org.sandboxd.InvalidArgument") << frame;
  }
  EXPECT_EQ(client.ask("org.example.test.Echo", {{"x", 1}})["parameters"]["x"], 1);
}

TEST_F(Varlink, ClosesAfterAFrameThatIsTooLarge) {
  Client client = connect();
  client.send_raw(std::string(protocol::kMaxFrame + 1, 'x'));
  EXPECT_THAT(client.reply()["parameters"]["expected"].get<std::string>(), HasSubstr("1048576 bytes"));
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(warned("too large"));
}

TEST_F(Varlink, TakesAFrameByteByByte) {
  Client client = connect();
  const std::string frame = R"({"method":"org.example.test.Echo","parameters":{"x":[1,2]}})";
  for (const char c : frame) {
    client.send_raw(std::string_view(&c, 1));
    loop.settle();
  }
  EXPECT_FALSE(client.has_reply());
  client.send_raw(std::string_view("\0", 1));
  EXPECT_EQ(client.reply()["parameters"]["x"], (Json{1, 2}));
}

TEST_F(Varlink, AnswersPipelinedCallsInOrder) {
  Client client = connect();
  std::string frames;
  for (int i = 0; i < 300; ++i) {
    frames += Json{{"method", "org.example.test.Echo"}, {"parameters", {{"x", i}}}}.dump() + '\0';
  }
  client.send_raw(frames);
  for (int i = 0; i < 300; ++i) ASSERT_EQ(client.reply()["parameters"]["x"], i);
}

TEST_F(Varlink, ACallWaitsForTheOneBeforeIt) {
  Client client = connect();
  client.call("org.example.test.Later");
  client.call("org.example.test.Echo", {{"x", 2}});
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  loop.settle();
  EXPECT_FALSE(client.has_reply());
  later[0]->reply({{"x", 1}});
  EXPECT_EQ(client.reply()["parameters"]["x"], 1);
  EXPECT_EQ(client.reply()["parameters"]["x"], 2);
}

TEST_F(Varlink, ASlowCallHoldsUpNobodyElse) {
  Client slow = connect();
  slow.call("org.example.test.Later");
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  Client other = connect();
  EXPECT_EQ(other.ask("org.example.test.Echo", {{"x", 1}})["parameters"]["x"], 1);
}

TEST_F(Varlink, AOnewayCallHasNoReply) {
  Client client = connect();
  client.send({{"method", "org.example.test.Count"}, {"oneway", true}});
  client.send({{"method", "org.example.test.No"}, {"oneway", true}});
  client.send({{"method", 1}, {"oneway", true}});
  EXPECT_EQ(client.ask("org.example.test.Echo", {{"x", 1}})["parameters"]["x"], 1);
  EXPECT_EQ(count, 1);
}

TEST_F(Varlink, AnAnswerAfterTheFirstIsIgnored) {
  Client client = connect();
  client.call("org.example.test.Later");
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  later[0]->reply({{"x", 1}});
  later[0]->reply({{"x", 2}});
  later[0]->fail("org.example.test.E", Json::object());
  EXPECT_FALSE(later[0]->open());
  EXPECT_EQ(client.reply()["parameters"]["x"], 1);
  EXPECT_EQ(client.ask("org.example.test.Echo", {{"x", 3}})["parameters"]["x"], 3);
}

TEST_F(Varlink, NoMoreRepliesWithoutMore) {
  Client client = connect();
  client.call("org.example.test.Later");
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  later[0]->reply_more({{"x", 1}});
  later[0]->reply({{"x", 2}});
  EXPECT_EQ(client.reply(), (Json{{"parameters", {{"x", 2}}}}));
}

TEST_F(Varlink, MoreRepliesSayThatTheyContinue) {
  Client client = connect();
  client.call("org.example.test.Later", Json::object(), true);
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  later[0]->reply_more({{"x", 1}});
  later[0]->reply({{"x", 2}});
  EXPECT_EQ(client.reply(), (Json{{"continues", true}, {"parameters", {{"x", 1}}}}));
  EXPECT_EQ(client.reply(), (Json{{"parameters", {{"x", 2}}}}));
}

TEST_F(Varlink, AReplyThatIsTooLargeIsAnError) {
  Client client = connect();
  EXPECT_EQ(client.ask("org.example.test.Huge")["error"], "org.sandboxd.Unavailable");
  EXPECT_EQ(client.ask("org.example.test.Echo", {{"x", 1}})["parameters"]["x"], 1);
}

// unix(7): a descriptor in flight is closed with the message that nobody took it from. In the backlog, since from the server's
// listening on the kernel may refuse them (SO_PASSRIGHTS).
class Backlog : public Varlink {
 protected:
  // A client whose connection is older than the server's, and its call with a descriptor.
  Client call_with(int fd) {
    UniqueFd listener = listen_at("early");
    Client client(loop, path("early"));
    const std::string frame = R"({"method":"org.example.test.Later"})" + std::string(1, '\0');
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(frame.data());
    EXPECT_TRUE(send_packet(client.fd(), {bytes, frame.size()}, {&fd, 1}).ok());
    EXPECT_TRUE(server->listen(std::move(listener), false).ok());
    return client;
  }
};

TEST_F(Backlog, DescriptorsOfAClientDoNotEnter) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const Client client = call_with(writer.get());
  writer.reset();
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  char byte = 0;
  EXPECT_EQ(::read(reader.get(), &byte, 1), 0) << "the write end is still open somewhere";
}

TEST_F(Backlog, ADescriptorThatDoesNotCloseHoldsNobodyUp) {
  Lingering lingering;
  const Client client = call_with(lingering.get());
  const std::uint64_t begun = monotonic_usec();
  lingering.close();
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  EXPECT_LT(monotonic_usec() - begun, 1'000'000U);
}

TEST_F(Backlog, NorDoesOneInAConnectionThatIsClosed) {
  Lingering lingering;
  UniqueFd listener = listen_at("early");
  {
    const Client client(loop, path("early"));
    const std::string frame(2 * protocol::kMaxFrame / 64, 'x');  // not read to its end in one go
    (void)::send(client.fd(), frame.data(), frame.size(), MSG_DONTWAIT);
    const int fd = lingering.get();
    ASSERT_TRUE(send_packet(client.fd(), std::vector<std::uint8_t>{1}, {&fd, 1}).ok());
  }
  const std::uint64_t begun = monotonic_usec();
  lingering.close();
  ASSERT_TRUE(server->listen(std::move(listener), false).ok());
  ASSERT_TRUE(loop.until([&] { return gone.size() == 1; }));
  EXPECT_LT(monotonic_usec() - begun, 1'000'000U);
}

TEST_F(Varlink, DescriptorsGoWithTheirReply) {
  Client client = connect();
  client.call("org.example.test.Later", Json::object(), true);
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  std::vector<UniqueFd> fds;
  fds.emplace_back(ends[1]);
  const UniqueFd reader(ends[0]);
  later[0]->reply_more({{"x", 1}});
  later[0]->reply_more({{"x", 2}}, std::move(fds));
  EXPECT_EQ(client.reply()["parameters"]["x"], 1);
  EXPECT_EQ(client.reply()["parameters"]["x"], 2);
  ASSERT_EQ(client.fds.size(), 1U);
  ASSERT_EQ(::write(client.fds[0].get(), "z", 1), 1);
  client.fds.clear();
  char text[2];
  EXPECT_EQ(::read(reader.get(), text, 2), 1) << "the server kept none of them";
  EXPECT_EQ(::read(reader.get(), text, 2), 0);
}

// Unread, they count as the server's (unix(7), ETOOMANYREFS): a client that only calls would take everybody's.
TEST_F(Varlink, E92_WhoLeavesDescriptorsUnreadIsNotServedOn) {
  Client client = connect();
  constexpr std::size_t kCalls = 8;
  for (std::size_t i = 0; i < kCalls; ++i) client.call("org.example.test.Later", Json::object(), true);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto answer = [&](const api::CallPtr& call) {
    std::vector<UniqueFd> fds;
    fds.emplace_back(::fcntl(null.get(), F_DUPFD_CLOEXEC, 3));
    call->reply_more({{"x", 1}}, std::move(fds));
    call->reply(Json::object());
  };
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  answer(later[0]);
  const std::uint64_t begun = monotonic_usec();
  loop.until([&] { return later.size() > 1 || monotonic_usec() - begun > 500'000; });
  EXPECT_EQ(later.size(), 1U) << "a call was carried out before the last one's descriptor was received";
  for (std::size_t i = 1; i < kCalls; ++i) {
    while (client.has_reply()) client.reply();
    ASSERT_TRUE(loop.until([&] { return later.size() == i + 1; })) << "it reads, so it is served";
    answer(later[i]);
  }
}

TEST_F(Varlink, OutlivesTheEndOfTheServer) {
  Client client = connect();
  client.call("org.example.test.Later");
  ASSERT_TRUE(loop.until([&] { return later.size() == 1; }));
  server.reset();
  EXPECT_FALSE(later[0]->open());
  later[0]->reply(Json::object());
  EXPECT_TRUE(client.closed());
}

}  // namespace
}  // namespace sandboxd::test
