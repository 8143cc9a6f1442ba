#include "daemon/api/jail_service.h"

#include "fixture.h"

namespace sandboxd::test {
namespace {

class Jail : public ServerTest {
 protected:
  Jail() : ServerTest({.pending_bytes = 2U << 20}) {}
  Json ask(const std::string& method, const Json& parameters = Json::object()) {
    return client.ask("org.sandboxd.Jail." + method, parameters);
  }
  // A jail that another connection of the same user runs.
  std::string running() {
    const std::string jail = run(runner, {{"argv", {"sleep"}}, {"name", "nap"}});
    supervisor.start(jail);
    return jail;
  }

  Client runner = connect();
  Client client = connect();
};

TEST_F(Jail, WaitAnswersAtTheEnd) {
  const std::string jail = running();
  client.call("org.sandboxd.Jail.Wait", {{"jail", "nap"}});
  loop.settle();
  EXPECT_FALSE(client.has_reply());
  supervisor.exit(jail, 4);
  EXPECT_EQ(client.reply()["parameters"]["report"]["exit_code"], 4);
  EXPECT_EQ(ask("Wait", {{"jail", jail}})["parameters"]["report"]["exit_code"], 4) << "at once when it has ended";
}

TEST_F(Jail, EveryWaitIsAnswered) {
  const std::string jail = running();
  Client second = connect();
  client.call("org.sandboxd.Jail.Wait", {{"jail", jail}});
  second.call("org.sandboxd.Jail.Wait", {{"jail", jail}});
  loop.settle();
  supervisor.exit(jail, 1);
  EXPECT_EQ(client.reply()["parameters"]["report"]["exit_code"], 1);
  EXPECT_EQ(second.reply()["parameters"]["report"]["exit_code"], 1);
}

TEST_F(Jail, UnknownNamesAreNotFound) {
  for (const char* method : {"Wait", "Kill", "Remove", "Inspect"}) {
    const Json reply = ask(method, {{"jail", "no"}});
    EXPECT_EQ(reply["error"], "org.sandboxd.NotFound") << method;
    EXPECT_EQ(reply["parameters"], (Json{{"what", "jail"}, {"name", "no"}})) << method;
  }
}

TEST_F(Jail, ParametersAreCheckedExactly) {
  struct Row {
    const char* method;
    Json parameters;
    const char* path;
  };
  const std::string jail = running();
  for (const Row& row : {
           Row{"Wait", Json::object(), "/parameters/jail"},
           Row{"Wait", {{"jail", 1}}, "/parameters/jail"},
           Row{"Wait", {{"jail", jail}, {"timeout", 1}}, "/parameters/timeout"},
           Row{"Wait", {{"jail", std::string(300, 'x')}}, "/parameters/jail"},
           Row{"Kill", {{"jail", jail}, {"signal", 0}}, "/parameters/signal"},
           Row{"Kill", {{"jail", jail}, {"signal", 65}}, "/parameters/signal"},
           Row{"Kill", {{"jail", jail}, {"signal", "9"}}, "/parameters/signal"},
           Row{"Kill", {{"jail", jail}, {"signal", 9.0}}, "/parameters/signal"},
           Row{"Kill", {{"jail", jail}, {"grace", 3'600'000'001}}, "/parameters/grace"},
           Row{"Remove", {{"jail", jail}, {"force", 1}}, "/parameters/force"},
           Row{"List", {{"all", true}}, "/parameters/all"},
           Row{"Inspect", {{"jail", nullptr}}, "/parameters/jail"},
           Row{"Events", {{"after", -1}}, "/parameters/after"},
           Row{"Explain", Json::object(), "/parameters/spec"},
       }) {
    const Json reply = ask(row.method, row.parameters);
    EXPECT_EQ(reply["error"], "org.sandboxd.InvalidArgument") << row.method << row.parameters;
    EXPECT_EQ(reply["parameters"]["path"], row.path) << row.method << row.parameters;
  }
  EXPECT_TRUE(supervisor.kills.empty());
}

TEST_F(Jail, KillTermsWithGraceUnlessTold) {
  const std::string jail = running();
  EXPECT_EQ(ask("Kill", {{"jail", jail}}), (Json{{"parameters", Json::object()}}));
  EXPECT_EQ(ask("Kill", {{"jail", jail}, {"signal", 9}, {"grace", 0}}), (Json{{"parameters", Json::object()}}));
  ASSERT_EQ(supervisor.kills.size(), 2U);
  EXPECT_EQ(supervisor.kills[0].signal, 15);
  EXPECT_EQ(supervisor.kills[0].grace, 10'000'000U);
  EXPECT_EQ(supervisor.kills[1].signal, 9);
  EXPECT_EQ(supervisor.kills[1].grace, 0U);
}

TEST_F(Jail, RemoveHandsForceOver) {
  const std::string jail = running();
  EXPECT_EQ(ask("Remove", {{"jail", jail}})["error"], "org.sandboxd.Denied");
  EXPECT_EQ(ask("Remove", {{"jail", jail}, {"force", true}}), (Json{{"parameters", Json::object()}}));
  EXPECT_TRUE(supervisor.jails.empty());
}

TEST_F(Jail, InspectShowsWhatIsInForce) {
  const std::string jail = running();
  const Json info = ask("Inspect", {{"jail", "nap"}})["parameters"]["jail"];
  EXPECT_EQ(info["jail"], jail);
  EXPECT_EQ(info["in_force"], (Json::array({Json{{"name", "NoNewPrivs"}, {"value", "1"}}})));
}

TEST_F(Jail, WhyTellsWhatWasRefusedAndWhatIsMissing) {
  running();
  const Json answer = ask("Why", {{"jail", "nap"}})["parameters"];
  ASSERT_EQ(answer["denials"].size(), 1U) << answer;
  EXPECT_EQ(answer["denials"][0]["what"], "mount");
  EXPECT_EQ(answer["denials"][0]["kind"], "syscall");
  EXPECT_EQ(answer["forgotten"], 3);
  EXPECT_EQ(answer["untold"], 4);
  EXPECT_EQ(ask("Why", {{"jail", "nobody's"}})["error"], "org.sandboxd.NotFound");
  EXPECT_EQ(ask("Why", Json::object())["error"], "org.sandboxd.InvalidArgument");
}

TEST_F(Jail, WhatWasLearnedIsForTheAdministrator) {
  running();
  EXPECT_EQ(ask("Learned", {{"jail", "nap"}, {"name", "mine"}})["error"], "org.sandboxd.Denied");
  Client admin = connect_admin();
  const Json learned = admin.ask("org.sandboxd.Jail.Learned", {{"jail", "nap"}, {"name", "mine"}})["parameters"];
  EXPECT_EQ(learned, Json({{"profile", "nap"}, {"filter", "mine"}, {"unread", 1}, {"lost", 2}}));
  EXPECT_EQ(admin.ask("org.sandboxd.Jail.Learned", {{"jail", "nap"}})["error"], "org.sandboxd.InvalidArgument");
}

TEST_F(Jail, ListIsWholeWhenItFits) {
  const std::string jail = running();
  const Json reply = ask("List");
  EXPECT_EQ(reply["parameters"]["complete"], true);
  ASSERT_EQ(reply["parameters"]["jails"].size(), 1U);
  EXPECT_EQ(reply["parameters"]["jails"][0]["jail"], jail);
}

// More than one frame, and more than may wait for a client.
TEST_F(Jail, ALongListTakesSeveralReplies) {
  for (int i = 0; i < 5'000; ++i) {
    const std::string id = "many-" + std::to_string(i);
    supervisor.jails[id].info = {
        .jail = id, .profile = "default", .state = "running", .argv = {std::string(2000, 'x')}};
  }
  Client admin = connect_admin();
  admin.call("org.sandboxd.Jail.List", Json::object(), true);
  std::size_t jails = 0, replies = 0;
  for (bool complete = false; !complete; ++replies) {
    const Json reply = admin.reply();
    ASSERT_TRUE(reply.contains("parameters")) << reply;
    complete = reply["parameters"]["complete"].get<bool>();
    EXPECT_EQ(reply.contains("continues"), !complete);
    jails += reply["parameters"]["jails"].size();
  }
  EXPECT_EQ(jails, 5'000U);
  EXPECT_GT(replies, 20U);
  const Json first = admin.ask("org.sandboxd.Jail.List");
  EXPECT_EQ(first["parameters"]["complete"], false);
  EXPECT_EQ(first["parameters"]["jails"][0]["argv_cut"], true);
  EXPECT_TRUE(warnings.empty());
}

TEST_F(Jail, ExplainGivesThePlan) {
  EXPECT_EQ(ask("Explain", {{"spec", {{"argv", {"a", "b"}}}}})["parameters"], (Json{{"plan", {{"arguments", 2}}}}));
}

jails::Event event(std::uint64_t cursor) {
  return {.cursor = cursor, .time = 7, .jail = "j", .kind = "exited", .detail = R"({"code":1})", .uid = 5};
}

TEST_F(Jail, EventsComeAsTheyHappen) {
  supervisor.happen(event(1));
  supervisor.happen(event(2));
  client.call("org.sandboxd.Jail.Events", {{"after", 1}}, true);
  const Json expected = {{"cursor", 2}, {"time", 7},        {"epoch", "e-1"},
                         {"jail", "j"}, {"kind", "exited"}, {"detail", {{"code", 1}}},
                         {"uid", 5}};
  const Json reply = client.reply();
  EXPECT_EQ(reply["parameters"]["event"], expected);
  EXPECT_EQ(reply["continues"], true);
  supervisor.happen(event(3));
  EXPECT_EQ(client.reply()["parameters"]["event"]["cursor"], 3);
}

TEST_F(Jail, WithoutMoreItIsTheNextEvent) {
  supervisor.happen(event(1));
  supervisor.happen(event(2));
  const Json reply = ask("Events");
  EXPECT_EQ(reply["parameters"]["event"]["cursor"], 1);
  EXPECT_FALSE(reply.contains("continues"));
  client.call("org.sandboxd.Jail.Events", {{"after", 2}});
  loop.settle();
  EXPECT_FALSE(client.has_reply());
  supervisor.happen(event(3));
  EXPECT_EQ(client.reply()["parameters"]["event"]["cursor"], 3);
  EXPECT_TRUE(loop.until([&] { return supervisor.subscriptions == 0; }));
}

TEST_F(Jail, EventsThatAreNotFollowedEnd) {
  for (std::uint64_t cursor = 1; cursor <= 3; ++cursor) supervisor.happen(event(cursor));
  client.call("org.sandboxd.Jail.Events", {{"after", 1}, {"follow", false}}, true);
  EXPECT_EQ(client.reply()["parameters"]["event"]["cursor"], 2);
  EXPECT_EQ(client.reply()["parameters"]["event"]["cursor"], 3);
  EXPECT_EQ(client.reply(), (Json{{"parameters", Json::object()}}));
  EXPECT_EQ(supervisor.subscriptions, 0);
}

TEST_F(Jail, WithoutMoreAnEventThatIsNotThereIsNotWaitedFor) {
  EXPECT_EQ(ask("Events", {{"follow", false}}), (Json{{"parameters", Json::object()}}));
}

TEST_F(Jail, AnAdminSeesAll) {
  Client admin = connect_admin();
  const std::string jail = run(admin);
  EXPECT_TRUE(supervisor.clients.back().admin);
}

}  // namespace
}  // namespace sandboxd::test
