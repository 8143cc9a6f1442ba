#include <csignal>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
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

// ---- programs that come and go

TEST_F(Jails, StartNothingWithoutTheAuditProgram) {
  open();
  audit_->stop();
  ASSERT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["audit"] == "away"; }));
  const auto result = supervisor_->run(alice(), spec(), {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<Unavailable>(std::get<1>(result)).what, "audit");
}

TEST_F(Jails, KeepResultsUntilTheAuditProgramIsBack) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  audit_->stop();
  ASSERT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["audit"] == "away"; }));
  jail->give_streams();
  jail->exit_with(0);
  test::run_for(loop_.get(), 50'000);
  EXPECT_FALSE(seen.ended());
  audit_->listen();
  ASSERT_TRUE(until([&] { return seen.report.has_value(); }));
  EXPECT_EQ(audit_->of("jail.exit", AuditPhase::kResult).size(), 1U);
}

TEST_F(Jails, SendAResultThatWasNotAnsweredAgainUnderItsId) {
  open();
  Seen first, second;
  auto [id, jail] = running(first);
  auto [other, neighbour] = running(second);
  audit_->hold();
  for (const auto& one : {jail, neighbour}) {
    one->give_streams();
    one->exit_with(0);
  }
  ASSERT_TRUE(until([&] { return audit_->of("jail.exit", AuditPhase::kResult).size() == 2; }));
  audit_->hang_up();
  ASSERT_TRUE(until([&] { return audit_->of("jail.exit", AuditPhase::kResult).size() == 4; }));
  const auto records = audit_->of("jail.exit", AuditPhase::kResult);
  EXPECT_FALSE(records[0].id.empty());
  EXPECT_NE(records[0].id, records[1].id);
  EXPECT_EQ(records[0].id, records[2].id);
  EXPECT_EQ(records[1].id, records[3].id);
}

TEST_F(Jails, SurviveARestartOfTheLauncher) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  launcher_->seen.clear();
  launcher_->hang_up();
  ASSERT_TRUE(until([&] { return !launcher_->seen.empty() && ready(); }));
  EXPECT_EQ(state(id), "running");
  EXPECT_TRUE(launcher_->killed.empty());
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return seen.report.has_value() && state(id) == "ended"; }));
}

TEST_F(Jails, FailStartsThatWereUnderWayWhenTheLauncherWent) {
  open();
  launcher_->silent = true;
  Seen seen;
  run(seen);
  ASSERT_TRUE(until([&] { return launcher_->last_plan.number != 0; }));
  launcher_->hang_up();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Unavailable>(seen), nullptr);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kResult).at(0).outcome, "unknown");
  EXPECT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["pool"]["in_use"] == 0; }));
}

TEST_F(Jails, EndWhatAnEarlierLifeLeft) {
  launcher_->existing = {4, 9};
  open();
  ASSERT_TRUE(until([&] { return launcher_->existing.empty(); }));
  EXPECT_THAT(launcher_->killed, ElementsAre(4, 9));
  const auto records = audit_->of("jail.exit", AuditPhase::kResult);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].outcome, "unknown");
}

TEST_F(Jails, TakeReloadedProfiles) {
  open();
  launcher_->profiles.profiles[0].user_root = false;
  launcher_->profiles.profiles[0].hash = wire::hash_of(launcher_->profiles.profiles[0]);
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  launcher_->send_profiles();
  JobSpec job = spec();
  job.user_root = true;
  EXPECT_TRUE(until([&] { return supervisor_->explain(alice(), job).index() == 1; }));
}

TEST_F(Jails, KeepTheProfilesTheyHaveWhenNewOnesAreBroken) {
  open();
  launcher_->profiles.profiles[0].user_root = false;  // its hash is wrong now
  launcher_->send_profiles();
  test::run_for(loop_.get(), 30'000);
  JobSpec job = spec();
  job.user_root = true;
  EXPECT_EQ(supervisor_->explain(alice(), job).index(), 0U);
}

TEST_F(Jails, AllEndWithTheDaemonAndSayWhy) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  bool done = false;
  supervisor_->end([&] { done = true; });
  EXPECT_FALSE(done);
  const auto refused = supervisor_->run(alice(), spec(), {});
  ASSERT_EQ(refused.index(), 1U);
  EXPECT_EQ(std::get<Unavailable>(std::get<1>(refused)).what, "sandboxd");
  ASSERT_TRUE(until([&] { return done; }));
  ASSERT_TRUE(seen.report);
  EXPECT_EQ(seen.report->detail, "the daemon is ending");
  EXPECT_TRUE(launcher_->existing.empty());
}

TEST_F(Jails, GetSigtermAndTimeBeforeTheDaemonKillsThem) {
  open();
  Seen polite, deaf;
  auto [first, willing] = running(polite);
  auto [second, unwilling] = running(deaf);
  for (const auto& jail : {willing, unwilling}) jail->give_streams();
  bool done = false;
  const std::uint64_t before = monotonic_usec();
  supervisor_->end([&] { done = true; });
  ASSERT_TRUE(until([&] { return !willing->signals.empty() && !unwilling->signals.empty(); }));
  EXPECT_THAT(willing->signals, ElementsAre(SIGTERM));
  EXPECT_THAT(unwilling->signals, ElementsAre(SIGTERM));
  willing->exit_with(0);
  ASSERT_TRUE(until([&] { return done; }));
  EXPECT_GE(monotonic_usec() - before, 2'000'000U);
  EXPECT_EQ(polite.report->verdict, Verdict::kExited);
  EXPECT_EQ(polite.report->exit_code, 0);
  EXPECT_EQ(deaf.report->verdict, Verdict::kKilled);
}

TEST_F(Jails, EndAtOnceWhenThereAreNone) {
  open();
  bool done = false;
  supervisor_->end([&] { done = true; });
  EXPECT_TRUE(done);
}

// ---- who sees what

TEST_F(Jails, AreSeenByTheirUserAndByAdminsOnly) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  EXPECT_EQ(std::get<0>(supervisor_->list(alice())).size(), 1U);
  EXPECT_EQ(std::get<0>(supervisor_->list(bob())).size(), 0U);
  EXPECT_EQ(std::get<0>(supervisor_->list(admin())).size(), 1U);
  const auto failure = supervisor_->kill(bob(), id, SIGKILL, 0);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(std::holds_alternative<NotFound>(*failure));
  EXPECT_EQ(state(id), "running");
}

TEST_F(Jails, AreFoundByName) {
  open();
  JobSpec job = spec();
  job.name = "build";
  Seen seen;
  auto [id, jail] = running(seen, job);
  std::optional<JailInfo> info;
  supervisor_->inspect(alice(), "build", [&](auto result) { info = std::get<0>(result); });
  ASSERT_TRUE(until([&] { return info.has_value(); }));
  EXPECT_EQ(info->jail, id);
  ASSERT_EQ(info->in_force.size(), 1U);
  EXPECT_EQ(info->in_force[0].value, "now");  // read back anew
}

TEST_F(Jails, AnswerWaitsWhenTheyEnd) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  std::optional<JobReport> report;
  supervisor_->wait(alice(), id, [&](auto result) { report = std::get<0>(result); });
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return report.has_value(); }));
  report.reset();
  supervisor_->wait(alice(), id, [&](auto result) { report = std::get<0>(result); });
  EXPECT_TRUE(report);
}

TEST_F(Jails, AreForgottenOnRequestOnceTheyHaveEnded) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  std::optional<Failure> failure;
  bool done = false;
  const auto note = [&](std::optional<Failure> f) {
    failure = std::move(f);
    done = true;
  };
  supervisor_->remove(alice(), id, false, note);
  ASSERT_TRUE(done && failure);
  done = false;
  supervisor_->remove(alice(), id, true, note);
  ASSERT_TRUE(until([&] { return done; }));
  EXPECT_FALSE(failure);
  EXPECT_EQ(state(id), "");
}

TEST_F(Jails, TellTheirStoryInEvents) {
  open();
  std::vector<std::string> kinds, others;
  const auto mine = supervisor_->subscribe(alice(), 0, [&](const Event& event) { kinds.push_back(event.kind); });
  const auto foreign = supervisor_->subscribe(bob(), 0, [&](const Event& event) { others.push_back(event.kind); });
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return !kinds.empty() && kinds.back() == "ended"; }));
  EXPECT_THAT(kinds, ElementsAre("starting", "started", "exited", "ended"));
  EXPECT_TRUE(others.empty());
}

}  // namespace
}  // namespace sandboxd::jails
