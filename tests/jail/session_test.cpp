// Execs in a live jail: the handshake, the streams, the ends, and what outlives them.
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ids.h"
#include "tests/jail/session.h"
#include "tests/support/command.h"

namespace sandboxd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using wire::ExecPlan;
using wire::InitCommand;
using wire::InitEvent;
using wire::StdioMode;

class SessionJail : public Hostile {};

int exit_status(const Seen& seen) { return WIFEXITED(seen.status()) ? WEXITSTATUS(seen.status()) : -1; }

TEST_F(SessionJail, StartsWithoutAJobAndIsReadBackLikeARun) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  std::map<std::string, std::string> facts;
  for (const wire::Fact& row : session.launched().started->readback.facts) facts[row.name] = row.value;
  EXPECT_EQ(facts["cap_prm"], "0000000000000000");
  EXPECT_EQ(facts["seccomp"], "2");
  EXPECT_EQ(facts["landlock_probe"], "refused");
  // The probe is gone and has said nothing; jail-init lives on.
  EXPECT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));
  EXPECT_FALSE(session.until([&] { return session.ended() || !session.job(wire::kFirstJob).events.empty(); }, 200));
}

TEST_F(SessionJail, RunsAnExecFromItsPlan) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  ExecPlan plan = session.shell("echo out; echo err >&2; pwd; echo \"$A\"; cat; id -u; exit 7");
  plan.workdir = "/tmp";
  plan.env.push_back("A=a b");
  session.exec(plan);
  ASSERT_TRUE(session.until_event(plan.job, InitEvent::kJobReady));
  Seen& seen = session.job(plan.job);
  EXPECT_FALSE(seen.has(InitEvent::kJobStarted));
  session.release(plan.job);
  ASSERT_TRUE(session.until_event(plan.job, InitEvent::kJobStarted));
  ASSERT_EQ(::write(seen.in.get(), "in\n", 3), 3);
  seen.in.reset();
  ASSERT_TRUE(session.finish(plan.job));
  EXPECT_EQ(seen.out, "out\n/tmp\na b\nin\n4242\n");
  EXPECT_EQ(seen.err, "err\n");
  EXPECT_EQ(exit_status(seen), 7);
  EXPECT_EQ(seen.gone->value, 0);
  EXPECT_GT(seen.exited->max_rss_bytes, 0U);
  EXPECT_THAT(seen.events, ElementsAre(InitEvent::kStreams, InitEvent::kJobReady, InitEvent::kJobStarted,
                                       InitEvent::kJobExited, InitEvent::kJobGone));
}

TEST_F(SessionJail, RunsEveryProfilesExecs) {
  for (const char* profile : {"default", "strict", "host-network"}) {
    Session session(client(), next_number(), {}, {}, profile);
    ASSERT_TRUE(session.started()) << profile;
    EXPECT_EQ(session.sh("(setsid sleep 1000 &) ; echo yes").out, "yes\n") << profile;
    EXPECT_EQ(session.job(2).gone->value, 1) << profile;
    Seen& terminal = session.start(session.shell("tty; read x; exit 3", StdioMode::kTerminal));
    ASSERT_TRUE(session.until([&] { return terminal.out.find("/dev/pts/") != std::string::npos; })) << terminal.out;
    ASSERT_EQ(::write(terminal.out_fd.get(), "x\n", 2), 2);
    ASSERT_TRUE(session.finish(3));
    EXPECT_EQ(exit_status(terminal), 3) << profile;
    session.send(InitCommand::kSignalAll, 0, SIGTERM);
    EXPECT_EQ(session.sh("echo still").out, "still\n") << profile;
  }
}

TEST_F(SessionJail, ASignalToAllDoesNotHitWhatIsStartedAfterIt) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  for (int i = 0; i < 100; ++i) {
    session.send(InitCommand::kSignalAll, 0, SIGTERM);
    ASSERT_EQ(session.sh("echo still").out, "still\n") << i;
  }
}

TEST_F(SessionJail, ASignalToAJobThatIsOnlyBegunIsNotLost) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  for (int i = 0; i < 100; ++i) {
    const ExecPlan plan = session.plan({"/bin/sleep", "1000"});
    session.exec(plan);
    session.send(InitCommand::kSignal, plan.job, SIGUSR1);
    session.release(plan.job);
    ASSERT_TRUE(session.finish(plan.job)) << i;
    ASSERT_TRUE(session.job(plan.job).exited) << i << session.job(plan.job).describe();
    ASSERT_EQ(session.job(plan.job).status(), SIGUSR1) << i;
  }
}

TEST_F(SessionJail, KeepsTheOrderOfMergedStreams) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  ExecPlan plan = session.shell("for i in 1 2 3 4; do echo o$i; echo e$i >&2; done");
  plan.merge_stderr = true;
  const Seen& seen = session.run(plan);
  EXPECT_EQ(seen.out, "o1\ne1\no2\ne2\no3\ne3\no4\ne4\n");
  EXPECT_EQ(seen.err, "");
}

TEST_F(SessionJail, RunsAProgramThatComesAsADescriptor) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const UniqueFd program = program_memfd("probe_self");
  ExecPlan plan = session.plan({"probe", "fds"});
  plan.program = true;
  const Seen& seen = session.run(plan, program.get());
  EXPECT_EQ(exit_status(seen), 1) << seen.out << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("refused extra-descriptor"));
}

TEST_F(SessionJail, AJobsEndIsItsOwn) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  Seen& a = session.start(session.shell("sleep 1000"));
  Seen& b = session.start(session.shell("read x; exit 4"));
  session.send(InitCommand::kKillJob, 2);
  ASSERT_TRUE(session.finish(2));
  EXPECT_EQ(a.status(), SIGKILL);
  EXPECT_FALSE(b.exited.has_value());
  b.in.reset();
  ASSERT_TRUE(session.finish(3));
  EXPECT_EQ(exit_status(b), 4);
}

TEST_F(SessionJail, SignalsGoToTheJobsGroup) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  Seen& a = session.start(session.shell("trap 'echo got; exit 5' USR1; echo up; while :; do sleep 0.01; done"));
  Seen& b = session.start(session.shell("trap 'echo got; exit 5' USR1; echo up; while :; do sleep 0.01; done"));
  ASSERT_TRUE(session.until([&] { return a.out == "up\n" && b.out == "up\n"; }));
  session.send(InitCommand::kSignal, 2, SIGUSR1);
  ASSERT_TRUE(session.finish(2));
  EXPECT_EQ(a.out, "up\ngot\n");
  EXPECT_FALSE(b.exited.has_value());
  session.send(InitCommand::kSignalAll, 0, SIGUSR1);
  ASSERT_TRUE(session.finish(3));
  EXPECT_EQ(b.out, "up\ngot\n");
  // The keepers were spared even by a signal that nobody can block.
  Seen& c = session.start(session.shell("(setsid sleep 1000 &); sleep 1000"));
  session.send(InitCommand::kSignalAll, 0, SIGKILL);
  ASSERT_TRUE(session.finish(4));
  EXPECT_EQ(c.status(), SIGKILL);
  EXPECT_EQ(session.sh("echo alive").out, "alive\n");
}

TEST_F(SessionJail, KillsWhatOutlivesAJobAndCountsIt) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  // Another job's daemon, started before, is not touched.
  Seen& other = session.start(session.shell("(setsid sh -c 'echo d; sleep 1000' &) ; read x"));
  ASSERT_TRUE(session.until([&] { return other.out == "d\n"; }));
  const Seen& seen = session.sh(
      "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM HUP INT; sleep 1000' >/dev/null 2>&1 &); done; sleep 0.2; exit "
      "0");
  EXPECT_EQ(exit_status(seen), 0);
  EXPECT_GE(seen.gone->value, 3);
  EXPECT_LE(seen.gone->value, 6);
  EXPECT_EQ(session.sh("pgrep -c sleep").out, "1\n");
  other.in.reset();
  ASSERT_TRUE(session.finish(2));
  EXPECT_GE(other.gone->value, 1);
  EXPECT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));
}

TEST_F(SessionJail, KeepsWhatOutlivesAJobWhenThePlanSaysSo) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  ExecPlan plan = session.shell(
      "for i in 1 2; do (setsid sleep 1000 >/dev/null 2>&1 &); done; until [ \"$(pgrep -xc sleep)\" = 2 ]; do :; done");
  plan.keep_survivors = true;
  const Seen& seen = session.run(plan);
  EXPECT_EQ(seen.gone->value, 2);
  EXPECT_EQ(session.sh("pgrep -c sleep").out, "2\n");
}

TEST_F(SessionJail, E43_E44_EndsForkBombsAndWhatHidesFromItsParent) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const UniqueFd program = program_memfd("probe_job");
  const auto attack = [&](std::vector<std::string> argv) -> const Seen& {
    argv.insert(argv.begin(), "probe_job");
    ExecPlan plan = session.plan(std::move(argv));
    plan.program = true;
    return session.run(plan, program.get());
  };
  const Seen& sibling = attack({"sibling"});
  EXPECT_EQ(sibling.gone->value, 3) << sibling.out;
  EXPECT_GT(attack({"bomb"}).gone->value, 10);
  EXPECT_GT(attack({"chain"}).gone->value, 10);
  EXPECT_GT(attack({"runners", "3"}).gone->value, 0);
  EXPECT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));
  EXPECT_EQ(session.sh("echo alive").out, "alive\n");
}

TEST_F(SessionJail, AThousandExecsLeaveNothing) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  ASSERT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));  // the probe's end
  for (int i = 0; i < 40; ++i) ASSERT_EQ(exit_status(session.run(session.plan({"/bin/true"}))), 0);
  ASSERT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));
  const std::size_t descriptors = open_descriptors(session.init_pid());
  const int memory = std::atoi(status_line(session.init_pid(), "VmRSS").c_str());
  const std::string virtual_memory = status_line(session.init_pid(), "VmSize");
  const int most = scaled_ms(1) > 1 ? 100 : 1000;  // a processor that is emulated
  for (int i = 0; i < most; ++i) {
    const Seen& seen = session.run(session.plan({"/bin/true"}));
    ASSERT_EQ(exit_status(seen), 0) << i << ": " << seen.describe() << (session.ended() ? "; the jail has ended" : "");
  }
  EXPECT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));
  EXPECT_EQ(open_descriptors(session.init_pid()), descriptors);
  // A page or two for each job that began before the keeper of the last one was reaped.
  EXPECT_LT(std::atoi(status_line(session.init_pid(), "VmRSS").c_str()), memory + 64) << "KiB";
  EXPECT_EQ(status_line(session.init_pid(), "VmSize"), virtual_memory);
}

TEST_F(SessionJail, ManyLiveAtOnceAndNoMoreThanTheTableHolds) {
  Session session(client(), next_number(), {}, [](wire::JailPlan& plan) { plan.limits.pids_max = 512; });
  ASSERT_TRUE(session.started());
  for (std::uint32_t i = 0; i < wire::kMaxJobs; ++i) {
    const Seen& seen = session.start(session.plan({"/bin/sleep", "1000"}, StdioMode::kNull));
    ASSERT_TRUE(seen.has(InitEvent::kJobStarted)) << i << " " << (seen.failed ? seen.failed->text : "");
  }
  const Seen& more = session.run(session.plan({"/bin/true"}, StdioMode::kNull));
  ASSERT_TRUE(more.failed.has_value());
  EXPECT_EQ(more.failed->code, EAGAIN);
  session.send(InitCommand::kSignalAll, 0, SIGKILL);
  for (std::uint32_t i = 0; i < wire::kMaxJobs; ++i) ASSERT_TRUE(session.finish(i + 2));
  EXPECT_EQ(exit_status(session.run(session.plan({"/bin/true"}))), 0);
  EXPECT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));
}

TEST_F(SessionJail, OnlySoManyPrepareAtOnce) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  std::vector<ExecPlan> plans;
  for (int i = 0; i < 17; ++i) plans.push_back(session.plan({"/bin/true"}));
  for (const ExecPlan& plan : plans) session.exec(plan);
  for (int i = 0; i < 16; ++i)
    ASSERT_TRUE(session.until_event(plans[static_cast<std::size_t>(i)].job, InitEvent::kJobReady));
  ASSERT_TRUE(session.finish(plans[16].job));
  EXPECT_EQ(session.job(plans[16].job).failed->code, EAGAIN);
  EXPECT_STREQ(session.job(plans[16].job).failed->text, "too many jobs are being started");
  for (int i = 15; i >= 0; --i) session.release(plans[static_cast<std::size_t>(i)].job);
  for (int i = 0; i < 16; ++i) {
    ASSERT_TRUE(session.finish(plans[static_cast<std::size_t>(i)].job));
    EXPECT_EQ(exit_status(session.job(plans[static_cast<std::size_t>(i)].job)), 0);
  }
}

TEST_F(SessionJail, AJobsDeadlineIsItsOwn) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  Seen& other = session.start(session.shell("read x"));
  ExecPlan plan = session.shell("(setsid sleep 1000 &) ; sleep 1000");
  plan.wall_time = static_cast<std::uint64_t>(scaled_ms(300)) * 1000;  // enough for the shell to start both
  const Seen& seen = session.run(plan);
  EXPECT_EQ(seen.status(), SIGKILL);
  EXPECT_TRUE(seen.has(InitEvent::kWallTime));
  EXPECT_EQ(seen.gone->value, 2);
  EXPECT_FALSE(other.exited.has_value());
}

TEST_F(SessionJail, TheJailsDeadlineEndsIt) {
  Session session(client(), next_number(), {}, [](wire::JailPlan& plan) { plan.limits.wall_time = 500'000; });
  ASSERT_TRUE(session.started());
  session.start(session.shell("sleep 1000"));
  ASSERT_TRUE(session.until([&] { return session.ended(); }));
  EXPECT_THAT(session.job(0).events, ElementsAre(InitEvent::kWallTime));
}

TEST_F(SessionJail, ARunsJailTakesExecsTooAndEndsWithItsFirstJob) {
  Session session(client(), next_number(), {"/bin/sh", "-c", "read x; exit 9"});
  ASSERT_TRUE(session.started());
  ASSERT_TRUE(session.until_event(wire::kFirstJob, InitEvent::kJobStarted));
  EXPECT_EQ(session.sh("echo beside").out, "beside\n");
  Seen& other = session.start(session.shell("sleep 1000"));
  session.job(wire::kFirstJob).in.reset();
  ASSERT_TRUE(session.until([&] { return session.ended(); }));
  EXPECT_EQ(exit_status(session.job(wire::kFirstJob)), 9);
  EXPECT_FALSE(other.gone.has_value());
}

TEST_F(SessionJail, AJobIsKilledBeforeItsRelease) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const ExecPlan plan = session.shell("echo never");
  session.exec(plan);
  ASSERT_TRUE(session.until_event(plan.job, InitEvent::kJobReady));
  session.send(InitCommand::kKillJob, plan.job);
  ASSERT_TRUE(session.finish(plan.job));
  const Seen& seen = session.job(plan.job);
  EXPECT_EQ(seen.status(), SIGKILL);
  EXPECT_EQ(seen.gone->value, 0);
  EXPECT_EQ(seen.out, "");
  EXPECT_FALSE(seen.has(InitEvent::kJobStarted));
  // And at once, without waiting for kJobReady.
  for (int i = 0; i < 50; ++i) {
    const ExecPlan early = session.shell("echo never");
    session.exec(early);
    session.send(InitCommand::kKillJob, early.job);
    ASSERT_TRUE(session.finish(early.job));
    EXPECT_EQ(session.job(early.job).status(), SIGKILL);
  }
}

TEST_F(SessionJail, AReleaseIsOfOneJobAndMayComeFirst) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  for (int i = 0; i < 20; ++i) {
    const ExecPlan first = session.plan({"/bin/true"});
    session.exec(first);
    session.release(first.job);
    if (i % 2 == 0) session.send(InitCommand::kKillJob, first.job);
    ASSERT_TRUE(session.finish(first.job));
    // The next one takes its place in jail-init's table, and waits all the same.
    const ExecPlan second = session.shell("echo never");
    session.exec(second);
    ASSERT_TRUE(session.until_event(second.job, InitEvent::kJobReady)) << i;
    session.send(InitCommand::kKillJob, second.job);
    ASSERT_TRUE(session.finish(second.job));
    EXPECT_EQ(session.job(second.job).out, "");
  }
}

}  // namespace
}  // namespace sandboxd::test
