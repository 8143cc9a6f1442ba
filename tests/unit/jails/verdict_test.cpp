#include <csignal>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "tests/unit/jails/fixture.h"

namespace sandboxd::jails {
namespace {

using protocol::JailInfo;
using protocol::JobReport;
using protocol::JobSpec;
using protocol::Verdict;
using test::FakeJail;
using test::Jails;
using test::Seen;
using testing::ElementsAre;
using wire::AuditPhase;

// ---- verdicts

TEST_F(Jails, CallAJobEndedByAForbiddenCallSeccomp) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(SIGSYS);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kSeccomp);
  EXPECT_EQ(seen.report->signal, SIGSYS);
}

TEST_F(Jails, CallAJobEndedByItsOwnSignalSignalled) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(SIGSEGV);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kSignalled);
  EXPECT_EQ(seen.report->signal, SIGSEGV);
}

TEST_F(Jails, CallADeadlineTimeout) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->say(wire::InitEvent::kWallTime);
  jail->die();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kTimeoutWall);
}

TEST_F(Jails, KeepTheDeadlineThemselvesWhenJailInitDoesNot) {
  open();
  JobSpec job = spec();
  job.wall_time = 1;
  Seen seen;
  auto [id, jail] = running(seen, job);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kTimeoutWall);
}

TEST_F(Jails, TellWhyTheJobCouldNotBeExecuted) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->say(wire::InitEvent::kJobFailed, 0, ENOENT, "exec", "execve '/nope'");
  jail->die();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  const auto* failed = failure_as<SetupFailed>(seen);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->step, "exec");
  EXPECT_EQ(failed->code, ENOENT);
  std::optional<JobReport> waited;
  supervisor_->wait(alice(), id, [&](auto result) { waited = std::get<0>(result); });
  ASSERT_TRUE(waited);
  EXPECT_EQ(waited->verdict, Verdict::kSetupFailed);
}

TEST_F(Jails, CallAnEndWithoutAWordKilled) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->die();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kKilled);
}

TEST_F(Jails, AreStuckWhenCgroupKillDoesNotEndThem) {
  open(100'000);
  Seen seen;
  auto [id, jail] = running(seen);
  jail->kill_works = false;
  EXPECT_FALSE(supervisor_->kill(alice(), id, SIGKILL, 0));
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kStuck);
  EXPECT_EQ(state(id), "stuck");
  jail->die();  // it could, in the end
  EXPECT_TRUE(until([&] { return state(id) == "ended"; }));
}

// ---- the kill ladder

TEST_F(Jails, SignalTheJobFirst) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  EXPECT_FALSE(supervisor_->kill(alice(), id, SIGTERM, 4'000'000));
  ASSERT_TRUE(until([&] { return !jail->signals.empty(); }));
  EXPECT_THAT(jail->signals, ElementsAre(SIGTERM));
  jail->exit_with(SIGTERM);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kKilled);
  EXPECT_EQ(seen.report->signal, SIGTERM);
}

TEST_F(Jails, KillTheCgroupAfterTheGrace) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  EXPECT_FALSE(supervisor_->kill(alice(), id, SIGTERM, 50'000));
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_THAT(jail->signals, ElementsAre(SIGTERM));
  EXPECT_EQ(seen.report->verdict, Verdict::kKilled);
}

TEST_F(Jails, DieWithTheirClient) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  supervisor_->pause_output(id, true);
  supervisor_->disconnected(alice());
  ASSERT_TRUE(until([&] { return state(id) == "ended"; }));
  EXPECT_FALSE(seen.ended());
  const auto ends = audit_->of("jail.exit", AuditPhase::kResult);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(nlohmann::json::parse(ends[0].detail)["detail"], "its client went away");
}

TEST_F(Jails, DieWithAClientThatLeftDuringTheStart) {
  open();
  Seen seen;
  const std::string id = run(seen);
  supervisor_->disconnected(alice());
  EXPECT_TRUE(until([&] { return state(id) == "ended"; }));
  EXPECT_EQ(seen.started, 0);
}

}  // namespace
}  // namespace sandboxd::jails
