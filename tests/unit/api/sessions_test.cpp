#include "daemon/api/sessions.h"

#include "fixture.h"

namespace sandboxd::test {
namespace {

class Sessions : public ServerTest {
 protected:
  Json ask(const std::string& method, const Json& parameters = Json::object()) {
    return client.ask("org.sandboxd.Jail." + method, parameters);
  }
  std::string session() { return ask("Create", {{"spec", Json::object()}})["parameters"]["jail"]["jail"]; }

  Client client = connect();
};

TEST_F(Sessions, CreateAnswersWithTheJail) {
  const Json reply = ask("Create", {{"spec", {{"labels", {{"team", "blue"}}}}}});
  EXPECT_EQ(reply["parameters"]["jail"]["session"], true);
}

TEST_F(Sessions, LabelsAreChecked) {
  for (const Json& labels :
       {Json{{"", "x"}}, Json{{"a b", "x"}}, Json{{"a", 1}}, Json{{"a", "\x1b[2J"}}, Json::array()}) {
    const Json reply = ask("Create", {{"spec", {{"labels", labels}}}});
    EXPECT_EQ(reply["error"], "org.sandboxd.InvalidArgument") << labels;
  }
}

TEST_F(Sessions, ExecRepliesAsRunDoes) {
  const std::string jail = session();
  client.call("org.sandboxd.Jail.Exec", {{"jail", jail}, {"spec", {{"argv", {"true"}}}}}, true);
  ASSERT_TRUE(loop.until([&] { return supervisor.execs.contains(jail); }));
  auto& observer = supervisor.execs[jail].observer;
  protocol::JobInfo info;
  info.jail = jail;
  info.job = 2;
  info.state = "running";
  observer.started(info, {});
  observer.output(1, "hello");
  protocol::JobReport report;
  report.jail = jail;
  report.job = 2;
  report.exit_code = 0;
  observer.report(report);
  EXPECT_EQ(client.reply()["parameters"]["started"]["job"], 2);
  EXPECT_EQ(client.reply()["parameters"]["output"]["data"], "hello");
  EXPECT_EQ(client.reply()["parameters"]["report"]["job"], 2);
}

TEST_F(Sessions, ExecSpecsAreCheckedExactly) {
  struct Row {
    Json spec;
    const char* path;
  };
  const std::string jail = session();
  for (const Row& row :
       {Row{{{"argv", Json::array()}}, "/parameters/spec/argv"},
        Row{{{"argv", {"x"}}, {"stdio", "inherit"}}, "/parameters/spec/stdio"},
        Row{{{"argv", {"x"}}, {"tty", {{"rows", 0}, {"columns", 80}}}}, "/parameters/spec/tty/rows"},
        Row{{{"argv", {"x"}}, {"stdio", "null"}, {"merge_stderr", true}}, "/parameters/spec/merge_stderr"},
        Row{{{"argv", {"x"}}, {"stdio", "pass"}, {"detach", true}}, "/parameters/spec/detach"},
        Row{{{"argv", {"x"}}, {"profile", "default"}}, "/parameters/spec/profile"}}) {
    const Json reply = ask("Exec", {{"jail", jail}, {"spec", row.spec}});
    EXPECT_EQ(reply["error"], "org.sandboxd.InvalidArgument") << row.spec;
    EXPECT_EQ(reply["parameters"]["path"], row.path) << row.spec;
  }
}

TEST_F(Sessions, AttachEndsWithItsConnection) {
  const std::string jail = session();
  {
    Client other = connect();
    other.call("org.sandboxd.Jail.Attach", {{"jail", jail}, {"job", 2}, {"replay", 10}}, true);
    ASSERT_TRUE(loop.until([&] { return supervisor.subscriptions == 1; }));
  }
  EXPECT_TRUE(loop.until([&] { return supervisor.subscriptions == 0; }));
  EXPECT_EQ(supervisor.asked.back(), "attach " + jail + " 2 10");
}

TEST_F(Sessions, AttachNeedsMore) { EXPECT_EQ(ask("Attach", {{"jail", session()}})["parameters"]["path"], "/more"); }

TEST_F(Sessions, EachCallReachesTheJobItNames) {
  const std::string jail = session();
  ask("Detach", {{"jail", jail}, {"job", 3}});
  ask("Resize", {{"jail", jail}, {"job", 3}, {"size", {{"rows", 5}, {"columns", 6}}}});
  ask("Signal", {{"jail", jail}, {"job", 3}, {"signal", 2}});
  ask("Signal", {{"jail", jail}});
  ask("Kill", {{"jail", jail}, {"job", 3}, {"grace", 0}});
  ask("Wait", {{"jail", jail}, {"job", 3}});
  ask("Freeze", {{"jail", jail}});
  ask("Thaw", {{"jail", jail}});
  const std::vector<std::string> expected = {
      "detach " + jail + " 3",    "resize " + jail + " 3 5x6", "signal " + jail + " 3 2", "signal " + jail + " 0 15",
      "kill " + jail + " 3 15 0", "wait " + jail + " 3",       "freeze " + jail,          "thaw " + jail};
  EXPECT_EQ(supervisor.asked, expected);
  EXPECT_EQ(ask("Extend", {{"jail", jail}, {"ttl", 5}})["parameters"]["expires"], 1005);
  EXPECT_EQ(ask("Jobs", {{"jail", jail}})["parameters"]["jobs"][0]["job"], 2);
}

TEST_F(Sessions, LogsSayWhatIsMissing) {
  const std::string jail = session();
  client.call("org.sandboxd.Jail.Logs", {{"jail", jail}, {"job", 2}}, true);
  const Json piece = client.reply()["parameters"];
  EXPECT_EQ(piece["output"]["data"], "kept");
  EXPECT_EQ(piece["dropped"], 7);
  EXPECT_EQ(client.reply()["parameters"], Json::object());
}

TEST_F(Sessions, EventsSayWhatTheCallerMissed) {
  supervisor.missed = 10;
  client.call("org.sandboxd.Jail.Events", {{"after", 4}, {"epoch", "e-1"}, {"follow", false}}, true);
  EXPECT_EQ(client.reply()["parameters"]["gap"], 6);
  EXPECT_EQ(client.reply()["parameters"], Json::object());
  client.call("org.sandboxd.Jail.Events", {{"after", 12}, {"epoch", "e-0"}, {"follow", false}}, true);
  EXPECT_EQ(client.reply()["parameters"]["gap"], 0) << "of another life: it is not known how many";
}

}  // namespace
}  // namespace sandboxd::test
