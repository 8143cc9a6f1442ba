// What a user sees of sessions through sandboxctl, with a real daemon and real jails: commands one after the other and side by
// side, terminals, what is left alone and found again, and what becomes of a client that dies.
#include <csignal>

#include "tests/escape/escape.h"
#include "tests/jail/terminal_client.h"

namespace sandboxd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string line_of(const Output& output) {
  EXPECT_EQ(output.status, 0) << describe(output);
  return output.out.substr(0, output.out.find('\n'));
}

class SandboxctlSession : public Escape {
 protected:
  void TearDown() override {
    if (!jail_.empty()) {
      const Output removed = ctl({"rm", "-f", jail_});
      EXPECT_EQ(removed.status, 0) << describe(removed);
    }
    Escape::TearDown();
  }
  static Output ctl(std::vector<std::string> arguments, std::string input = "", uid_t uid = kAlice) {
    return stack().ctl(uid, std::move(arguments), std::move(input));
  }
  void create(std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"create", "--tmpfs", "/work"});
    jail_ = line_of(ctl(std::move(options)));
  }
  // With `options` before the jail.
  [[nodiscard]] std::vector<std::string> exec(std::vector<std::string> options, const std::string& script) const {
    options.insert(options.begin(), "exec");
    options.insert(options.end(), {jail_, "--", "/bin/sh", "-c", script});
    return options;
  }
  Output shell(const std::string& script, std::string input = "") const {
    return ctl(exec({}, script), std::move(input));
  }
  [[nodiscard]] std::string jobs() const { return ctl({"jobs", jail_}).out; }
  [[nodiscard]] TerminalClient terminal(std::vector<std::string> arguments) const {
    return {stack().ctl_spec(kAlice, std::move(arguments)),
            {.ws_row = 31, .ws_col = 97, .ws_xpixel = 0, .ws_ypixel = 0}};
  }

  std::string jail_{};
};

TEST_F(SandboxctlSession, JobsShareTheirJailAndEndAsTheyWill) {
  create({"--label", "team=x", "--name", "shared"});
  EXPECT_EQ(shell("echo kept > /work/file; exit 3").status, 3);
  const Output second = shell("cat /work/file -; echo err >&2", "typed");
  EXPECT_EQ(second.out, "kept\ntyped");
  EXPECT_EQ(second.err, "err\n");
  EXPECT_EQ(ctl({"exec", "shared", "/nonexistent"}).status, 127);
  EXPECT_THAT(ctl({"ps", "--label", "team=x"}).out, AllOf(HasSubstr(jail_), HasSubstr("team=x")));
  EXPECT_EQ(ctl({"ps", "--label", "team=y"}).out, "");
  EXPECT_THAT(jobs(), HasSubstr("exited 3"));
}

TEST_F(SandboxctlSession, AJobThatNeverRanSaysWhyInTheList) {
  create();
  EXPECT_EQ(ctl({"exec", jail_, "/nonexistent"}).status, 127);
  EXPECT_THAT(jobs(), HasSubstr("failed exec ENOENT"));
  EXPECT_THAT(ctl({"--json", "jobs", jail_}).out, HasSubstr(R"("step":"exec")"));
}

TEST_F(SandboxctlSession, AnExecsUserIsItsJails) {
  create();
  const Output refused = ctl({"exec", "--user", "nobody", jail_, "true"});
  EXPECT_EQ(refused.status, 125);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("--user"), HasSubstr("'nobody'"), HasSubstr("create --user")));
}

TEST_F(SandboxctlSession, ItsTimeoutIsThatOfAllOfIt) {
  create({"--timeout", "500ms"});
  EXPECT_EQ(ctl({"extend", jail_, "1h"}).status, 0);
  EXPECT_EQ(ctl({"wait", jail_}).status, 124);
  EXPECT_THAT(ctl({"ps"}).out, HasSubstr("timeout_wall"));
}

TEST_F(SandboxctlSession, IsItsOwnersOnly) {
  create();
  const Output other = ctl({"exec", jail_, "--", "true"}, "", kBob);
  EXPECT_EQ(other.status, 125);
  EXPECT_THAT(other.err, HasSubstr("no jail"));
}

TEST_F(SandboxctlSession, AJobLeftAloneIsFoundAgainByItsName) {
  create();
  const std::string job = line_of(ctl(exec({"-d", "--log"}, "printf 'one\\033[2J\\n'; echo two >&2; exit 5")));
  EXPECT_EQ(job, jail_ + "/2");
  const Output waited = ctl({"wait", job});
  EXPECT_EQ(waited.status, 5) << describe(waited);
  const Output logged = ctl({"logs", "-f", job});
  EXPECT_EQ(logged.out, "one\x1b[2J\n");  // a pipe gets the bytes
  EXPECT_EQ(logged.err, "two\n");
  TerminalClient shown = terminal({"logs", job});
  EXPECT_TRUE(shown.shows("one\\x1b[2J"));
}

TEST_F(SandboxctlSession, AClientThatDiesTakesItsJobAlongAndNotTheJail) {
  create();
  Command client(stack().ctl_spec(kAlice, exec({}, "echo up; exec sleep 1000")));
  ASSERT_TRUE(client.await_output("up"));
  client.signal(SIGKILL);
  EXPECT_EQ(client.finish().status, 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return jobs().find("killed") != std::string::npos; })) << jobs();
  EXPECT_EQ(shell("exit 4").status, 4);
}

TEST_F(SandboxctlSession, SignalsAreForTheJobThatIsNamed) {
  create();
  const std::string job = line_of(ctl(exec({"-d"}, "trap 'exit 7' USR1; while :; do sleep 0.05; done")));
  const std::string other = line_of(ctl(exec({"-d"}, "exec sleep 1000")));
  EXPECT_EQ(ctl({"signal", "-s", "USR1", job}).status, 0);
  EXPECT_EQ(ctl({"wait", job}).status, 7);
  EXPECT_THAT(jobs(), HasSubstr("running"));
  EXPECT_EQ(ctl({"kill", "--grace", "0", other}).status, 0);
  EXPECT_GT(ctl({"wait", other}).status, 128);
  EXPECT_EQ(shell("exit 6").status, 6);
}

TEST_F(SandboxctlSession, AFrozenJailDoesNothingUntilItIsThawed) {
  create();
  const std::string job =
      line_of(ctl(exec({"-d", "--log"}, "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done")));
  ASSERT_TRUE(eventually([&] { return ctl({"logs", job}).out == "up\n"; }));
  ASSERT_EQ(ctl({"freeze", jail_}).status, 0);
  EXPECT_THAT(ctl({"ps"}).out, HasSubstr("frozen"));
  EXPECT_EQ(ctl({"signal", job}).status, 0);
  EXPECT_THAT(jobs(), HasSubstr("running"));
  ASSERT_EQ(ctl({"thaw", jail_}).status, 0);
  EXPECT_THAT(ctl({"ps"}).out, Not(HasSubstr("frozen")));
  EXPECT_EQ(ctl({"extend", jail_, "2h"}).status, 0);
  EXPECT_THAT(ctl({"ps"}).out, HasSubstr("ends in 1h"));
  EXPECT_EQ(ctl({"wait", job}).status, 5);
}

TEST_F(SandboxctlSession, EventsGoOnWhereTheyStopped) {
  create();
  EXPECT_EQ(shell("true").status, 0);
  const Output all = ctl({"events"});
  EXPECT_THAT(all.out, AllOf(HasSubstr("job_started\t" + jail_), HasSubstr("job_exited\t" + jail_)));
  const std::size_t last = all.out.rfind('\n', all.out.size() - 2);
  const std::string cursor = all.out.substr(last + 1, all.out.find('\t', last + 1) - last - 1);
  const std::string epoch = all.out.substr(all.out.rfind('\t') + 1, all.out.size() - all.out.rfind('\t') - 2);
  EXPECT_EQ(ctl({"events", "--after", cursor, "--epoch", epoch}).out, "");
  EXPECT_THAT(ctl({"events", "--after", cursor, "--epoch", "e-other"}).out, HasSubstr("gap"));
}

TEST_F(SandboxctlSession, ATerminalIsOneToTheJob) {
  create();
  TerminalClient client = terminal(exec({"-t"}, "stty size; tty; exec sh"));
  EXPECT_TRUE(client.shows("31 97"));
  EXPECT_TRUE(client.shows("/dev/pts/"));
  EXPECT_TRUE(eventually([&] { return client.is_raw(); }));
  client.resize({.ws_row = 40, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0});
  EXPECT_TRUE(eventually([&] { return ctl({"ps"}).status == 0; }));
  client.type("until test \"$(stty size)\" = '40 100'; do :; done; echo si''zed\n");
  EXPECT_TRUE(client.shows("sized"));
  client.type("sh -c 'echo sleep''ing; exec sleep 1000'\n");
  EXPECT_TRUE(client.shows("sleeping"));
  client.type("\x03");  // Ctrl-C ends what is in the foreground, not the shell; and drops what was typed but not read
  EXPECT_TRUE(client.shows("^C"));
  client.type("echo al''ive $?\n");
  EXPECT_TRUE(client.shows("alive 130"));
  client.type("exit 9\n");
  EXPECT_EQ(client.wait(), 9);
  EXPECT_TRUE(client.is_as_before());
}

TEST_F(SandboxctlSession, DetachKeysLeaveTheJobAndAttachComesBack) {
  create();
  TerminalClient first = terminal(exec({"-t"}, "echo rea''dy; exec sh"));
  ASSERT_TRUE(first.shows("ready"));
  ASSERT_TRUE(eventually([&] { return first.is_raw(); }));
  first.type("x=kept\n\x10\x11");
  EXPECT_EQ(first.wait(), 0);
  EXPECT_TRUE(first.shows("comes back"));
  EXPECT_TRUE(first.is_as_before());

  TerminalClient second = terminal({"attach", jail_ + "/2"});
  EXPECT_TRUE(second.shows("ready"));  // replayed
  TerminalClient third = terminal({"attach", "--replay", "0", jail_ + "/2"});
  ASSERT_TRUE(eventually([&] { return second.is_raw() && third.is_raw(); }));
  second.type("echo it is $x''.\n");
  EXPECT_TRUE(second.shows("it is kept."));
  EXPECT_TRUE(third.shows("it is kept."));
  third.type("exit 8\n");
  EXPECT_EQ(second.wait(), 8);
  EXPECT_EQ(third.wait(), 8);
}

TEST_F(SandboxctlSession, AKilledClientLeavesItsTerminalAsItWas) {
  create();
  TerminalClient client = terminal(exec({"-t"}, "echo rea''dy; exec sh"));
  ASSERT_TRUE(client.shows("ready"));
  ASSERT_TRUE(eventually([&] { return client.is_raw(); }));
  client.signal(SIGKILL);
  EXPECT_EQ(client.wait(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([&] { return client.is_as_before(); }));
  EXPECT_TRUE(eventually([&] { return jobs().find("killed") != std::string::npos; })) << jobs();
}

TEST_F(SandboxctlSession, ARunCanBeLeftAloneToo) {
  const std::string jail = line_of(ctl({"run", "-d", "--log", "--", "/bin/sh", "-c", "echo out; exit 2"}));
  EXPECT_EQ(ctl({"wait", jail}).status, 2);
  EXPECT_EQ(ctl({"logs", jail}).out, "out\n");
  EXPECT_EQ(ctl({"rm", jail}).status, 0);
}

}  // namespace
}  // namespace sandboxd::test
