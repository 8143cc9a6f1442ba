// What one user may hold of the server.
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "fixture.h"

namespace sandboxd::test {
namespace {

class Bounds : public ServerTest {
 protected:
  Bounds()
      : ServerTest({.connections = 3, .calls_per_second = 20, .pending_bytes = 2U << 20, .all_connections = 100}) {}
};

TEST_F(Bounds, ConnectionsOfAUser) {
  Client first = connect();
  Client second = connect();
  Client third = connect();
  EXPECT_TRUE(third.ask("org.sandboxd.Version").contains("parameters"));
  Client fourth = connect();
  const Json refused = fourth.reply();
  EXPECT_EQ(refused["error"], "org.sandboxd.LimitReached");
  EXPECT_EQ(refused["parameters"], (Json{{"limit", "connections"}, {"most", 3}, {"scope", "user"}}));
  EXPECT_TRUE(fourth.closed());
  first.hang_up();
  EXPECT_TRUE(loop.until([&] { return server->connections() == 2; }));
  Client fifth = connect();
  EXPECT_TRUE(fifth.ask("org.sandboxd.Version").contains("parameters"));
}

TEST_F(Bounds, TheAdminsSocketIsCountedApart) {
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect());
  Client admin = connect_admin();
  EXPECT_TRUE(admin.ask("org.sandboxd.Version").contains("parameters"));
}

TEST_F(Bounds, CallsASecond) {
  Client client = connect();
  for (int i = 0; i < 21; ++i) client.call("org.sandboxd.Version");
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(client.reply().contains("parameters")) << i;
  const Json refused = client.reply();
  EXPECT_EQ(refused["error"], "org.sandboxd.LimitReached");
  EXPECT_EQ(refused["parameters"], (Json{{"limit", "calls_per_second"}, {"most", 20}, {"scope", "user"}}));
  EXPECT_TRUE(client.ask("org.sandboxd.Version").contains("parameters")) << "goes on when it has waited";
}

// A megabyte takes as long to read as dozens of small calls, whether it is a call at all or not.
TEST_F(Bounds, E94_LargeCallsCountAsSeveral) {
  Client client = connect();
  const Json large = {{"x", std::string(900'000, 'x')}};
  EXPECT_TRUE(client.ask("org.sandboxd.Version", large).contains("error"));
  const std::uint64_t begun = monotonic_usec();
  EXPECT_TRUE(client.ask("org.sandboxd.Version", large).contains("error")) << "it is served when it has waited";
  EXPECT_GT(monotonic_usec() - begun, 500'000U) << "by its bytes it has used up more than a second's calls";
}

// Each from a connection of its own. On a slow machine some of the allowance comes back on the way, so it may take more than 21.
TEST_F(Bounds, CallsASecondAreOfTheUserNotTheConnection) {
  for (int i = 0; i < 400; ++i) {
    Client client = connect();
    const Json reply = client.ask("org.sandboxd.Version");
    client.hang_up();
    ASSERT_TRUE(loop.until([&] { return server->connections() == 0; }));
    if (reply.contains("parameters") && !reply.contains("error")) continue;
    EXPECT_EQ(reply["error"], "org.sandboxd.LimitReached");
    EXPECT_GE(i, 20);
    return;
  }
  FAIL() << "400 calls at 20 a second were all answered";
}

TEST_F(Bounds, AClientThatNeverReadsPausesItsJob) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.start(jail);
  std::size_t produced = 0;
  while (!supervisor.jails.at(jail).paused && produced < 64U << 20) {
    supervisor.output(jail, 1, std::string(65536, 'x'));
    produced += 65536;
    loop.settle();
  }
  EXPECT_LT(produced, 2U << 20);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(Bounds, WhatIsNotPausedIsDisconnected) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.start(jail);
  std::size_t produced = 0;
  while (supervisor.jails.at(jail).info.state != "ended" && produced < 64U << 20) {
    supervisor.output(jail, 1, std::string(65536, 'x'));
    produced += 65536;
    loop.settle();
  }
  EXPECT_LT(produced, 4U << 20);
  EXPECT_TRUE(warned("wait for its user to read them are over the bound"));
  EXPECT_EQ(supervisor.gone.size(), 1U);
}

class Pipelining : public ServerTest {
 protected:
  Pipelining() : ServerTest({.calls_per_second = 1'000'000, .pending_bytes = 2U << 20}) {}
};

TEST_F(Pipelining, AClientThatDoesNotReadIsNotAnsweredFurther) {
  Client client = connect();
  const std::string call = Json{{"method", "org.varlink.service.GetInterfaceDescription"},
                                {"parameters", {{"interface", "org.sandboxd.Jail"}}}}
                               .dump() +
                           '\0';
  std::size_t taken = 0;
  // Until the server takes nothing more: what it does not read stays in the kernel, and that is full.
  for (bool more = true; more && taken < 100'000;) {
    more = false;
    while (::send(client.fd(), call.data(), call.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
           static_cast<ssize_t>(call.size())) {
      ++taken;
      more = true;
    }
    loop.settle();
  }
  EXPECT_LT(taken, 10'000U);
  EXPECT_EQ(server->connections(), 1U);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(Bounds, HalfFramesOfAllConnectionsCountTogether) {
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(connect());
  for (Client& client : clients) client.send_raw(std::string(900'000, 'x'));
  EXPECT_TRUE(loop.until([&] { return warned("received for its user are over the bound"); }));
  EXPECT_TRUE(loop.until([&] { return server->connections() == 2; }));
  clients.clear();
  EXPECT_TRUE(loop.until([&] { return server->connections() == 0; }));
  Client after = connect();
  after.send_raw(std::string(900'000, ' '));
  EXPECT_TRUE(after.ask("org.sandboxd.Version").contains("parameters")) << "what the others held was given back";
}

TEST_F(Bounds, WarningsAreBounded) {
  std::vector<Client> held;
  for (int i = 0; i < 3; ++i) held.push_back(connect());
  std::vector<Client> refused;
  for (int i = 0; i < 100; ++i) refused.push_back(connect());
  EXPECT_TRUE(refused.back().closed());
  EXPECT_LE(warnings.size(), 45U);  // two seconds' worth, should this machine be slow
  EXPECT_FALSE(warnings.empty());
}

TEST_F(Bounds, NoDescriptorsLeftIsWaitedOut) {
  Client client = connect();
  (void)client.ask("org.sandboxd.Version");
  Client other = connect();  // in the backlog: nobody has turned the loop yet
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const UniqueFd next(::dup(client.fd()));  // the lowest number that is free
  const rlimit none{static_cast<rlim_t>(next.get()), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  // The vector, not the test: a sanitizer that looks at an object's type needs a descriptor.
  const bool told = loop.until([&lines = warnings] { return !lines.empty(); });
  loop.settle();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(told);
  EXPECT_TRUE(warned("accept connection"));
  EXPECT_EQ(warnings.size(), 1U) << "no busy loop";
  EXPECT_TRUE(other.ask("org.sandboxd.Version").contains("parameters"));
}

}  // namespace
}  // namespace sandboxd::test
