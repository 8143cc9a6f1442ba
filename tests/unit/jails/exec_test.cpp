// Execs in a live jail: nothing is released before its intent is on record, and jail-init's word is taken in order only.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <algorithm>

#include "tests/unit/jails/fixture.h"

namespace sandboxd::jails {
namespace {

using test::FakeJail;
using test::Seen;
using wire::InitCommand;
using wire::InitEvent;
using Exec = test::Jails;

TEST_F(Exec, IsReleasedWhenItsIntentIsOnRecord) {
  open();
  const auto [id, jail] = session();
  audit_->hold();
  Seen seen;
  const std::uint32_t job = exec(seen, id);
  ASSERT_TRUE(until([&] { return jail->was_told(InitCommand::kExec, job); })) << "it is prepared meanwhile";
  jail->say(InitEvent::kJobReady, 0, 0, "", "", job);
  test::run_for(loop_.get(), 50'000);
  EXPECT_FALSE(jail->was_told(InitCommand::kRelease, job));
  EXPECT_EQ(seen.started, 0);
  audit_->release();
  EXPECT_TRUE(until([&] { return jail->was_told(InitCommand::kRelease, job); }));
  EXPECT_EQ(seen.started, 1);
  EXPECT_EQ(audit_->of("jail.exec", wire::AuditPhase::kIntent).size(), 1U);
}

TEST_F(Exec, IsKilledWhenItsIntentCantBeWritten) {
  open();
  const auto [id, jail] = session();
  audit_->refuse = true;
  Seen seen;
  const std::uint32_t job = exec(seen, id);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_NE(failure_as<Unavailable>(seen), nullptr);
  EXPECT_TRUE(until([&] { return jail->was_told(InitCommand::kKillJob, job); }));
  EXPECT_FALSE(jail->was_told(InitCommand::kRelease, job));
}

TEST_F(Exec, ReportsHowItEndedAndWhatOutlivedIt) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  const std::uint32_t job = executing(seen, id, *jail);
  jail->say(InitEvent::kJobStarted, 5, 0, "", "", job);
  jail->say(InitEvent::kJobExited, 3 << 8, 0, "", "", job);
  test::run_for(loop_.get(), 20'000);
  EXPECT_FALSE(seen.ended()) << "what outlived it is not gone";
  jail->say(InitEvent::kJobGone, 2, 0, "", "", job);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_TRUE(seen.report);
  EXPECT_EQ(seen.report->exit_code, 3);
  EXPECT_EQ(seen.report->survivors, 2U);
  EXPECT_EQ(seen.report->job, job);
  EXPECT_EQ(state(id), "running");
  EXPECT_TRUE(until([&] { return audit_->of("jail.exec", wire::AuditPhase::kResult).size() == 1; }));
}

TEST_F(Exec, FailsWithTheStepThatJailInitNames) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  const std::uint32_t job = executing(seen, id, *jail);
  jail->say(InitEvent::kJobFailed, 0, ENOENT, "exec", "/bin/no", job);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  const auto* failed = failure_as<SetupFailed>(seen);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->step, "exec");
  EXPECT_EQ(failed->code, ENOENT);
  EXPECT_EQ(state(id), "running");
}

TEST_F(Exec, OutputIsRelayedAndEndsWithItsPipes) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  const std::uint32_t job = exec(seen, id, command(protocol::Stdio::kRelay));
  ASSERT_TRUE(until([&] { return jail->was_told(InitCommand::kExec, job); }));
  auto inner = jail->give_streams(job);
  jail->say(InitEvent::kJobReady, 0, 0, "", "", job);
  ASSERT_TRUE(until([&] { return jail->was_told(InitCommand::kRelease, job); }));
  ASSERT_EQ(::write(inner[1].get(), "out", 3), 3);
  ASSERT_EQ(::write(inner[2].get(), "err", 3), 3);
  inner.clear();
  jail->say(InitEvent::kJobExited, 0, 0, "", "", job);
  jail->say(InitEvent::kJobGone, 0, 0, "", "", job);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_NE(seen.output.find("1:out"), std::string::npos);
  EXPECT_NE(seen.output.find("2:err"), std::string::npos);
}

TEST_F(Exec, PassHandsTheJobsOwnPipesOver) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  const std::uint32_t job = exec(seen, id, command(protocol::Stdio::kPass));
  ASSERT_TRUE(until([&] { return jail->was_told(InitCommand::kExec, job); }));
  auto inner = jail->give_streams(job);
  jail->say(InitEvent::kJobReady, 0, 0, "", "", job);
  ASSERT_TRUE(until([&] { return seen.started == 1; }));
  ASSERT_EQ(seen.fds.size(), 3U);
  ASSERT_EQ(::write(seen.fds[0].get(), "in", 2), 2);
  char got[8];
  EXPECT_EQ(::read(inner[0].get(), got, sizeof got), 2);
}

TEST_F(Exec, ATerminalIsRelayedBothWaysAndResized) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  protocol::ExecSpec what = command(protocol::Stdio::kPass);
  what.tty = protocol::WindowSize{30, 100};
  const std::uint32_t job = exec(seen, id, what);
  ASSERT_TRUE(until([&] { return jail->was_told(InitCommand::kExec, job); }));
  const UniqueFd inner = jail->give_terminal(job);
  jail->say(InitEvent::kJobReady, 0, 0, "", "", job);
  ASSERT_TRUE(until([&] { return seen.started == 1; }));
  ASSERT_EQ(seen.fds.size(), 2U);
  ASSERT_EQ(::write(seen.fds[0].get(), "ls\n", 3), 3);
  std::string shown;
  ASSERT_TRUE(until([&] {
    int waiting = 0;
    ::ioctl(inner.get(), FIONREAD, &waiting);
    return waiting == 3;
  }));
  ASSERT_FALSE(supervisor_->resize(alice(), id, job, {40, 120}));
  winsize size{};
  ASSERT_EQ(::ioctl(inner.get(), TIOCGWINSZ, &size), 0);
  EXPECT_EQ(size.ws_row, 40);
  EXPECT_EQ(size.ws_col, 120);
}

TEST_F(Exec, E93_WhoAttachedAndWentLeavesNothingBehind) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  protocol::ExecSpec what = command(protocol::Stdio::kRelay);
  what.detach = true;
  const std::uint32_t job = exec(seen, id, what);
  ASSERT_TRUE(until([&] { return jail->was_told(InitCommand::kExec, job); }));
  auto inner = jail->give_streams(job);
  jail->say(InitEvent::kJobReady, 0, 0, "", "", job);
  ASSERT_TRUE(until([&] { return seen.started == 1; }));
  Seen unread;
  std::vector<std::weak_ptr<int>> kept;
  for (int i = 0; i < 100; ++i) {
    const auto mark = std::make_shared<int>(i);
    kept.emplace_back(mark);
    JobObserver observer = observe_job(unread);
    observer.report = [mark](const protocol::JobReport&) {};
    ASSERT_NE(supervisor_->attach(alice(), id, job, 0, std::move(observer)), nullptr);
    unread.fds.clear();
  }
  const auto alive = std::ranges::count_if(kept, [](const auto& weak) { return !weak.expired(); });
  EXPECT_LE(alive, 1) << "of a hundred, until the job's end";
}

TEST_F(Exec, TwoClientsAreAttachedAndOneThatGoesIsForgotten) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  protocol::ExecSpec what = command(protocol::Stdio::kRelay);
  what.detach = true;
  const std::uint32_t job = exec(seen, id, what);
  ASSERT_TRUE(until([&] { return jail->was_told(InitCommand::kExec, job); }));
  auto inner = jail->give_streams(job);
  jail->say(InitEvent::kJobReady, 0, 0, "", "", job);
  ASSERT_TRUE(until([&] { return seen.started == 1; }));
  ASSERT_EQ(::write(inner[1].get(), "early", 5), 5);
  test::run_for(loop_.get(), 20'000);
  Seen first, second;
  auto one = supervisor_->attach(alice(), id, job, std::nullopt, observe_job(first));
  auto two = supervisor_->attach(alice(), id, job, 0, observe_job(second));
  ASSERT_EQ(first.fds.size(), 3U);
  ASSERT_EQ(second.fds.size(), 3U);
  one.reset();
  ASSERT_EQ(::write(inner[1].get(), "late", 4), 4);
  test::run_for(loop_.get(), 20'000);
  char got[32] = {};
  EXPECT_EQ(std::string(got, static_cast<std::size_t>(::read(first.fds[1].get(), got, sizeof got))), "early");
  EXPECT_EQ(std::string(got, static_cast<std::size_t>(::read(second.fds[1].get(), got, sizeof got))), "late");
  const auto infos = std::get<0>(supervisor_->jobs(alice(), id));
  ASSERT_EQ(infos.size(), 1U);
  EXPECT_EQ(infos[0].attached, 1U);
  EXPECT_TRUE(infos[0].detached);
}

TEST_F(Exec, EndsWithItsClientAndTheJailLives) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  const std::uint32_t job = executing(seen, id, *jail);
  supervisor_->disconnected(alice());
  EXPECT_TRUE(until([&] { return jail->was_told(InitCommand::kKillJob, job); }));
  EXPECT_EQ(state(id), "running");
}

TEST_F(Exec, DetachedOutlivesItsClient) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  protocol::ExecSpec what = command();
  what.detach = true;
  const std::uint32_t job = executing(seen, id, *jail, what);
  supervisor_->disconnected(alice());
  test::run_for(loop_.get(), 30'000);
  EXPECT_FALSE(jail->was_told(InitCommand::kKillJob, job));
}

TEST_F(Exec, IsTheOwnersAlone) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  auto result = supervisor_->exec(bob(), id, command(), observe_job(seen));
  ASSERT_EQ(result.index(), 1U);
  EXPECT_NE(std::get_if<NotFound>(&std::get<1>(result)), nullptr);
  result = supervisor_->exec(admin(), id, command(), observe_job(seen));
  ASSERT_EQ(result.index(), 1U);
  EXPECT_NE(std::get_if<Denied>(&std::get<1>(result)), nullptr);
}

TEST_F(Exec, LimitsAboveTheJailsAreDenied) {
  open();
  protocol::JobSpec spec;
  spec.wall_time = 10'000'000;
  const auto [id, jail] = session(spec);
  protocol::ExecSpec what = command();
  what.wall_time = 11'000'000;
  Seen seen;
  const auto result = supervisor_->exec(alice(), id, what, observe_job(seen));
  ASSERT_EQ(result.index(), 1U);
  EXPECT_NE(std::get_if<Denied>(&std::get<1>(result)), nullptr);
}

TEST_F(Exec, AFewArePreparedAtATimeAndAllGetTheirTurn) {
  open();
  const auto [id, jail] = session();
  std::vector<Seen> seen(40);
  for (Seen& one : seen) exec(one, id);
  test::run_for(loop_.get(), 50'000);
  EXPECT_LT(jail->plans, 16U);
  std::size_t answered = 0;
  ASSERT_TRUE(until([&] {
    const auto commands = jail->commands;
    for (; answered < commands.size(); ++answered) {
      const auto& told = commands[answered];
      if (told.command == InitCommand::kExec) jail->say(InitEvent::kJobReady, 0, 0, "", "", told.job);
      if (told.command != InitCommand::kRelease) continue;
      jail->say(InitEvent::kJobStarted, 9, 0, "", "", told.job);
      jail->say(InitEvent::kJobExited, 0, 0, "", "", told.job);
      jail->say(InitEvent::kJobGone, 0, 0, "", "", told.job);
    }
    return std::ranges::all_of(seen, [](const Seen& one) { return one.report.has_value(); });
  }));
  EXPECT_EQ(state(id), "running");
}

TEST_F(Exec, EndsWithItsJail) {
  open();
  const auto [id, jail] = session();
  Seen seen;
  (void)executing(seen, id, *jail);
  jail->die();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_TRUE(seen.report);
  EXPECT_EQ(seen.report->verdict, protocol::Verdict::kKilled);
}

class HostileExec : public test::Jails {
 protected:
  void expect_killed(const std::function<void(FakeJail&, std::uint32_t job)>& act,
                     const protocol::ExecSpec& what = command()) {
    open();
    const auto [id, jail] = session();
    Seen seen;
    const std::uint32_t job = exec(seen, id, what);
    ASSERT_TRUE(until([&, &j = jail] { return j->was_told(InitCommand::kExec, job); }));
    act(*jail, job);
    EXPECT_TRUE(until([&, &name = id] { return state(name) != "running"; }));
    EXPECT_TRUE(until([&] { return seen.ended(); }));
  }
};

TEST_F(HostileExec, AStartThatWasNotReleasedEndsTheJail) {
  // It waits for its streams.
  expect_killed([](FakeJail& jail, std::uint32_t job) { jail.say(InitEvent::kJobStarted, 1, 0, "", "", job); },
                command(protocol::Stdio::kRelay));
}
TEST_F(HostileExec, AJobThatNobodyAskedForEndsTheJail) {
  expect_killed([](FakeJail& jail, std::uint32_t job) { jail.say(InitEvent::kJobReady, 0, 0, "", "", job + 1); });
}
TEST_F(HostileExec, StreamsThatNobodyAskedForEndTheJail) {
  expect_killed([](FakeJail& jail, std::uint32_t job) { jail.give_streams(job); });
}
TEST_F(HostileExec, AGoneJobThatDidNotEndEndsTheJail) {
  expect_killed([](FakeJail& jail, std::uint32_t job) { jail.say(InitEvent::kJobGone, 0, 0, "", "", job); });
}
TEST_F(HostileExec, AnEndOfTheFirstJobThatThereIsNotEndsTheJail) {
  expect_killed([](FakeJail& jail, std::uint32_t) { jail.say(InitEvent::kJobExited, 0); });
}
TEST_F(HostileExec, AFileInPlaceOfATerminalEndsTheJail) {
  expect_killed([](FakeJail& jail, std::uint32_t job) {
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    wire::InitEventRecord record{};
    record.event = InitEvent::kStreams;
    record.job = job;
    const int fds[] = {null.get()};
    jail.say_raw({reinterpret_cast<const std::uint8_t*>(&record), sizeof record}, fds);
  });
}

}  // namespace
}  // namespace sandboxd::jails
