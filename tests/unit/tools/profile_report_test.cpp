// What sandboxd-profile says, and that the documentation says the same as the filter.
#include "daemon/tools/profile_report.h"

#include <map>

#include <fcntl.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "tests/unit/tools/shipped_profiles.h"

namespace sandboxd::tools {
namespace {

using testing::HasSubstr;

class ProfileReport : public ShippedProfiles {
 protected:
  void SetUp() override {
    ShippedProfiles::SetUp();
    auto filter = filters::load_filter("default", files_.filter_loader());
    ASSERT_TRUE(filter.ok()) << filter.error().message();
    filter_ = std::move(filter).value();
    bound_ = bound(filter_, "none");
  }

  filters::Filter filter_{};
  filters::BoundFilter bound_{};
};

TEST_F(ProfileReport, ExplainsACallRuleByRule) {
  const std::string text = explain_text(bound_, "socket");
  EXPECT_THAT(
      text, HasSubstr("allow if arg0 in {AF_INET, AF_INET6} and (arg1 & SOCK_TYPE_MASK) in {SOCK_STREAM, SOCK_DGRAM}"));
  EXPECT_THAT(text, HasSubstr("errno EAFNOSUPPORT otherwise"));
  EXPECT_THAT(text, HasSubstr("default-rules.json line "));
}

TEST_F(ProfileReport, NamesTheGroupThatACallCameThrough) {
  EXPECT_THAT(explain_text(bound_, "mount"), HasSubstr("errno EPERM\n"));
  EXPECT_THAT(explain_text(bound_, "mount"), HasSubstr("as one of @mount"));
}

TEST_F(ProfileReport, SaysTheDefaultForACallWithoutARule) {
  bound_.calls.erase(0);
  EXPECT_THAT(explain_text(bound_, "read"), HasSubstr("errno ENOSYS\n  no rule of filter 'default' names it"));
}

TEST_F(ProfileReport, IsJsonToo) {
  const nlohmann::json value = nlohmann::json::parse(explain_json(bound_, "clone"), nullptr, false);
  ASSERT_TRUE(value.is_object());
  EXPECT_EQ(value["syscall"], "clone");
  ASSERT_EQ(value["rules"].size(), 2U);
  EXPECT_EQ(value["rules"][0]["action"], "errno EPERM");
  EXPECT_EQ(value["rules"][0]["when"], "arg0 has a bit of CLONE_NEW_ANY");
  EXPECT_EQ(value["rules"][1]["action"], "allow");
}

TEST_F(ProfileReport, AShownProfileIsAProfileFile) {
  const Result<filters::Profile> profile = filters::load_profile("host-network", files_.profile_source());
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  const std::string shown = resolved_json(*profile);
  const Result<filters::Profile> again =
      filters::load_profile("host-network", [&](std::string_view) -> Result<std::vector<filters::SourceText>> {
        return std::vector<filters::SourceText>{{profile->file, shown}};
      });
  ASSERT_TRUE(again.ok()) << again.error().message();
  filters::Profile expected = *profile;
  expected.lineage = again->lineage;
  EXPECT_EQ(*again, expected);
}

TEST_F(ProfileReport, ShippedProfilesHideSecrets) {
  const Result<std::vector<std::string>> names = files_.profile_names();
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    const Result<filters::Profile> profile = filters::load_profile(name, files_.profile_source());
    ASSERT_TRUE(profile.ok()) << profile.error().message();
    for (const char* pattern : {"*TOKEN*", "*SECRET*", "*PASSWORD*", "*API_KEY*"})
      EXPECT_THAT(profile->hidden_names, testing::Contains(pattern)) << name;
  }
}

TEST_F(ProfileReport, ComparesProfilesKeyByKey) {
  const Result<filters::Profile> one = filters::load_profile("default", files_.profile_source());
  const Result<filters::Profile> other = filters::load_profile("python", files_.profile_source());
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_TRUE(compare_profiles(*one, *one).empty());
  std::map<std::string, std::pair<std::string, std::string>> found;
  for (const KeyDifference& key : compare_profiles(*one, *other)) found[key.key] = {key.before, key.after};
  EXPECT_EQ(found["user_root"], std::make_pair(std::string("true"), std::string("false")));
  EXPECT_EQ(found["env.PYTHONSAFEPATH"], std::make_pair(std::string(), std::string("1")));
  EXPECT_EQ(found.count("env.PATH"), 0U);
}

TEST_F(ProfileReport, SaysADifferenceAsLinesBeforeAndAfter) {
  Difference difference;
  difference.keys = {{"proc", "full", "pid"}, {"env.A", "", "1"}};
  difference.calls = {{"allow", "errno EPERM", {"read", "write"}}};
  EXPECT_EQ(difference_text(difference),
            "proc\n  - full\n  + pid\nenv.A\n  + 1\nread, write\n  - allow\n  + errno EPERM\n");
  EXPECT_EQ(difference_text({}), "");
}

// What a shipped profile says beyond the one that it inherits, it says for a reason; and of no default filter is a lint made a
// boundary: environment and files are obeyed by the job's own programs only.
TEST_F(ProfileReport, ShippedProfilesGiveAReasonForEachLine) {
  const Result<std::vector<std::string>> names = files_.profile_names();
  ASSERT_TRUE(names.ok());
  int with_reasons = 0;
  for (const std::string& name : *names) {
    const Result<filters::Profile> profile = filters::load_profile(name, files_.profile_source());
    ASSERT_TRUE(profile.ok()) << profile.error().message();
    for (const auto& [key, reason] : profile->reasons)
      EXPECT_EQ(reason.boundary, !key.starts_with("env.") && !key.starts_with("files.")) << name << " " << key;
    if (profile->reasons.empty()) continue;
    ++with_reasons;
    const Result<std::string> text = read_file(AT_FDCWD, profile->file);
    ASSERT_TRUE(text.ok());
    const nlohmann::json file = nlohmann::json::parse(*text, nullptr, false);
    for (const auto& [key, value] : file.items()) {
      if (key == "$schema" || key == "name" || key == "description" || key == "inherits" || key == "reasons") continue;
      if (!value.is_object()) {
        EXPECT_TRUE(profile->reasons.contains(key)) << name << " " << key;
        continue;
      }
      for (const auto& [inner, unused] : value.items())
        EXPECT_TRUE(profile->reasons.contains(key + "." + inner)) << name << " " << key << "." << inner;
    }
  }
  EXPECT_EQ(with_reasons, 11);
}

TEST_F(ProfileReport, TheUsersPageHasEachReason) {
  const std::string text = page("profiles.md");
  for (const std::string name :
       {"agent", "build", "elixir", "go", "learn", "nested", "node", "python", "ruby", "rust", "scanner"}) {
    const Result<filters::Profile> profile = filters::load_profile(name, files_.profile_source());
    ASSERT_TRUE(profile.ok());
    EXPECT_THAT(text, HasSubstr(reasons_table(*profile))) << "make it anew: sandboxd-profile reasons";
  }
}

TEST_F(ProfileReport, TheDocumentationIsTheFiltersOwn) {
  EXPECT_EQ(page("filters.md"), refusals_page(filter_))
      << "make it anew: sandboxd-profile table default > docs/filters.md";
}

}  // namespace
}  // namespace sandboxd::tools
