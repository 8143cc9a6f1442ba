// What an exec'd job may do to its jail-init, its keeper and its neighbours, and what a broken plan does: nothing.
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/socket.h"
#include "tests/jail/session.h"
#include "tests/support/command.h"
#include "tests/support/probes.h"

namespace sandboxd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using wire::ExecPlan;
using wire::InitCommand;
using wire::InitEvent;
using wire::StdioMode;

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

class SessionAttack : public Hostile {
 protected:
  static ExecPlan program(Session& session, std::vector<std::string> argv) {
    ExecPlan plan = session.plan(std::move(argv));
    plan.program = true;
    return plan;
  }
  static Output as_output(const Seen& seen) {
    Output output;
    output.status = WIFEXITED(seen.status()) ? WEXITSTATUS(seen.status()) : -1;
    output.out = seen.out;
    output.err = seen.err;
    return output;
  }
  // The last number of NSpid: the pid in the jail.
  static int inside(pid_t pid) {
    const std::string line = status_line(pid, "NSpid");
    return std::atoi(line.substr(line.find_last_of(" \t") + 1).c_str());
  }
  static void expect_alive(Session& session) { EXPECT_EQ(session.sh("echo alive").out, "alive\n"); }
};

TEST_F(SessionAttack, E02_E06_AnExecHasItsThreeStreamsAndNothingElse) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  // Others wait meanwhile, with their own streams and handshakes open in jail-init.
  const ExecPlan waiting = session.shell("true", StdioMode::kTerminal);
  session.exec(waiting);
  ASSERT_TRUE(session.until_event(waiting.job, InitEvent::kJobReady));
  for (const StdioMode mode : {StdioMode::kPipes, StdioMode::kTerminal}) {
    const UniqueFd probe = program_memfd("probe_self");
    ExecPlan plan = session.plan({"probe_self", "fds"}, mode);
    plan.program = true;
    const Seen& seen = session.run(plan, probe.get());
    EXPECT_THAT(seen.out, HasSubstr("refused extra-descriptor"));
    EXPECT_THAT(seen.out, Not(HasSubstr("through")));
  }
}

TEST_F(SessionAttack, E04_E71_JailInitAndKeepersAreOutOfReach) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const Seen& other = session.start(session.shell("echo $PPID; read x"));
  ASSERT_TRUE(session.until([&] { return other.out.ends_with("\n"); }));
  const std::string others_keeper = other.out.substr(0, other.out.size() - 1);
  EXPECT_NE(others_keeper, "1");
  const UniqueFd probe = program_memfd("probe_privs");
  const Output control = Command({.argv = {program_path("probe_privs"), "process", "child"}}).finish();
  for (const std::string& target : {std::string("1"), others_keeper}) {
    const Seen& seen = session.run(program(session, {"probe_privs", "process", target}), probe.get());
    expect_refused(as_output(seen), control,
                   {"mem", "environ", "fd", "mem-write", "process_vm_readv", "prlimit-nofile", "setpriority", "kill",
                    "kill-stop", "kill-kill", "ptrace-seize", "pidfd_send_signal"});
  }
  expect_alive(session);
  EXPECT_FALSE(other.exited.has_value());
}

TEST_F(SessionAttack, E04_AJobThatWaitsForItsExecShowsNothingOfJailInit) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const ExecPlan waiting = session.shell("true");
  session.exec(waiting);
  ASSERT_TRUE(session.until_event(waiting.job, InitEvent::kJobReady));
  const std::uint32_t id = first_id_of(stack().slice(), session.launched().started->number) + kJobOffset;
  std::vector<pid_t> pids;
  ASSERT_TRUE(eventually([&] {  // the session's probe may be there still
    pids = processes_of_ids(id, 1);
    return pids.size() == 1;
  }));
  const UniqueFd probe = program_memfd("probe_privs");
  const Seen& seen =
      session.run(program(session, {"probe_privs", "process", std::to_string(inside(pids[0]))}), probe.get());
  const Tries tries = parse_probe(as_output(seen));
  for (const char* name : {"mem", "environ", "maps", "auxv", "fd", "exe", "root", "cwd", "mem-write",
                           "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "ptrace-seize"}) {
    ASSERT_TRUE(tries.contains(name)) << name << "\n" << seen.out;
    EXPECT_FALSE(tries.at(name).through) << name;
  }
  // It has the job's id, so it could be killed: that is its failure, and a release that crosses it is nothing.
  session.release(waiting.job);
  ASSERT_TRUE(session.finish(waiting.job));
  ASSERT_TRUE(session.job(waiting.job).failed.has_value());
  EXPECT_EQ(session.job(waiting.job).failed->code, ECHILD);
  expect_alive(session);
}

// A job that stops all others, over and over, from two processes.
TEST_F(SessionAttack, E81_AJobThatStopsAllOthersHoldsUpNoExecForEver) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const UniqueFd probe = program_memfd("probe_job");
  std::vector<std::uint32_t> attackers;
  for (int i = 0; i < 2; ++i) {
    const ExecPlan plan = program(session, {"probe_job", "signal-all", std::to_string(SIGSTOP)});
    attackers.push_back(plan.job);
    session.exec(plan, probe.get());
    ASSERT_TRUE(session.until_event(plan.job, InitEvent::kJobReady, 60'000));
    session.release(plan.job);
    ASSERT_TRUE(session.until_event(plan.job, InitEvent::kJobStarted, 60'000)) << i;
    ASSERT_TRUE(i > 0 || session.until([&] { return !session.job(plan.job).out.empty(); }));
  }
  for (int i = 0; i < 10; ++i) {
    const ExecPlan plan = session.plan({"/bin/true"});
    session.exec(plan);
    ASSERT_TRUE(session.until(
        [&] { return session.job(plan.job).has(InitEvent::kJobReady) || session.job(plan.job).failed; }, 60'000));
    session.release(plan.job);
    ASSERT_TRUE(session.until(
        [&] { return session.job(plan.job).has(InitEvent::kJobStarted) || session.job(plan.job).failed; }, 60'000));
    session.send(InitCommand::kKillJob, plan.job);
    ASSERT_TRUE(session.finish(plan.job));
  }
  for (const std::uint32_t job : attackers) session.send(InitCommand::kKillJob, job);
  for (const std::uint32_t job : attackers) ASSERT_TRUE(session.finish(job));
  expect_alive(session);
}

TEST_F(SessionAttack, E81_TheJailsDeadlineHoldsAgainstOneThatStopsAllOthers) {
  Session session(client(), next_number(), {}, [](wire::JailPlan& plan) { plan.limits.wall_time = 2'000'000; });
  ASSERT_TRUE(session.started());
  const UniqueFd probe = program_memfd("probe_job");
  session.start(program(session, {"probe_job", "signal-all", std::to_string(SIGSTOP)}), probe.get());
  for (int i = 0; i < 8; ++i) session.exec(session.plan({"/bin/true"}));
  EXPECT_TRUE(session.until([&] { return session.ended(); }, 10'000));
  EXPECT_TRUE(session.job(0).has(InitEvent::kWallTime));
}

TEST_F(SessionAttack, AJobThatKillsAllOthersEndsExecsAndNotTheJail) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const UniqueFd probe = program_memfd("probe_job");
  const ExecPlan attacker = program(session, {"probe_job", "signal-all", std::to_string(SIGKILL)});
  ASSERT_TRUE(session.start(attacker, probe.get()).has(InitEvent::kJobStarted));
  for (int i = 0; i < 30; ++i) {
    const ExecPlan plan = session.plan({"/bin/sleep", "1000"});
    session.exec(plan);
    if (i % 2 == 0) session.release(plan.job);  // before it waits for it, too
    ASSERT_TRUE(session.until([&] {
      const Seen& seen = session.job(plan.job);
      return seen.has(InitEvent::kJobReady) || seen.has(InitEvent::kJobStarted) || seen.failed;
    }));
    session.release(plan.job);
    ASSERT_TRUE(session.finish(plan.job)) << i;
    const Seen& seen = session.job(plan.job);
    EXPECT_TRUE(seen.failed ? seen.failed->code == ECHILD : seen.status() == SIGKILL) << i;
  }
  session.send(InitCommand::kKillJob, attacker.job);
  ASSERT_TRUE(session.finish(attacker.job));
  expect_alive(session);
}

TEST_F(SessionAttack, E47_AJobWhoseOutputNobodyReadsHoldsUpItselfOnly) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const ExecPlan plan = session.shell("exec cat /dev/zero");
  Seen& seen = session.start(plan);
  UniqueFd unread = std::move(seen.out_fd);
  expect_alive(session);
  session.send(InitCommand::kKillJob, plan.job);
  ASSERT_TRUE(session.finish(plan.job));
  EXPECT_EQ(seen.status(), SIGKILL);
}

struct Broken {
  const char* name;
  const char* step;
  int code;
  std::function<void(ExecPlan&)> change;
};

TEST_F(SessionAttack, ABrokenPlanFailsItsJobAndNothingElse) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const Broken kPlans[] = {
      {"no argv", "plan", EINVAL, [](ExecPlan& plan) { plan.argv.clear(); }},
      {"a client's own streams", "streams", EINVAL, [](ExecPlan& plan) { plan.stdio = StdioMode::kInherit; }},
      {"an unknown mode", "streams", EINVAL, [](ExecPlan& plan) { plan.stdio = static_cast<StdioMode>(9); }},
      {"a program without its descriptor", "plan", EBADF, [](ExecPlan& plan) { plan.program = true; }},
      {"too many limits", "plan", EPROTO,
       [](ExecPlan& plan) {
         plan.rlimits.assign(17, {7, 1, 1});
       }},
      {"a limit above the jail's", "limits", EPERM,
       [](ExecPlan& plan) {
         plan.rlimits = {{7, 1U << 20, 1U << 20}};
       }},
      {"a core limit", "limits", EINVAL,
       [](ExecPlan& plan) {
         plan.rlimits = {{4, 0, 0}};
       }},
      {"no such directory", "workdir", ENOENT, [](ExecPlan& plan) { plan.workdir = "/none"; }},
      {"no such program", "exec", ENOENT, [](ExecPlan& plan) { plan.argv = {"/none"}; }},
      {"no such program in PATH", "exec", ENOENT, [](ExecPlan& plan) { plan.argv = {"none"}; }},
      {"no program", "exec", EACCES, [](ExecPlan& plan) { plan.argv = {"/etc"}; }},
  };
  ASSERT_TRUE(eventually([&] { return children_of(session.init_pid()).empty(); }));  // the probe's end
  expect_alive(session);
  const std::size_t descriptors = open_descriptors(session.init_pid());
  for (const Broken& broken : kPlans) {
    ExecPlan plan = session.plan({"/bin/true"});
    broken.change(plan);
    const Seen& seen = session.run(plan);
    ASSERT_TRUE(seen.failed.has_value()) << broken.name;
    EXPECT_STREQ(seen.failed->step, broken.step) << broken.name << ": " << seen.failed->text;
    EXPECT_EQ(seen.failed->code, broken.code) << broken.name << ": " << seen.failed->text;
    EXPECT_FALSE(seen.exited || seen.gone) << broken.name;
  }
  expect_alive(session);
  EXPECT_EQ(open_descriptors(session.init_pid()), descriptors);
}

TEST_F(SessionAttack, APlanThatIsNotSealedOrNotAPlanIsRefused) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  const auto refused = [&](const std::vector<int>& fds, std::uint32_t number, int code) {
    session.send(InitCommand::kExec, number, 0, fds);
    ASSERT_TRUE(session.finish(number)) << number;
    ASSERT_TRUE(session.job(number).failed.has_value());
    EXPECT_EQ(session.job(number).failed->code, code) << session.job(number).failed->text;
  };
  for (const int seals : {0, F_SEAL_WRITE, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_WRITE | F_SEAL_GROW}) {
    const ExecPlan plan = session.plan({"/bin/true"});
    refused({sealed(wire::encode_exec_plan(plan), seals).get()}, plan.job, EPERM);
  }
  const ExecPlan plan = session.plan({"/bin/true"});
  std::vector<std::uint8_t> bytes = wire::encode_exec_plan(plan);
  refused({sealed(bytes, kSeals).get()}, plan.job + 1, EPROTO);  // another job's
  bytes[0] ^= 1U;
  refused({sealed(bytes, kSeals).get()}, plan.job + 2, EPROTO);
  refused({sealed({}, kSeals).get()}, plan.job + 3, EMSGSIZE);
  refused({sealed(std::vector<std::uint8_t>(wire::kMaxExecPlanBytes + 1), kSeals).get()}, plan.job + 4, EMSGSIZE);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  refused({null.get()}, plan.job + 5, EINVAL);
  refused({sealed(wire::encode_exec_plan(plan), kSeals).get()}, wire::kFirstJob, EEXIST);
  for (int i = 0; i < 5; ++i) session.plan({});  // the numbers above
  expect_alive(session);
}

TEST_F(SessionAttack, ANumberIsOneJobsAtATime) {
  Session session(client(), next_number());
  ASSERT_TRUE(session.started());
  ExecPlan plan = session.shell("read x");
  session.start(plan);
  session.exec(plan);
  ASSERT_TRUE(session.until([&] { return session.job(plan.job).failed.has_value(); }));
  EXPECT_EQ(session.job(plan.job).failed->code, EEXIST);
  session.job(plan.job).failed.reset();
  session.job(plan.job).in.reset();
  ASSERT_TRUE(session.finish(plan.job));
  plan.argv.back() = "exit 2";
  // The job's keeper tells its end itself, a moment before jail-init has collected it: till then the number is taken.
  const Seen& again = session.job(plan.job);
  EXPECT_TRUE(eventually([&] {
    session.job(plan.job) = Seen{};
    session.run(plan);
    return !again.failed || again.failed->code != EEXIST;
  }));
  EXPECT_EQ(WEXITSTATUS(again.status()), 2) << again.describe();
}

TEST_F(SessionAttack, WhatIsNotTheProtocolEndsTheJail) {
  const auto ends = [&](const std::function<void(Session&)>& act) {
    Session session(client(), next_number());
    ASSERT_TRUE(session.started());
    act(session);
    EXPECT_TRUE(session.until([&] { return session.ended(); }));
  };
  ends([](Session& session) { session.send(InitCommand::kExec, 2); });
  ends([](Session& session) { session.send(InitCommand::kSignal, 2, 15, {0}); });
  ends([](Session& session) { session.send(InitCommand::kExec, 2, 0, {0, 0, 0}); });
  ends([](Session& session) { session.send(static_cast<InitCommand>(99)); });
  ends([](Session& session) { session.send(InitCommand::kEnd); });
}

TEST_F(SessionAttack, AReaderThatDoesNotReadDoesNotOutliveTheDeadline) {
  Session session(client(), next_number(), {}, [](wire::JailPlan& plan) { plan.limits.wall_time = 1'500'000; });
  ASSERT_TRUE(session.started());
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  // Each is answered by an event; nobody reads them.
  wire::InitCommandRecord record{};
  record.command = InitCommand::kExec;
  record.job = 2;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&record);
  const int fd = null.get();
  pollfd end{session.launched().pidfd(), POLLIN, 0};
  int sent = 0;
  EXPECT_TRUE(eventually(
      [&] {
        for (; send_packet(session.launched().control(), {bytes, sizeof record}, {&fd, 1}, MSG_DONTWAIT).ok();) ++sent;
        return ::poll(&end, 1, 0) == 1;
      },
      10'000));
  EXPECT_GT(sent, 100);
}

}  // namespace
}  // namespace sandboxd::test
