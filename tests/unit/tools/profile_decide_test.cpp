// What a profile's filter says to one call, and what other profiles allow of it.
#include "daemon/tools/profile_decide.h"

#include <memory>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/tools/shipped_profiles.h"

namespace sandboxd::tools {
namespace {

using filters::Arch;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class ProfileDecide : public ShippedProfiles {
 protected:
  // With something of the profile changed, as another file would have it.
  Judge judge(const std::string& name, const std::optional<std::string>& unix_sockets = std::nullopt) {
    Result<filters::Profile> profile = filters::load_profile(name, files_.profile_source());
    EXPECT_TRUE(profile.ok()) << profile.error().message();
    Result<filters::Filter> filter = filters::load_filter(profile->filter, files_.filter_loader());
    EXPECT_TRUE(filter.ok()) << filter.error().message();
    profile->unix_sockets = unix_sockets.value_or(profile->unix_sockets);
    filters_.push_back(std::make_unique<filters::Filter>(std::move(filter).value()));
    filters::BoundFilter rules = bound(*filters_.back(), profile->unix_sockets);
    return {std::move(profile).value(), std::move(rules)};
  }
  static nlohmann::json decided(const Judge& judge, const std::vector<Judge>& others, const std::string& line) {
    const Result<Call> call = parse_call(Arch::kX86_64, line);
    EXPECT_TRUE(call.ok()) << call.error().message();
    return nlohmann::json::parse(decision_json(judge, others, *call), nullptr, false);
  }

  std::vector<std::unique_ptr<filters::Filter>> filters_{};
};

TEST_F(ProfileDecide, ReadsACallAsATracerWritesIt) {
  const Result<Call> call = parse_call(Arch::kX86_64, "socket 16 0x3  0xffffffffffffffff");
  ASSERT_TRUE(call.ok()) << call.error().message();
  EXPECT_EQ(call->name, "socket");
  EXPECT_EQ(call->number, 41U);
  EXPECT_THAT(call->args, ElementsAre(16, 3, UINT64_MAX, 0, 0, 0));
}

TEST_F(ProfileDecide, RefusesWhatIsNoCall) {
  for (const char* line : {"", "  ", "no_such_call 1", "socket one", "socket 0x", "socket -1",
                           "socket 18446744073709551616", "read 1 2 3 4 5 6 7"})
    EXPECT_FALSE(parse_call(Arch::kX86_64, line).ok()) << line;
  EXPECT_THAT(parse_call(Arch::kX86_64, "socket one").error().message(), HasSubstr("argument 'one' is no number"));
  EXPECT_FALSE(parse_call(Arch::kAarch64, "open 0 0").ok());
}

TEST_F(ProfileDecide, SaysTheRuleOfTheArgumentsThatItIsGiven) {
  const Judge base = judge("default");
  const nlohmann::json netlink = decided(base, {}, "socket 16 3 9");
  EXPECT_EQ(netlink["action"], "errno EAFNOSUPPORT");
  EXPECT_THAT(netlink["why"].get<std::string>(), HasSubstr("other netlink protocols"));
  EXPECT_FALSE(netlink.contains("when"));
  const nlohmann::json raw = decided(base, {}, "socket 2 3 1");
  EXPECT_EQ(raw["action"], "errno EPROTONOSUPPORT");
  EXPECT_NE(raw["line"], netlink["line"]);
  EXPECT_EQ(raw["when"], "arg0 in {AF_INET, AF_INET6}");
  EXPECT_EQ(decided(base, {}, "socket 2 1 6")["action"], "allow");
  EXPECT_EQ(decided(base, {}, "ptrace 0")["group"], "@debug");
}

TEST_F(ProfileDecide, NamesTheProfilesThatAllowTheSameCall) {
  const Judge base = judge("default");
  std::vector<Judge> others;
  others.push_back(judge("strict"));
  others.push_back(judge("agent", "any"));
  EXPECT_THAT(decided(base, others, "socket 1 1 0")["allowed_by"], ElementsAre("agent"));
  EXPECT_THAT(decided(base, others, "read 0")["allowed_by"], ElementsAre("strict", "agent"));
  EXPECT_TRUE(decided(base, others, "ptrace 0")["allowed_by"].empty());
}

TEST_F(ProfileDecide, TheTableHasWhatAnotherProfileAllowsAndNothingElse) {
  const Judge base = judge("default");
  std::vector<Judge> others;
  others.push_back(judge("strict"));
  const std::string head = "| calls | if | answer | why | allowed by |\n|---|---|---|---|---|\n";
  EXPECT_EQ(allowances_table(base, others), head);
  others.push_back(judge("agent", "any"));
  others.push_back(judge("host-network"));
  const std::string table = allowances_table(base, others);
  EXPECT_THAT(table, HasSubstr("| socket |  | `errno EAFNOSUPPORT` | AF_UNIX unless"));
  EXPECT_THAT(table, HasSubstr("| `agent` (socket) |\n"));
  EXPECT_THAT(table, HasSubstr("| `agent` (socketpair) |\n"));
  EXPECT_THAT(table, HasSubstr("| network `host` |  | `refused` | the profile doesn't list it | `host-network` |\n"));
  EXPECT_THAT(table, HasSubstr("| unix_sockets `any` |"));
  EXPECT_THAT(table, Not(HasSubstr("ptrace")));
  EXPECT_THAT(table, Not(HasSubstr("`strict`")));
}

TEST_F(ProfileDecide, TheUsersPageHasTheTable) {
  const Result<std::vector<std::string>> names = files_.profile_names();
  ASSERT_TRUE(names.ok());
  std::vector<Judge> all;
  for (const std::string& name : *names) all.push_back(judge(name));
  EXPECT_THAT(page("profiles.md"), HasSubstr(allowances_table(judge("default"), all)))
      << "make it anew: sandboxd-profile allowances";
}

}  // namespace
}  // namespace sandboxd::tools
