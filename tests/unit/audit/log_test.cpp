#include "daemon/audit/log.h"

#include <cerrno>
#include <filesystem>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/audit/frame.h"
#include "daemon/audit/segments.h"
#include "tests/unit/audit/log_fixture.h"

namespace sandboxd::audit {
namespace {

using ::testing::HasSubstr;

class AuditLog : public LogTest {};

TEST_F(AuditLog, KeepsWhatWasCommitted) {
  Position end;
  {
    Log log = open_log();
    append(log, 5);
    end = log.position();
  }
  EXPECT_EQ(open_log().position(), end);
  EXPECT_EQ(verdict().verdict, Verdict::kGood);
  EXPECT_EQ(verdict().end, end);
}

TEST_F(AuditLog, AcknowledgesIndexAndLeaf) {
  Log log = open_log();
  const auto first = log.stage(record_of("jail.exit"), Source::kSandboxd);
  const auto second = log.stage(record_of("jail.exit"), Source::kSandboxd);
  ASSERT_TRUE(first.ok() && second.ok() && log.commit().ok());
  EXPECT_EQ(first->index, 0U);
  EXPECT_EQ(second->index, 1U);
  const std::string text = text_of(0);
  const std::size_t line = text.find('\n') + 1;
  EXPECT_EQ(leaf_hash(text.substr(kRecordPrefix, line - 1 - kRecordPrefix)), first->leaf_hash);
  EXPECT_EQ(log.position().last_leaf, second->leaf_hash);
}

TEST_F(AuditLog, WritesOneCommitForABatch) {
  Log log = open_log();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(log.stage(record_of("jail.exit"), Source::kSandboxd).ok());
  ASSERT_TRUE(log.commit().ok());
  const std::string text = text_of(0);
  EXPECT_EQ(text.find("\nC "), text.rfind("\nC "));
}

TEST_F(AuditLog, WritesOverZerosAndNeverGrowsAFile) {
  Log log = open_log();
  append(log, 1);
  const auto size = std::filesystem::file_size(segment_path(0));
  append(log, 3);
  EXPECT_EQ(size, kSmallSegment);
  EXPECT_EQ(std::filesystem::file_size(segment_path(0)), size);
}

TEST_F(AuditLog, GoesOnInTheNextSegment) {
  Log log = open_log();
  append(log, 100);
  const Verification result = verdict();
  EXPECT_EQ(result.verdict, Verdict::kGood) << result.problem;
  EXPECT_GT(result.segments, 2U);
  EXPECT_EQ(result.end.records, 100U);
  // A closed one has no zeros left.
  EXPECT_NE(read(segment_path(0)).back(), '\0');
}

TEST_F(AuditLog, GoesOnWhereItStoodAfterARestartInAnySegment) {
  for (int i = 0; i < 60; ++i) {
    Log log = open_log();
    append(log, 1);
  }
  EXPECT_EQ(verdict().verdict, Verdict::kGood) << verdict().problem;
  EXPECT_EQ(verdict().end.records, 60U);
}

TEST_F(AuditLog, PreparesTheNextSegmentWhileIdle) {
  Log log = open_log();
  append(log, 1);
  EXPECT_EQ(log.idle_wait_ms(), -1);
  append(log, 30);
  ASSERT_EQ(log.idle_wait_ms(), 0);
  while (log.idle_wait_ms() == 0) ASSERT_TRUE(log.prepare_step().ok());
  EXPECT_EQ(std::filesystem::file_size(dir_.path() + "/seg/next"), kSmallSegment);
  append(log, 30);
  EXPECT_EQ(verdict().verdict, Verdict::kGood) << verdict().problem;
}

TEST_F(AuditLog, HasOneWriter) {
  const Log log = open_log();
  const Result<Log> second = Log::open(dir_.path(), kSmallSegment);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, EWOULDBLOCK);
}

TEST_F(AuditLog, RefusesADirectoryThatOthersCanEnter) {
  ::chmod(dir_.path().c_str(), 0755);
  const Result<Log> log = Log::open(dir_.path(), kSmallSegment);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, EPERM);
}

TEST_F(AuditLog, PointsAResultAtItsIntent) {
  Log log = open_log();
  ASSERT_TRUE(log.stage(record_of("jail.start", wire::AuditPhase::kIntent, "r-1"), Source::kSandboxd).ok());
  ASSERT_TRUE(log.stage(record_of("jail.launch", wire::AuditPhase::kEvent, "r-1"), Source::kLauncher).ok());
  ASSERT_TRUE(log.commit().ok());
  EXPECT_THAT(text_of(0), HasSubstr(R"("ref":0,"request":"r-1","seq":1)"));
}

TEST_F(AuditLog, KnowsAnIntentAfterARestart) {
  {
    Log log = open_log();
    ASSERT_TRUE(log.stage(record_of("jail.start", wire::AuditPhase::kIntent, "r-1"), Source::kSandboxd).ok());
    ASSERT_TRUE(log.commit().ok());
  }
  const Log log = open_log();
  EXPECT_TRUE(log.has_intent("r-1"));
  EXPECT_FALSE(log.has_intent("r-2"));
}

TEST_F(AuditLog, TakesNobodysIntentButSandboxds) {
  {
    Log log = open_log();
    ASSERT_TRUE(log.stage(record_of("jail.launch", wire::AuditPhase::kIntent, "r-1"), Source::kLauncher).ok());
    ASSERT_TRUE(log.commit().ok());
    EXPECT_FALSE(log.has_intent("r-1"));
  }
  EXPECT_FALSE(open_log().has_intent("r-1"));
}

TEST_F(AuditLog, LeavesTheBatchAsItWasWhenARecordIsRefused) {
  Log log = open_log();
  ASSERT_TRUE(log.stage(record_of("jail.exit"), Source::kSandboxd).ok());
  ASSERT_FALSE(log.stage(record_of("NO"), Source::kSandboxd).ok());
  ASSERT_FALSE(log.stage(record_of("jail.exit", wire::AuditPhase::kEvent, "",
                                   "{\"a\":\"" + std::string(kMaxRecord - 100, 'x') + "\"}"),
                         Source::kSandboxd)
                   .ok());
  ASSERT_TRUE(log.stage(record_of("jail.exit"), Source::kSandboxd).ok());
  ASSERT_TRUE(log.commit().ok());
  EXPECT_EQ(verdict().end.records, 2U);
}

TEST_F(AuditLog, MovesATornEndAsideAndRecordsIt) {
  {
    Log log = open_log();
    append(log, 3);
  }
  std::string bytes = read(segment_path(0));
  const std::size_t end = text_of(0).size();
  const std::string torn = "R 0000000000000003 000";
  bytes.replace(end, torn.size(), torn);
  write(segment_path(0), bytes);
  EXPECT_EQ(verdict().verdict, Verdict::kUnfinished);
  const Log log = open_log();
  EXPECT_EQ(log.position().records, 4U);
  EXPECT_EQ(verdict().verdict, Verdict::kGood);
  EXPECT_THAT(text_of(0), HasSubstr("audit.recovered"));
  EXPECT_THAT(text_of(0), HasSubstr(hex(sha256(torn))));
  const std::string name = fmt::format("{:016x}-{:08x}.torn", 0, end);
  EXPECT_EQ(read(dir_.path() + "/quarantine/" + name), torn);
}

TEST_F(AuditLog, RecordsATornEndAlsoWhenItWasStoppedBetween) {
  {
    Log log = open_log();
    append(log, 1);
  }
  // As after a stop between the copy and the record: the tail is zeros again, the copy is pending.
  write(dir_.path() + "/quarantine/0000000000000000-00000100.torn.pending", "R 00");
  (void)open_log();
  EXPECT_THAT(text_of(0), HasSubstr(hex(sha256("R 00"))));
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/quarantine/0000000000000000-00000100.torn"));
  const std::string once = text_of(0);
  (void)open_log();
  EXPECT_EQ(text_of(0), once);
}

TEST_F(AuditLog, RefusesToStartWhenTheMiddleIsChanged) {
  {
    Log log = open_log();
    append(log, 10);
  }
  std::string bytes = read(segment_path(0));
  const std::size_t at = bytes.find("\"uid\":1000", bytes.size() / 8);
  ASSERT_NE(at, std::string::npos);
  bytes[at + 6] = '2';
  write(segment_path(0), bytes);
  const Result<Log> log = Log::open(dir_.path(), kSmallSegment);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.error().code, EBADMSG);
  EXPECT_EQ(read(segment_path(0)), bytes) << "left as it is";
  EXPECT_EQ(verdict().verdict, Verdict::kBad);
}

TEST_F(AuditLog, RefusesToStartWhenASegmentIsMissing) {
  {
    Log log = open_log();
    append(log, 100);
  }
  const std::vector<std::filesystem::path> names(std::filesystem::directory_iterator(dir_.path() + "/seg"), {});
  std::vector<std::string> segments;
  for (const auto& name : names) {
    if (name.extension() == ".seg") segments.push_back(name.string());
  }
  std::sort(segments.begin(), segments.end());
  ASSERT_GT(segments.size(), 2U);
  std::filesystem::remove(segments[segments.size() - 2]);
  EXPECT_EQ(verdict().verdict, Verdict::kBad);
  EXPECT_EQ(Log::open(dir_.path(), kSmallSegment).error().code, EBADMSG);
}

TEST_F(AuditLog, VerifiesWhatIsLeftWhenTheOldestSegmentsWereTakenAway) {
  {
    Log log = open_log();
    append(log, 100);
  }
  std::filesystem::remove(segment_path(0));
  const Verification result = verdict();
  EXPECT_EQ(result.verdict, Verdict::kGood) << result.problem;
  EXPECT_GT(result.first, 0U);
  EXPECT_EQ(result.end.records, 100U);
}

TEST_F(AuditLog, FindsTheRecordThatWasChangedInAnOldSegment) {
  {
    Log log = open_log();
    append(log, 100);
  }
  std::string bytes = read(segment_path(0));
  const std::size_t at = bytes.find("R 0000000000000005");
  bytes[bytes.find("\"uid\":1000", at) + 6] = '9';
  write(segment_path(0), bytes);
  const Verification result = verdict();
  EXPECT_EQ(result.verdict, Verdict::kBad);
  EXPECT_EQ(result.bad_index, 5U);
  EXPECT_EQ(result.bad_offset, at);
  EXPECT_EQ(result.segment, segment_name(0));
}

}  // namespace
}  // namespace sandboxd::audit
