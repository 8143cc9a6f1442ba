// What happens when clients go, at whatever moment.
#include <sys/socket.h>

#include "fixture.h"

namespace sandboxd::test {
namespace {

class HangUp : public ServerTest {};

TEST_F(HangUp, AnIdleClientIsForgotten) {
  Client client = connect();
  (void)client.ask("org.sandboxd.Version");
  const std::size_t before = server->connections();
  client.hang_up();
  EXPECT_TRUE(loop.until([&] { return server->connections() == before - 1; }));
  EXPECT_EQ(supervisor.gone.size(), 1U);
}

TEST_F(HangUp, ARunningCallIsNoticed) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.start(jail);
  client.hang_up();
  EXPECT_TRUE(loop.until([&] { return supervisor.jails.at(jail).info.state == "ended"; }));
  ASSERT_EQ(supervisor.gone.size(), 1U);
  EXPECT_EQ(supervisor.gone[0], supervisor.clients[0].connection);
  loop.settle();
  EXPECT_EQ(supervisor.gone.size(), 1U) << "once";
}

TEST_F(HangUp, HalfAHangUpEndsARunningCallToo) {
  Client client = connect();
  const std::string jail = run(client);
  client.stop_sending();
  EXPECT_TRUE(loop.until([&] { return supervisor.jails.at(jail).info.state == "ended"; }));
}

TEST_F(HangUp, IsNoticedBehindCallsThatWait) {
  Client client = connect();
  const std::string jail = run(client);
  for (int i = 0; i < 50; ++i) client.call("org.sandboxd.Version");
  client.hang_up();
  EXPECT_TRUE(loop.until([&] { return supervisor.jails.at(jail).info.state == "ended"; }));
}

TEST_F(HangUp, IsNoticedWhileOutputWaits) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.start(jail);
  while (!supervisor.jails.at(jail).paused) supervisor.output(jail, 1, std::string(65536, 'x'));
  client.hang_up();
  EXPECT_TRUE(loop.until([&] { return supervisor.jails.at(jail).info.state == "ended"; }));
}

TEST_F(HangUp, WhatWasAnsweredIsStillRead) {
  Client client = connect();
  client.call("org.sandboxd.Version");
  client.stop_sending();
  EXPECT_TRUE(client.reply().contains("parameters"));
  EXPECT_TRUE(client.closed());
}

TEST_F(HangUp, OnewayCallsSentBeforeAreCarriedOut) {
  Client client = connect();
  const std::string jail = run(client);
  supervisor.exit(jail, 0);
  (void)client.reply();
  for (int i = 0; i < 40; ++i) {
    client.send({{"method", "org.sandboxd.Jail.Kill"}, {"parameters", {{"jail", jail}}}, {"oneway", true}});
  }
  client.hang_up();
  EXPECT_TRUE(loop.until([&] { return supervisor.kills.size() == 40; }));
}

TEST_F(HangUp, EndsASubscription) {
  Client client = connect();
  client.call("org.sandboxd.Jail.Events", Json::object(), true);
  ASSERT_TRUE(loop.until([&] { return supervisor.subscriptions == 1; }));
  client.hang_up();
  EXPECT_TRUE(loop.until([&] { return supervisor.subscriptions == 0; }));
}

TEST_F(HangUp, WaitsThatNobodyHearsDoNotPileUp) {
  Client runner = connect();
  const std::string jail = run(runner);
  for (int i = 0; i < 20; ++i) {
    Client client = connect();
    const std::size_t before = supervisor.gone.size();
    client.call("org.sandboxd.Jail.Wait", {{"jail", jail}});
    loop.settle();
    client.hang_up();
    ASSERT_TRUE(loop.until([&] { return supervisor.gone.size() > before; }));
  }
  EXPECT_EQ(supervisor.waits_asked, 1U);
  Client last = connect();
  last.call("org.sandboxd.Jail.Wait", {{"jail", jail}});
  loop.settle();
  supervisor.exit(jail, 5);
  EXPECT_EQ(last.reply()["parameters"]["report"]["exit_code"], 5);
}

}  // namespace
}  // namespace sandboxd::test
