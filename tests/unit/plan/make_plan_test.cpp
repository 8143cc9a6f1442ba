#include "daemon/plan/make_plan.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "daemon/wire/narrow.h"

namespace sandboxd::plan {
namespace {

using protocol::JobSpec;
using testing::Contains;
using testing::ElementsAre;
using testing::IsSupersetOf;

wire::Profile some_profile() {
  wire::Profile profile;
  profile.name = "default";
  profile.hash.fill(5);
  profile.filter.assign(8, 0);
  profile.workspace = wire::bit(wire::Access::kRo) | wire::bit(wire::Access::kRw);
  profile.tmpfs = {{"/tmp", 64 << 20, 4096, 01777}};
  profile.env = {{"PATH", "/usr/bin"}, {"TERM", "dumb"}};
  profile.limits = no_limits();
  profile.limits.wall_time = 60'000'000;
  profile.limits.nofile = 1024;
  profile.limits.pids_max = 256;
  profile.limits.scratch_max = 128 << 20;
  profile.limits.inodes_max = 16384;
  return profile;
}

// "default" asks for more than any profile here allows; "small" for less.
const std::vector<wire::Preset>& presets() {
  static const std::vector<wire::Preset> all = [] {
    wire::Preset normal{"default", "d", no_limits()};
    normal.limits.nofile = 4096;
    normal.limits.pids_max = 4096;
    normal.limits.cpu_weight = 100;
    wire::Preset small{"small", "d", normal.limits};
    small.limits.nofile = 64;
    small.limits.pids_max = 8;
    small.limits.memory_max = 1 << 20;
    small.limits.scratch_max = 1 << 20;
    return std::vector<wire::Preset>{normal, small};
  }();
  return all;
}

Context some_context() { return {1000, 1001, "alice", 7, "j-abc", "r-1", false, presets()}; }

JobSpec some_spec() {
  JobSpec spec;
  spec.argv = {"/bin/true"};
  return spec;
}

wire::JailPlan plan_of(const JobSpec& spec, const wire::Profile& profile = some_profile(),
                       const Context& context = some_context()) {
  const Outcome outcome = make_plan(spec, profile, context);
  const auto* plan = std::get_if<wire::JailPlan>(&outcome);
  EXPECT_NE(plan, nullptr);
  return plan == nullptr ? wire::JailPlan{} : *plan;
}

Denied denial_of(const JobSpec& spec, const wire::Profile& profile = some_profile()) {
  const Outcome outcome = make_plan(spec, profile, some_context());
  const auto* denied = std::get_if<Denied>(&outcome);
  return denied == nullptr ? Denied{} : *denied;
}

std::string wrong_path_of(const JobSpec& spec) {
  const Outcome outcome = make_plan(spec, some_profile(), some_context());
  const auto* wrong = std::get_if<InvalidArgument>(&outcome);
  return wrong == nullptr ? "" : wrong->path;
}

TEST(MakePlan, CarriesWhoAndWhich) {
  const wire::JailPlan plan = plan_of(some_spec());
  EXPECT_EQ(plan.number, 7U);
  EXPECT_EQ(plan.jail, "j-abc");
  EXPECT_EQ(plan.request, "r-1");
  EXPECT_EQ(plan.inside_uid, 1000U);
  EXPECT_EQ(plan.inside_gid, 1001U);
  EXPECT_EQ(plan.user_name, "alice");
  EXPECT_EQ(plan.profile_hash, some_profile().hash);
}

TEST(MakePlan, ShowsRootOnRequest) {
  JobSpec spec = some_spec();
  spec.user_root = true;
  const wire::JailPlan plan = plan_of(spec);
  EXPECT_EQ(plan.inside_uid, 0U);
  EXPECT_EQ(plan.inside_gid, 0U);
  EXPECT_EQ(plan.user_name, "root");
}

TEST(MakePlan, GivesNobodyElseTheNameOfRoot) {
  Context context = some_context();
  context.user_name = "root";
  EXPECT_EQ(plan_of(some_spec(), some_profile(), context).user_name, "user");
}

TEST(MakePlan, ReplacesANameThatPasswdCannotHold) {
  Context context = some_context();
  context.user_name = "DOM\\alice:0";
  EXPECT_EQ(plan_of(some_spec(), some_profile(), context).user_name, "user");
}

TEST(MakePlan, DeniesRootWhereTheProfileDoes) {
  wire::Profile profile = some_profile();
  profile.user_root = false;
  JobSpec spec = some_spec();
  spec.user_root = true;
  EXPECT_EQ(denial_of(spec, profile).rule, "user");
}

TEST(MakePlan, LaysTheRequestsEnvironmentOverTheProfiles) {
  JobSpec spec = some_spec();
  spec.env = {{"TERM", "xterm"}, {"CI", "1"}};
  EXPECT_THAT(plan_of(spec).job.env, ElementsAre("PATH=/usr/bin", "HOME=/tmp", "LANG=C.UTF-8", "TERM=xterm", "CI=1"));
}

TEST(MakePlan, StartsInTheWorkspace) {
  JobSpec spec = some_spec();
  spec.token.emplace();
  spec.workspace = protocol::Bind{0, "/home/alice/x", protocol::Access::kRw};
  EXPECT_EQ(plan_of(spec).job.workdir, "/home/alice/x");
  EXPECT_TRUE(plan_of(spec).binds.at(0).workspace);
}

TEST(MakePlan, StartsAtTheTopWithoutAWorkspace) { EXPECT_EQ(plan_of(some_spec()).job.workdir, "/"); }

TEST(MakePlan, TakesTheRequestsWorkdir) {
  JobSpec spec = some_spec();
  spec.workdir = "/usr";
  EXPECT_EQ(plan_of(spec).job.workdir, "/usr");
}

TEST(MakePlan, MountsInnerBindsAfterOuterOnes) {
  JobSpec spec = some_spec();
  spec.token.emplace();
  spec.binds = {{1, "/w/a/b", protocol::Access::kRo}, {2, "/w/a", protocol::Access::kRo}};
  spec.workspace = protocol::Bind{0, "/w", protocol::Access::kRw};
  std::vector<std::string> targets;
  for (const wire::Bind& bind : plan_of(spec).binds) targets.push_back(bind.target);
  EXPECT_THAT(targets, ElementsAre("/w", "/w/a", "/w/a/b"));
}

TEST(MakePlan, DeniesAWritableBindWithWhatIsAllowed) {
  JobSpec spec = some_spec();
  spec.token.emplace();
  spec.binds = {{0, "/data", protocol::Access::kRw}};
  EXPECT_EQ(denial_of(spec), (Denied{"binds", "ro"}));
}

TEST(MakePlan, DeniesTheHostsNetwork) {
  JobSpec spec = some_spec();
  spec.network = protocol::Network::kHost;
  EXPECT_EQ(denial_of(spec), (Denied{"network", "none"}));
}

TEST(MakePlan, DeniesMoreTimeThanTheProfileHas) {
  JobSpec spec = some_spec();
  spec.wall_time = 60'000'001;
  EXPECT_EQ(denial_of(spec), (Denied{"limits.wall_time", "at most 60s, not 60000001us"}));
}

TEST(MakePlan, TakesLessTime) {
  JobSpec spec = some_spec();
  spec.wall_time = 1;
  EXPECT_EQ(plan_of(spec).limits.wall_time, 1U);
}

TEST(MakePlan, SharesWhatTheProfilesOwnTmpfsLeave) {
  JobSpec spec = some_spec();
  spec.tmpfs = {{"/a", {}}, {"/b", {}}};
  const wire::JailPlan plan = plan_of(spec);
  ASSERT_EQ(plan.tmpfs.size(), 3U);
  EXPECT_EQ(plan.tmpfs[0].size, 32U << 20);
  EXPECT_EQ(plan.tmpfs[1].size, 32U << 20);
}

TEST(MakePlan, LetsARequestShrinkAProfilesTmpfs) {
  JobSpec spec = some_spec();
  spec.tmpfs = {{"/tmp", 4096}};
  EXPECT_EQ(plan_of(spec).tmpfs.at(0).size, 4096U);
}

TEST(MakePlan, DeniesALargerTmpfs) {
  JobSpec spec = some_spec();
  spec.tmpfs = {{"/tmp", std::uint64_t{65} << 20}};
  EXPECT_EQ(denial_of(spec).rule, "tmpfs");
}

TEST(MakePlan, NamesTheMemberThatIsWrong) {
  const auto with = [](auto change) {
    JobSpec spec = some_spec();
    change(spec);
    return wrong_path_of(spec);
  };
  EXPECT_EQ(with([](JobSpec& s) { s.argv.clear(); }), "/parameters/spec/argv");
  EXPECT_EQ(with([](JobSpec& s) { s.wall_time = 0; }), "/parameters/spec/wall_time");
  EXPECT_EQ(with([](JobSpec& s) { s.hostname = "-"; }), "/parameters/spec/hostname");
  EXPECT_EQ(with([](JobSpec& s) { s.workdir = "x"; }), "/parameters/spec/workdir");
  EXPECT_EQ(with([](JobSpec& s) { s.env = {{"A=B", "x"}}; }), "/parameters/spec/env");
  EXPECT_EQ(with([](JobSpec& s) { s.env = {{"", "x"}}; }), "/parameters/spec/env");
  EXPECT_EQ(with([](JobSpec& s) { s.dirs = {"/usr/x"}; }), "/parameters/spec/dirs");
  EXPECT_EQ(with([](JobSpec& s) { s.root_fd = 1; }), "/parameters/spec/root_fd");
  EXPECT_EQ(with([](JobSpec& s) { s.root = protocol::Root::kDirectory; }), "/parameters/spec/root_fd");
  EXPECT_EQ(with([](JobSpec& s) {
              s.workspace = protocol::Bind{0, "/w", protocol::Access::kRo};
            }),
            "/parameters/spec/token");
  EXPECT_EQ(with([](JobSpec& s) {
              s.token.emplace();
              s.binds = {{0, "/etc", protocol::Access::kRo}};
            }),
            "/parameters/spec/binds");
  EXPECT_EQ(with([](JobSpec& s) {
              s.stdio = protocol::Stdio::kNull;
              s.stdin_data = "x";
            }),
            "/parameters/spec/stdin_data");
  EXPECT_EQ(with([](JobSpec& s) { s.tmpfs = {{"/x", 0}}; }), "/parameters/spec/tmpfs");
}

TEST(MakePlan, RefusesAClientWithAnIdOfThePool) {
  Context context = some_context();
  context.uid = kPoolFirst + 17;
  EXPECT_TRUE(std::holds_alternative<InvalidArgument>(make_plan(some_spec(), some_profile(), context)));
}

TEST(MakePlan, AlwaysNarrowsItsProfile) {
  std::mt19937 random(7);  // the same cases in every run
  const auto pick = [&random](std::uint32_t most) { return static_cast<std::uint32_t>(random() % (most + 1)); };
  const std::vector<std::string> paths = {"/w", "/w/a", "/tmp",    "/tmp/x", "/etc",
                                          "/",  "x",    "/proc/1", "/srv",   "/usr/x"};
  int plans = 0;
  for (int round = 0; round < 20000; ++round) {
    wire::Profile profile = some_profile();
    profile.roots = pick(7);
    profile.networks = pick(3);
    profile.workspace = pick(3);
    profile.binds = pick(3);
    profile.user_root = pick(1) == 1;
    profile.tmpfs_free = pick(1) == 1;
    profile.limits.scratch_max = pick(1) * (96U << 20);
    JobSpec spec = some_spec();
    if (pick(1) == 1) spec.token.emplace();
    spec.root = static_cast<protocol::Root>(pick(2));
    if (spec.root == protocol::Root::kDirectory) spec.root_fd = pick(16);
    spec.network = static_cast<protocol::Network>(pick(1));
    spec.user_root = pick(3) == 0;
    if (pick(2) == 0) spec.workspace = protocol::Bind{pick(15), paths[pick(9)], static_cast<protocol::Access>(pick(1))};
    for (std::uint32_t n = pick(2); n > 0; --n)
      spec.binds.push_back({pick(15), paths[pick(9)], static_cast<protocol::Access>(pick(1))});
    for (std::uint32_t n = pick(2); n > 0; --n)
      spec.tmpfs.push_back({paths[pick(9)], pick(1) == 0 ? std::optional<std::uint64_t>() : pick(1U << 30)});
    if (pick(3) == 0) spec.dirs.push_back(paths[pick(9)]);
    if (pick(3) == 0) spec.wall_time = pick(70'000'000);
    const Outcome outcome = make_plan(spec, profile, some_context());
    if (const auto* plan = std::get_if<wire::JailPlan>(&outcome)) {
      ++plans;
      ASSERT_FALSE(wire::check_narrows(*plan, profile));
    }
  }
  EXPECT_GT(plans, 200);
}

TEST(Nofile, AboveWhatTheLauncherCanGiveIsRefusedWithWhatToDo) {
  Context context = some_context();
  context.nofile_most = 512;
  JobSpec spec = some_spec();
  spec.limits.nofile = 513;
  const Outcome outcome = make_plan(spec, some_profile(), context);
  ASSERT_TRUE(std::holds_alternative<InvalidArgument>(outcome));
  const auto& wrong = std::get<InvalidArgument>(outcome);
  EXPECT_EQ(wrong.path, "/parameters/spec/limits/nofile");
  EXPECT_EQ(wrong.value, "513");
  EXPECT_THAT(wrong.expected, testing::HasSubstr("at most 512, sandboxd-launcher's own hard limit; ask for less"));
  spec.limits.nofile = 512;
  EXPECT_TRUE(std::holds_alternative<wire::JailPlan>(make_plan(spec, some_profile(), context)));
}

wire::Profile restricted_profile() {
  wire::Profile profile = some_profile();
  profile.who = {true, {{"bob", 1002}}, {{"devs", 2000}, {"3000", 3000}}};
  return profile;
}

bool may_start(Context context, const wire::Profile& profile) {
  protocol::JobSpec spec = some_spec();
  spec.token.emplace();
  return std::holds_alternative<wire::JailPlan>(make_plan(spec, profile, context));
}

TEST(ProfileUsers, NeedTheBrokersWordForWhoTheyAre) {
  Context bob = some_context();
  bob.uid = 1002;
  protocol::JobSpec spec = some_spec();
  spec.token.reset();
  const Outcome outcome = make_plan(spec, restricted_profile(), bob);
  ASSERT_TRUE(std::holds_alternative<InvalidArgument>(outcome));
  EXPECT_EQ(std::get<InvalidArgument>(outcome).path, "/parameters/spec/token");
}

TEST(ProfileUsers, AreRefusedByNameAndToldWhoMay) {
  const Outcome outcome = make_plan(some_spec(), restricted_profile(), some_context());
  ASSERT_TRUE(std::holds_alternative<Denied>(outcome));
  EXPECT_EQ(std::get<Denied>(outcome), (Denied{"profile 'default': users", "users bob and groups devs, 3000"}));
}

TEST(ProfileUsers, MayByUidGroupOrSupplementaryGroup) {
  Context bob = some_context();
  bob.uid = 1002;
  EXPECT_TRUE(may_start(bob, restricted_profile()));
  Context member = some_context();
  member.gid = 3000;
  EXPECT_TRUE(may_start(member, restricted_profile()));
  Context supplementary = some_context();
  supplementary.groups = {7, 2000};
  EXPECT_TRUE(may_start(supplementary, restricted_profile()));
  supplementary.groups = {7, 1002};  // a user's number is no group's
  EXPECT_FALSE(may_start(supplementary, restricted_profile()));
}

TEST(ProfileUsers, AreEverybodyWithoutTheKeysAndTheAdminAlways) {
  EXPECT_TRUE(may_start(some_context(), some_profile()));
  wire::Profile nobodys = some_profile();
  nobodys.who.restricted = true;
  Context root = some_context();
  root.uid = root.gid = 0;
  EXPECT_FALSE(may_start(root, nobodys));
  root.admin = true;
  EXPECT_TRUE(may_start(root, nobodys));
  EXPECT_EQ(to_text(nobodys.who), "nobody but the administrator");
}

}  // namespace
}  // namespace sandboxd::plan
