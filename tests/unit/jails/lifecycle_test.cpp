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

TEST_F(Jails, ReportHowTheJobEnded) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  EXPECT_EQ(seen.started, 1);
  jail->give_streams();
  jail->exit_with(3 << 8);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_TRUE(seen.report);
  EXPECT_EQ(seen.report->verdict, Verdict::kExited);
  EXPECT_EQ(seen.report->exit_code, 3);
  EXPECT_EQ(seen.report->jail, id);
  EXPECT_EQ(seen.report->usage.cpu_user, 20U);
  EXPECT_EQ(seen.report->usage.cpu_system, 10U);
}

TEST_F(Jails, RecordTheIntentBeforeAndTheEndAfter) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  ASSERT_EQ(audit_->of("jail.start", AuditPhase::kIntent).size(), 1U);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kIntent)[0].request, jail->plan.request);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kIntent)[0].uid, 1000U);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  const auto ends = audit_->of("jail.exit", AuditPhase::kResult);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].outcome, "ok");
  EXPECT_EQ(ends[0].jail, id);
  EXPECT_EQ(nlohmann::json::parse(ends[0].detail)["verdict"], "exited");
}

TEST_F(Jails, ReportNothingBeforeItsRecordIsDurable) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  audit_->hold();
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return !audit_->of("jail.exit", AuditPhase::kResult).empty(); }));
  test::run_for(loop_.get(), 50'000);
  EXPECT_FALSE(seen.ended());
  EXPECT_TRUE(launcher_->removed.empty());
  audit_->release();
  EXPECT_TRUE(until([&] { return seen.report.has_value() && state(id) == "ended"; }));
}

TEST_F(Jails, SayWhenTheEndCouldNotBeRecorded) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  audit_->refuse = true;
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Unavailable>(seen), nullptr);
  EXPECT_EQ(failure_as<Unavailable>(seen)->what, "audit");
}

TEST_F(Jails, AreRemovedAndTheirNumberIsUsedAgain) {
  open();
  for (int i = 0; i < 20; ++i) {  // more than there are numbers
    Seen seen;
    auto [id, jail] = running(seen);
    jail->give_streams();
    jail->exit_with(0);
    ASSERT_TRUE(until([&] { return seen.ended() && state(id) == "ended"; })) << i;
  }
  EXPECT_TRUE(launcher_->existing.empty());
}

TEST_F(Jails, AreRemovedAgainWhileTheCgroupIsBusy) {
  open();
  launcher_->busy = 3;
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return state(id) == "ended"; }));
  EXPECT_EQ(launcher_->busy, 0);
}

TEST_F(Jails, AreStuckWhenTheyCannotBeRemovedAndKeepTheirNumber) {
  open(100'000);
  launcher_->busy = 1 << 20;
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return state(id) == "stuck"; }));
  EXPECT_TRUE(seen.report);
  EXPECT_EQ(nlohmann::json::parse(supervisor_->host_info())["pool"]["in_use"], 1);
}

TEST_F(Jails, RelayBothStreams) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  auto inner = jail->give_streams();
  ASSERT_TRUE(write_all(inner[1].get(), "out").ok());
  ASSERT_TRUE(until([&] { return seen.output == "1:out"; }));
  ASSERT_TRUE(write_all(inner[2].get(), "err").ok());
  ASSERT_TRUE(until([&] { return seen.output == "1:out2:err"; }));
}

TEST_F(Jails, ReportAfterTheLastByteOfOutput) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  auto inner = jail->give_streams();
  const std::string text(60000, 'x');
  ASSERT_TRUE(write_all(inner[1].get(), text).ok());
  inner.clear();
  jail->exit_with(0);
  std::string at_report;
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.output.size(), text.size() + 2);
}

TEST_F(Jails, ReportSoonEvenWhenSomeoneKeepsAPipeOpen) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  const auto inner = jail->give_streams();  // kept
  jail->exit_with(0);
  EXPECT_TRUE(until([&] { return seen.ended(); }));
}

TEST_F(Jails, GiveTheJobItsInput) {
  open();
  JobSpec job = spec();
  job.stdin_data = std::string(200000, 'i');
  Seen seen;
  auto [id, jail] = running(seen, job);
  auto inner = jail->give_streams();
  ASSERT_GE(::fcntl(inner[0].get(), F_SETFL, O_NONBLOCK), 0);
  std::size_t got = 0;
  bool end = false;
  ASSERT_TRUE(until([&] {
    char buffer[8192];
    const ssize_t n = ::read(inner[0].get(), buffer, sizeof buffer);
    if (n > 0) got += static_cast<std::size_t>(n);
    end = n == 0;
    return end;
  }));
  EXPECT_EQ(got, 200000U);
}

TEST_F(Jails, LetTheJobWaitForASlowClient) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  auto inner = jail->give_streams();
  supervisor_->pause_output(id, true);
  ASSERT_TRUE(write_all(inner[1].get(), "later").ok());
  test::run_for(loop_.get(), 50'000);
  EXPECT_EQ(seen.output, "");
  supervisor_->pause_output(id, false);
  EXPECT_TRUE(until([&] { return seen.output == "1:later"; }));
}

TEST_F(Jails, HandTheDescriptorsOverOnRequest) {
  open();
  JobSpec job = spec();
  job.stdio = protocol::Stdio::kPass;
  Seen seen;
  auto [id, jail] = running(seen, job);
  EXPECT_EQ(seen.started, 0);
  auto inner = jail->give_streams();
  ASSERT_TRUE(until([&] { return seen.started == 1; }));
  ASSERT_EQ(seen.fds.size(), 3U);
  ASSERT_TRUE(write_all(inner[1].get(), "x").ok());
  char byte = 0;
  EXPECT_EQ(::read(seen.fds[1].get(), &byte, 1), 1);
}

}  // namespace
}  // namespace sandboxd::jails
