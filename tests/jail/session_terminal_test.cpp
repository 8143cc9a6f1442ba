// Terminals of the jail's own: whose they are, and what they do for job control.
#include <csignal>

#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/jail/session.h"

namespace sandboxd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using wire::ExecPlan;
using wire::StdioMode;

class SessionTerminal : public Hostile {
 protected:
  static bool shows(Session& session, const Seen& seen, const std::string& text) {
    return session.until([&] { return seen.out.find(text) != std::string::npos; });
  }
  static void type(const Seen& seen, const std::string& text) {
    ASSERT_EQ(::write(seen.out_fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
};

TEST_F(SessionTerminal, BelongsToTheJobAndHasTheSizeOfThePlan) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  ExecPlan plan =
      session.shell("stty size; stat -c '%u %g %a' $(tty); for i in 0 1 2; do test -t $i && echo $i; done; read x",
                    StdioMode::kTerminal);
  plan.rows = 33;
  plan.columns = 101;
  Seen& seen = session.start(plan);
  EXPECT_TRUE(shows(session, seen, "33 101\r\n4242 4242 620\r\n0\r\n1\r\n2\r\n")) << seen.out;
  EXPECT_FALSE(seen.in.valid());
  EXPECT_FALSE(seen.err_fd.valid());
  EXPECT_NE(::ioctl(seen.out_fd.get(), FIONREAD, &plan.rows), -1);
  type(seen, "\n");
  EXPECT_TRUE(session.finish(plan.job));
}

TEST_F(SessionTerminal, CtrlCReachesTheForegroundGroupOnly) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  Seen& seen =
      session.start(session.shell("set -m\n"
                                  "sh -c 'trap \"echo bg-int\" INT; echo bg; while :; do sleep 0.05; done' &\n"
                                  "sh -c 'trap \"echo fg-int; exit 3\" INT; echo fg; while :; do sleep 0.05; done'\n"
                                  "echo after $?; read x; exit 0",
                                  StdioMode::kTerminal));
  ASSERT_TRUE(shows(session, seen, "bg\r\n") && shows(session, seen, "fg\r\n")) << seen.out;
  type(seen, "\x03");
  ASSERT_TRUE(shows(session, seen, "after 3")) << seen.out;
  EXPECT_THAT(seen.out, HasSubstr("fg-int"));
  EXPECT_THAT(seen.out, Not(HasSubstr("bg-int")));
  type(seen, "\n");
  EXPECT_TRUE(session.finish(2));
}

TEST_F(SessionTerminal, ANewSizeIsToldAndItsEndHangsUp) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  Seen& seen = session.start(
      session.shell("trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done", StdioMode::kTerminal));
  ASSERT_TRUE(shows(session, seen, "up"));
  const winsize size{50, 60, 0, 0};
  ASSERT_EQ(::ioctl(seen.out_fd.get(), TIOCSWINSZ, &size), 0);
  EXPECT_TRUE(shows(session, seen, "50 60")) << seen.out;
  seen.out_fd.reset();
  ASSERT_TRUE(session.finish(2));
  EXPECT_EQ(seen.status(), SIGHUP);
}

TEST_F(SessionTerminal, E41_IsNoOtherJobs) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  Seen& a = session.start(session.shell("tty; read x", StdioMode::kTerminal));
  Seen& b = session.start(session.shell("tty; read x", StdioMode::kTerminal));
  ASSERT_TRUE(shows(session, a, "/dev/pts/") && shows(session, b, "/dev/pts/"));
  EXPECT_NE(a.out, b.out);
  // A job with pipes has no controlling terminal, and its neighbour's can't be taken for one.
  const Seen& c = session.sh("(: </dev/tty) 2>/dev/null || echo none; ps -o tty= -p $$");
  EXPECT_EQ(c.out.substr(0, 5), "none\n") << c.out << c.err;
}

TEST_F(SessionTerminal, ARunsFirstJobHasOneToo) {
  Session session(client(), next_number(), {"/bin/sh", "-c", "tty; stty size; read x; exit 6"},
                  [](wire::JailPlan& plan) {
                    plan.job.stdio = StdioMode::kTerminal;
                    plan.job.rows = 12;
                    plan.job.columns = 34;
                  });
  ASSERT_TRUE(session.started());
  Seen& seen = session.job(wire::kFirstJob);
  seen.terminal = true;
  ASSERT_TRUE(shows(session, seen, "12 34")) << seen.out;
  type(seen, "\n");
  ASSERT_TRUE(session.finish(wire::kFirstJob));
  EXPECT_EQ(WEXITSTATUS(seen.status()), 6);
}

}  // namespace
}  // namespace sandboxd::test
