#include <algorithm>
#include <cerrno>
#include <csignal>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "daemon/jails/denials.h"
#include "daemon/jails/launcher_client.h"
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

// E67: whoever may be a thousand others is still one.
TEST_F(Jails, ChargeSubordinateIdsToTheirOwner) {
  launcher_->profiles.owners = {{2000, 2999, 1000}};
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  open();
  const auto sub = [](uid_t uid) { return Client{uid, uid, 1, {}, false, uid}; };
  Seen a, b, c, d;
  running(a, spec(), sub(2000));
  running(b, spec(), sub(2999));
  running(c, spec(), alice());
  for (const Client& client : {alice(), sub(2000), sub(2500)}) {
    const auto result = supervisor_->run(client, spec(), {});
    ASSERT_EQ(result.index(), 1U) << client.uid;
    EXPECT_EQ(std::get<LimitReached>(std::get<1>(result)).scope, "uid 1000");
  }
  running(d, spec(), sub(3000));
  EXPECT_EQ(d.started, 1);
  EXPECT_EQ(supervisor_->charged(2001), 1000U);
  EXPECT_EQ(std::get<0>(supervisor_->list(sub(2000))).size(), 1U) << "its own alone, whoever pays";
}

TEST_F(Jails, RecordRefusalsOfSubordinateIdsAtTheirOwnersRate) {
  launcher_->profiles.owners = {{2000, 2999, 1000}};
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  open();
  JobSpec wide = spec();
  wide.network = protocol::Network::kHost;
  std::size_t at_once = 0;
  for (uid_t uid = 2000; uid < 2200; ++uid)
    at_once += supervisor_->run(Client{uid, uid, 1, {}, false, uid}, wide, {}).index();
  EXPECT_GE(at_once, 200U - 3 * Denials::kPerSecond) << "only counted";
  EXPECT_EQ(supervisor_->run(bob(), wide, {}).index(), 0U) << "answered when its record is written";
}

// A user with hundreds of starts; another's one goes to the launcher at once.
TEST_F(Jails, StartOneUsersJailBeforeAllThatAnotherWants) {
  constexpr std::ptrdiff_t kMany = 200, kMost = LauncherClient::kMostStarts;
  launcher_->profiles.config.user_connections = kMany;
  launcher_->profiles.config.user_jails = kMany;
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  numbers_ = 2 * kMany;
  open();
  launcher_->silent = true;
  const auto asked = [&] { return std::ranges::count(launcher_->seen, wire::LauncherMessage::kStart); };
  std::vector<Seen> alices(kMany);
  for (Seen& seen : alices) run(seen);
  ASSERT_TRUE(until([&] { return asked() == kMost; }));
  Seen bobs;
  run(bobs, spec(), bob());
  ASSERT_TRUE(until([&] { return asked() > kMost; }));
  EXPECT_EQ(launcher_->last_plan.inside_uid, bob().uid);
  test::run_for(loop_.get(), 50'000);
  EXPECT_EQ(asked(), kMost + 1);
}

TEST_F(Jails, StartAllThatAUserWantsInTheEnd) {
  constexpr std::ptrdiff_t kMany = 100;
  launcher_->profiles.config.user_connections = kMany;
  launcher_->profiles.config.user_jails = kMany;
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  numbers_ = 2 * kMany;
  open();
  launcher_->refuse_start = wire::Failed{"workspace", EINVAL, "no", false};
  const auto asked = [&] { return std::ranges::count(launcher_->seen, wire::LauncherMessage::kStart); };
  std::vector<Seen> all(kMany);
  for (Seen& seen : all) run(seen);
  EXPECT_TRUE(
      until([&] { return std::ranges::all_of(all, [](const Seen& seen) { return seen.failure.has_value(); }); }));
  EXPECT_EQ(asked(), kMany);
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

// A container's root is uid 0 on the public socket. What came by admin.sock is not its own: the files in it may be root's.
TEST_F(Jails, E90_Uid0OfThePublicSocketHasNothingOfTheAdmins) {
  open();
  const Client container{0, 0, 1, {}, false, 10};
  std::vector<std::string> seen;
  const auto events = supervisor_->subscribe(container, 0, [&](const Event& event) { seen.push_back(event.jail); });
  JobSpec named;
  named.name = "build";
  const auto [admins, fake] = session(named, admin());
  EXPECT_TRUE(std::get<0>(supervisor_->list(container)).empty());
  EXPECT_EQ(std::get<0>(supervisor_->list(admin())).size(), 1U);
  for (const std::string& name : {admins, std::string("build")}) {
    EXPECT_EQ(supervisor_->exec(container, name, command(), {}).index(), 1U) << name;
    EXPECT_EQ(supervisor_->jobs(container, name).index(), 1U) << name;
    EXPECT_TRUE(supervisor_->kill(container, name, 9, 0).has_value()) << name;
  }
  // A name of its own that the admin has too: neither stands in for the other.
  const auto [its, its_fake] = session(named, container);
  ASSERT_TRUE(until([&] { return !seen.empty(); }));
  EXPECT_THAT(seen, testing::Each(its)) << "events of the admin's jails";
  EXPECT_EQ(std::get<0>(supervisor_->list(container)).size(), 1U);
  EXPECT_EQ(supervisor_->exec(admin(), "build", command(), {}).index(), 0U);
  EXPECT_EQ(std::get<0>(supervisor_->jobs(admin(), admins)).size(), 1U) << "the admin's own jail is meant";
  EXPECT_EQ(supervisor_->exec(admin(), its, command(), {}).index(), 1U)
      << "nothing of the admin's goes into a stranger's";
}

// The launcher reads a jail's facts itself, thousands of mounts if its user likes: asked without end it would start nobody's jails.
TEST_F(Jails, E95_WhoAsksFasterThanTheLauncherAnswersWaitsForItself) {
  open();
  Seen seen;
  const auto [id, jail] = running(seen);
  launcher_->hold_inspections = true;
  constexpr std::size_t kAsked = 100;
  const std::size_t most = launcher_->profiles.config.user_connections;
  ASSERT_LT(most + 1, kAsked);
  std::size_t answered = 0, refused = 0;
  for (std::size_t i = 0; i < kAsked; ++i) {
    supervisor_->inspect(alice(), id, [&](const auto& answer) { ++(answer.index() == 0 ? answered : refused); });
  }
  EXPECT_EQ(refused, kAsked - 1 - most);
  Seen bobs;
  running(bobs, spec(), bob());
  EXPECT_EQ(launcher_->held_inspections.size(), 1U) << "one of a user's at a time";
  launcher_->hold_inspections = false;
  launcher_->answer_inspection(launcher_->held_inspections.front());
  EXPECT_TRUE(until([&] { return answered == most + 1; })) << answered;
}

}  // namespace
}  // namespace sandboxd::jails
