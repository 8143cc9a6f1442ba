// Every row of checks.h in a jail of every shipped profile: refused there, while the same program outside succeeds.
#include <algorithm>
#include <memory>
#include <tuple>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/escape/checks.h"
#include "tests/escape/report.h"

namespace sandboxd::test {
namespace {

using nlohmann::json;

// A sanitizer's jails weigh ten times as much: there the profiles with filters of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kFewProfiles = true;
#else
constexpr bool kFewProfiles = false;
#endif

class EscapeTable : public ::testing::TestWithParam<Check> {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0) return;
    profiles_ = std::make_unique<WorkDir>();
    stack_ = std::make_unique<Stack>(everybodys_profiles(*profiles_));
    if (stack_->failure().empty()) let_alice_ask_as_admin(*stack_);
    ground_ = std::make_unique<Ground>(*stack_);
    report() = json{{"kernel", kernel_release()}, {"rows", json::array()}};
  }
  static void TearDownTestSuite() {
    if (ground_) write_report("table", report());
    ground_.reset();
    stack_.reset();
    profiles_.reset();
  }
  void SetUp() override {
    if (!stack_) GTEST_SKIP() << "needs root: starts the daemon";
    ASSERT_EQ(stack_->failure(), "");
  }
  static json& report() {
    static json all;
    return all;
  }
  static Ground& ground() { return *ground_; }

  // What a profile lets through on purpose is told, and does come through: else the exception is out of date.
  static void expect_held(const Check& check, const std::string& profile, const Tries& tries, json& row) {
    const auto purpose = std::ranges::find(check.on_purpose, profile, &OnPurpose::profile);
    json& cell = row["profiles"][profile];
    cell = {{"refused", 0}, {"on_purpose", json::array()}, {"through", json::array()}};
    for (const auto& [name, tried] : tries) {
      const bool meant = purpose != check.on_purpose.end() && std::ranges::count(purpose->tries, name) != 0;
      if (!tried.through) {
        cell["refused"] = cell["refused"].get<int>() + 1;
        cell["errors"][tried.detail].push_back(name);
      } else if (meant) {
        cell["on_purpose"].push_back(name);
      } else {
        cell["through"].push_back(name);
      }
      EXPECT_TRUE(meant || !tried.through) << profile << ": got out: " << name << " " << tried.detail;
    }
    if (purpose == check.on_purpose.end()) return;
    cell["why"] = purpose->why;
    for (const std::string_view name : purpose->tries)
      EXPECT_TRUE(tries.contains(std::string(name))) << profile << ": not tried: " << name;
    EXPECT_FALSE(cell["on_purpose"].empty()) << profile << " refuses all of it: take the exception away";
  }

  static void run_inside(const Check& check, const std::string& profile, bool as_root, json& row) {
    const Output output = ground().inside(check, profile, as_root);
    const Tries inside = ground().tries(output);
    ASSERT_FALSE(inside.empty()) << profile << ": nothing was tried: " << describe(output);
    for (const std::string_view name : check.shown)
      EXPECT_TRUE(inside.contains(std::string(name))) << profile << ": not tried: " << name;
    expect_held(check, as_root ? profile + " as root" : profile, inside, row);
  }

 private:
  static std::unique_ptr<WorkDir> profiles_;
  static std::unique_ptr<Stack> stack_;
  static std::unique_ptr<Ground> ground_;
};

std::unique_ptr<WorkDir> EscapeTable::profiles_{};
std::unique_ptr<Stack> EscapeTable::stack_{};
std::unique_ptr<Ground> EscapeTable::ground_{};

TEST_P(EscapeTable, HoldsUnderEveryProfile) {
  const Check& check = GetParam();
  json row = {{"id", check.id}, {"name", check.name}, {"what", check.what}, {"origin", check.origin}};
  const Tries outside = ground().tries(ground().outside(check));
  for (const std::string_view name : check.shown) {
    const auto found = outside.find(std::string(name));
    ASSERT_NE(found, outside.end()) << "the control did not try " << name;
    if (found->second.through) continue;
    row["not_shown"][std::string(name)] = found->second.detail;
    EXPECT_NE(std::ranges::count(check.host_may_refuse, name), 0)
        << "refused outside too (" << found->second.detail << "), so nothing is shown: " << name;
  }
  row["shown"] = std::ranges::count_if(outside, [](const auto& one) { return one.second.through; });
  for (const ShippedProfile& profile : shipped_profiles()) {
    if (kFewProfiles && profile.name != "default" && profile.name != "strict") continue;
    run_inside(check, profile.name, false, row);
  }
  run_inside(check, "default", true, row);
  report()["rows"].push_back(std::move(row));
}

INSTANTIATE_TEST_SUITE_P(E, EscapeTable, ::testing::ValuesIn(checks()),
                         [](const auto& one) { return fmt::format("{}_{}", one.param.id, one.param.name); });

}  // namespace
}  // namespace sandboxd::test
