#include "daemon/audit/record.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/audit/frame.h"
#include "tests/unit/audit/log_fixture.h"

namespace sandboxd::audit {
namespace {

int code_of(const wire::AuditRecord& record, Source source = Source::kSandboxd) {
  const Status status = check(record, source);
  return status.ok() ? 0 : status.error().code;
}

TEST(AuditRecord, HoldsWhatItWasGivenAndWhoWroteIt) {
  const Place place{7, {}, 3, "2026-01-01T00:00:00.000000000Z"};
  const Result<std::string> text = to_json(
      record_of("jail.exit", wire::AuditPhase::kResult, "r-1", R"({"b":[1],"a":"x"})"), Source::kLauncher, place);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(
      *text,
      R"({"action":"jail.exit","actor":{"source":"launcher","uid":1000},"detail":{"a":"x","b":[1]},"jail":"j-1","outcome":"ok",)"
      R"("phase":"result","prev_hash":"0000000000000000000000000000000000000000000000000000000000000000","ref":3,)"
      R"("request":"r-1","seq":7,"time":"2026-01-01T00:00:00.000000000Z","v":1})");
}

TEST(AuditRecord, LeavesOutWhatIsNotThere) {
  wire::AuditRecord record = record_of("policy.load");
  record.jail.clear();
  const Result<std::string> text = to_json(record, Source::kSandboxd, {});
  ASSERT_TRUE(text.ok());
  const auto json = nlohmann::json::parse(*text);
  EXPECT_FALSE(json.contains("jail") || json.contains("request") || json.contains("ref") || json.contains("id"));
}

TEST(AuditRecord, KeepsTheIdThatTellsWhatWasSentTwice) {
  wire::AuditRecord record = record_of("jail.exit", wire::AuditPhase::kResult);
  record.id = "e-abc";
  const Result<std::string> text = to_json(record, Source::kSandboxd, {});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(nlohmann::json::parse(*text)["id"], "e-abc");
  record.id = "e\n";
  EXPECT_EQ(code_of(record), EINVAL);
}

TEST(AuditRecord, KeepsALineBreakInsideItsText) {
  const Result<std::string> text =
      to_json(record_of("jail.exit", wire::AuditPhase::kEvent, "", R"({"argv":["a\nR 0000"]})"), Source::kSandboxd, {});
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->find('\n'), std::string::npos);
}

TEST(AuditRecord, RefusesActionsThatAreAnothers) {
  EXPECT_EQ(code_of(record_of("jail.launch"), Source::kSandboxd), EPERM);
  EXPECT_EQ(code_of(record_of("launcher.start"), Source::kSandboxd), EPERM);
  EXPECT_EQ(code_of(record_of("audit.recovered"), Source::kSandboxd), EPERM);
  EXPECT_EQ(code_of(record_of("audit.open"), Source::kLauncher), EPERM);
  EXPECT_EQ(code_of(record_of("jail.launch"), Source::kLauncher), 0);
  EXPECT_EQ(code_of(record_of("jail.start"), Source::kSandboxd), 0);
}

TEST(AuditRecord, RefusesMembersOfNoMeaning) {
  for (const char* action : {"", ".x", "x.", "a..b", "Jail", "a b", "a\nb"})
    EXPECT_EQ(code_of(record_of(action)), EINVAL) << action;
  wire::AuditRecord record = record_of("jail.exit");
  record.outcome = "maybe";
  EXPECT_EQ(code_of(record), EINVAL);
  record = record_of("jail.exit");
  record.phase = static_cast<wire::AuditPhase>(9);
  EXPECT_EQ(code_of(record), EINVAL);
  record = record_of("jail.exit");
  record.jail = "a\nb";
  EXPECT_EQ(code_of(record), EINVAL);
  record = record_of("jail.exit", wire::AuditPhase::kEvent, std::string(129, 'r'));
  EXPECT_EQ(code_of(record), EINVAL);
  EXPECT_EQ(code_of(record_of("jail.start", wire::AuditPhase::kIntent)), EINVAL) << "an intent that nothing can cite";
}

TEST(AuditRecord, RefusesADetailThatIsNoObject) {
  for (const char* detail : {"", "[]", "1", "{", "{\"a\":0.5}"}) {
    EXPECT_EQ(code_of(record_of("jail.exit", wire::AuditPhase::kEvent, "", detail)), EINVAL) << detail;
  }
  EXPECT_EQ(
      code_of(record_of("jail.exit", wire::AuditPhase::kEvent, "", "{\"a\":\"" + std::string(40000, 'x') + "\"}")),
      E2BIG);
}

TEST(AuditRecord, RefusesWhatGrowsPastTheMost) {
  const std::string detail = "{\"a\":\"" + std::string(kMaxRecord - 100, 'x') + "\"}";
  ASSERT_EQ(code_of(record_of("jail.exit", wire::AuditPhase::kEvent, "", detail)), 0);
  EXPECT_EQ(to_json(record_of("jail.exit", wire::AuditPhase::kEvent, "", detail), Source::kSandboxd, {}).error().code,
            E2BIG);
}

}  // namespace
}  // namespace sandboxd::audit
