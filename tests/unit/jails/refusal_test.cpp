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

// ---- refusals

TEST_F(Jails, RecordARefusalBeforeTheClientHearsIt) {
  open();
  JobSpec job = spec();
  job.network = protocol::Network::kHost;
  audit_->hold();
  Seen seen;
  run(seen, job);
  ASSERT_TRUE(until([&] { return !audit_->records.empty(); }));
  test::run_for(loop_.get(), 30'000);
  EXPECT_FALSE(seen.ended());
  audit_->release();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Denied>(seen), nullptr);
  EXPECT_EQ(failure_as<Denied>(seen)->rule, "network");
  EXPECT_EQ(audit_->records[0].outcome, "deny");
}

TEST_F(Jails, CollapseAFloodOfRefusals) {
  open();
  JobSpec job = spec();
  job.network = protocol::Network::kHost;
  std::vector<std::unique_ptr<Seen>> all;
  int at_once = 0;
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::make_unique<Seen>());
    const auto result = supervisor_->run(alice(), job, observe(*all.back()));
    if (result.index() == 1) ++at_once;
  }
  ASSERT_TRUE(until([&] { return all.front()->ended(); }));
  test::run_for(loop_.get(), 50'000);
  EXPECT_LE(audit_->records.size(), 40U);
  EXPECT_GE(at_once, 160);
}

TEST_F(Jails, PassOnWhyTheLauncherRefused) {
  open();
  launcher_->refuse_start = wire::Failed{"claim", EPERM, "the file is not the caller's", true};
  Seen seen;
  const std::string id = run(seen);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Denied>(seen), nullptr);
  ASSERT_EQ(audit_->of("jail.start", AuditPhase::kResult).size(), 1U);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kResult)[0].outcome, "deny");
  EXPECT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["pool"]["in_use"] == 0; }));
}

TEST_F(Jails, PassOnTheStepThatFailed) {
  open();
  launcher_->refuse_start = wire::Failed{"mounts", ENODEV, "fsopen", false};
  Seen seen;
  run(seen);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<SetupFailed>(seen), nullptr);
  EXPECT_EQ(failure_as<SetupFailed>(seen)->step, "mounts");
}

TEST_F(Jails, NameTheMemberThatIsWrong) {
  open();
  JobSpec job = spec();
  job.hostname = "-";
  const auto result = supervisor_->run(alice(), job, {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<InvalidArgument>(std::get<1>(result)).path, "/parameters/spec/hostname");
}

TEST_F(Jails, RefuseAProfileThatIsNotThere) {
  open();
  JobSpec job = spec();
  job.profile = "nope";
  const auto result = supervisor_->run(alice(), job, {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<NotFound>(std::get<1>(result)).name, "nope");
}

TEST_F(Jails, HoldEachUserToTheirNumberOfJails) {
  open();
  Seen a, b, c, d;
  running(a);
  running(b);
  running(c);
  const auto result = supervisor_->run(alice(), spec(), {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<LimitReached>(std::get<1>(result)).most, 3U);
  running(d, spec(), bob());
  EXPECT_EQ(d.started, 1);
}

TEST_F(Jails, HoldEachUserToAShareOfTheStarts) {
  launcher_->profiles.config.user_connections = 2;
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  open();
  launcher_->silent = true;
  Seen a, b, c;
  run(a);
  run(b);
  const auto result = supervisor_->run(alice(), spec(), {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<LimitReached>(std::get<1>(result)).most, 2U);
  EXPECT_EQ(supervisor_->run(bob(), spec(), observe(c)).index(), 0U);
}

TEST_F(Jails, RefuseANameThatIsInUse) {
  open();
  JobSpec job = spec();
  job.name = "build";
  Seen seen, other;
  auto [id, jail] = running(seen, job);
  EXPECT_EQ(supervisor_->run(alice(), job, {}).index(), 1U);
  running(other, job, bob());
  EXPECT_EQ(other.started, 1);
}

}  // namespace
}  // namespace sandboxd::jails
