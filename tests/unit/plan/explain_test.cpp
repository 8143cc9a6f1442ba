#include "daemon/plan/explain.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/plan/make_plan.h"

namespace sandboxd::plan {
namespace {

wire::Profile some_profile() {
  wire::Profile profile;
  profile.name = "strict";
  profile.filter.assign(16, 0);
  profile.tmpfs = {{"/tmp", 4096, 16, 01777}};
  return profile;
}

wire::JailPlan some_plan() {
  protocol::JobSpec spec;
  spec.argv = {"/bin/echo", "\xff"};
  spec.token.emplace();
  spec.token->fill(0xab);
  static const std::vector<wire::Preset> presets = {{"default", "d", Limits()}};
  return std::get<wire::JailPlan>(make_plan(spec, some_profile(), {1000, 1000, "a", 1, "j-a", "r-a", false, presets}));
}

TEST(Explain, SaysWhatTheJailGetsAndWhatTheProfileAllows) {
  const auto value = nlohmann::json::parse(explain(some_plan(), some_profile()));
  EXPECT_EQ(value["profile"], "strict");
  EXPECT_EQ(value["network"], "none");
  EXPECT_EQ(value["user"]["uid"], 1000);
  EXPECT_EQ(value["allowed"]["networks"], nlohmann::json::array({"none"}));
  EXPECT_EQ(value["tmpfs"][0]["size"], 4096);
}

TEST(Explain, KeepsBytesThatAreNoText) {
  const auto value = nlohmann::json::parse(explain(some_plan(), some_profile()));
  EXPECT_EQ(value["job"]["argv"][1], (nlohmann::json{{"b64", "/w=="}}));
}

TEST(Explain, HidesTheValuesOfTheProfilesNames) {
  wire::JailPlan plan = some_plan();
  plan.job.argv = {"p", "--key=s3cret"};
  plan.job.env = {"KEY=s3cret", "A=b"};
  wire::Profile profile = some_profile();
  EXPECT_EQ(nlohmann::json::parse(explain(plan, profile))["job"]["argv"][1], "--key=s3cret");
  profile.hidden_names = {"KEY"};
  const auto value = nlohmann::json::parse(explain(plan, profile));
  EXPECT_EQ(value["job"]["argv"][1], "--key=[hidden]");
  EXPECT_EQ(value["job"]["env"], nlohmann::json::array({"KEY=[hidden]", "A=b"}));
  EXPECT_EQ(nlohmann::json::parse(profile_json(profile))["redaction"]["names"], nlohmann::json::array({"KEY"}));
}

TEST(Explain, LeavesTheTokenOut) { EXPECT_EQ(explain(some_plan(), some_profile()).find("token"), std::string::npos); }

TEST(Explain, SaysWhoseGroupsAreHidden) {
  wire::JailPlan plan = some_plan();
  plan.binds = {{.fd = 0, .target = "/tmp/below", .access = wire::Access::kRo},
                {.fd = 1, .target = "/beside", .access = wire::Access::kRo}};
  const auto value = nlohmann::json::parse(explain(plan, some_profile()));
  EXPECT_EQ(value["binds"][0]["groups"], "hidden");
  EXPECT_EQ(value["binds"][1]["groups"], "mapped");
}

TEST(ProfileJson, SaysWhoMayUseIt) {
  wire::Profile profile = some_profile();
  EXPECT_EQ(nlohmann::json::parse(profile_json(profile))["may_use"], "everybody");
  EXPECT_FALSE(nlohmann::json::parse(profile_json(profile)).contains("users"));
  profile.who = {true, {{"alice", 1000}}, {}};
  const auto value = nlohmann::json::parse(profile_json(profile));
  EXPECT_EQ(value["may_use"], "users alice");
  EXPECT_EQ(value["users"][0], (nlohmann::json{{"name", "alice"}, {"id", 1000}}));
  EXPECT_TRUE(value["groups"].empty());
}

TEST(ProfileJson, NamesTheProfileAndItsLimits) {
  const auto value = nlohmann::json::parse(profile_json(some_profile()));
  EXPECT_EQ(value["name"], "strict");
  EXPECT_EQ(value["filter_instructions"], 2);
  EXPECT_EQ(value["limits"]["nofile"], 4096);
}

}  // namespace
}  // namespace sandboxd::plan
