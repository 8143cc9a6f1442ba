#include "daemon/audit/frame.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "daemon/audit/json_rules.h"
#include "daemon/audit/scan.h"

#include <nlohmann/json.hpp>

namespace sandboxd::audit {
namespace {

// Three records whose hashes were made by other implementations (Go's tlog, npm's canonicalize).
constexpr std::string_view kFirst =
    R"({"action":"audit.open","actor":{"id":"sandboxd","type":"daemon"},"detail":{"format":1},"outcome":"ok","phase":"event","prev_hash":"0000000000000000000000000000000000000000000000000000000000000000","seq":0,"time":"2026-01-01T00:00:00.000000000Z","v":1})";
constexpr std::string_view kSecond =
    R"({"action":"jail.start","actor":{"id":"agent-7","type":"agent"},"detail":{"argv":["/bin/echo","hé\n\"x\""],"path_raw":{"b64":"/2E="}},"jail":"j-1","outcome":"allow","phase":"intent","prev_hash":"c12fcb2e553e3ab87ef803ee9951eedfdd74a2cca99066307670a4da1329a3ed","seq":1,"time":"2026-01-01T00:00:01.000000000Z","v":1})";
constexpr std::string_view kThird =
    R"({"action":"jail.start","actor":{"id":"agent-7","type":"agent"},"detail":{"pid":4242},"jail":"j-1","outcome":"ok","phase":"result","prev_hash":"99d88a714a1d18c4b9077e4d2ff339bddedd43765ea119b0608168a1c08337ff","ref":1,"seq":2,"time":"2026-01-01T00:00:01.250000000Z","v":1})";

std::string log_text() {
  std::string text;
  append_record(text, 0, kFirst);
  append_record(text, 1, kSecond);
  append_record(text, 2, kThird);
  append_commit(text, 3, text.size(), leaf_hash(kThird));
  return text;
}

TEST(AuditFrame, HashesALeafAsOthersDo) {
  EXPECT_EQ(hex(leaf_hash(kFirst)), "c12fcb2e553e3ab87ef803ee9951eedfdd74a2cca99066307670a4da1329a3ed");
  EXPECT_EQ(hex(leaf_hash(kSecond)), "99d88a714a1d18c4b9077e4d2ff339bddedd43765ea119b0608168a1c08337ff");
  EXPECT_EQ(hex(leaf_hash(kThird)), "c1341bc6f626d1f0684547b414871798b056e2b07e3925067664ee1114bbf971");
}

TEST(AuditFrame, DumpsTheCanonicalForm) {
  for (const std::string_view text : {kFirst, kSecond, kThird}) {
    const auto record = parse_strict(text);
    ASSERT_TRUE(record.has_value());
    EXPECT_EQ(record->dump(), text);
  }
}

TEST(AuditFrame, KnowsTheCrcOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST(AuditFrame, BeginsTheJsonAtColumn35) {
  std::string text;
  append_record(text, 26, kFirst);
  EXPECT_EQ(text.substr(0, 25), "R 000000000000001a " + fmt::format("{:05x} ", kFirst.size()));
  EXPECT_EQ(text.substr(kRecordPrefix), std::string(kFirst) + "\n");
}

TEST(AuditScan, ReadsACommitAndStopsAtZeros) {
  std::string bytes = log_text();
  const std::size_t size = bytes.size();
  bytes.resize(8192, '\0');
  std::vector<std::uint64_t> seen;
  const Scan scan = scan_segment(bytes, {}, [&](std::uint64_t index, const nlohmann::json&) { seen.push_back(index); });
  EXPECT_EQ(scan.ending, Ending::kClean);
  EXPECT_EQ(scan.end, (Position{3, leaf_hash(kThird)}));
  EXPECT_EQ(scan.end_offset, size);
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{0, 1, 2}));
}

TEST(AuditScan, TakesEveryTruncationOfTheLastCommitForATornEnd) {
  const std::string whole = log_text();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const Scan scan = scan_segment(whole.substr(0, size) + std::string(100, '\0'), {}, {});
    EXPECT_EQ(scan.ending, Ending::kTorn) << size;
    EXPECT_EQ(scan.end.records, 0U) << size;
  }
}

TEST(AuditScan, TakesALostSectorForATornEnd) {
  std::string bytes = log_text();
  std::fill_n(bytes.begin(), 512, '\0');
  EXPECT_EQ(scan_segment(bytes, {}, {}).ending, Ending::kTorn);
}

TEST(AuditScan, FindsEveryFlippedBit) {
  // Two commits: what the first one holds was acknowledged, whatever became of the second.
  std::string text = log_text();
  const std::size_t first_commit = text.size();
  std::string fourth = std::string(kThird);
  fourth.replace(fourth.find("99d8"), 64, hex(leaf_hash(kThird)));
  fourth.replace(fourth.find("\"seq\":2"), 7, "\"seq\":3");
  std::string second;
  append_record(second, 3, fourth);
  append_commit(second, 4, second.size(), leaf_hash(fourth));
  text += second;
  ASSERT_EQ(scan_segment(text, {}, {}).ending, Ending::kClean);
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string changed = text;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    const Scan scan = scan_segment(changed, {}, {});
    if (bit / 8 < first_commit) {
      ASSERT_EQ(scan.ending, Ending::kBroken) << "bit " << bit;
    } else {
      ASSERT_NE(scan.ending, Ending::kClean) << "bit " << bit;
      ASSERT_EQ(scan.end.records, 3U) << "bit " << bit;
    }
  }
}

TEST(AuditScan, FindsARecordThatIsTwiceThereOrMissing) {
  const std::string text = log_text();
  const std::size_t line = text.find('\n') + 1;
  EXPECT_EQ(scan_segment(text.substr(0, line) + text, {}, {}).ending, Ending::kBroken);
  EXPECT_EQ(scan_segment(text.substr(line), {}, {}).ending, Ending::kBroken);
}

TEST(AuditScan, FindsASegmentThatFollowsOnAnother) {
  Position elsewhere;
  elsewhere.last_leaf.fill(1);
  EXPECT_EQ(scan_segment(log_text(), elsewhere, {}).ending, Ending::kBroken);
  EXPECT_EQ(scan_segment(log_text(), Position{1, {}}, {}).ending, Ending::kBroken);
}

TEST(AuditJson, RefusesWhatHasNoExactForm) {
  for (const char* text :
       {"{\"a\":1.5}", "{\"a\":1e3}", "{\"a\":9007199254740992}", "{\"a\":-9007199254740992}", "{\"a\":1,\"a\":2}",
        "{\"b\":{\"a\":1,\"a\":2}}", "{\"\xC3\xA9\":1}", "{\"a\":\"\xFF\"}", "{\"a\":1", "", "{} {}", "{\"a\":NaN}",
        "{\"a\":\"\\ud800\"}", "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"}) {
    EXPECT_FALSE(parse_strict(text).has_value()) << text;
  }
  for (const char* text : {"{}", "{\"a\":9007199254740991}", "{\"a\":[1,-2,\"\\u0000\",null,true]}",
                           "{\"a\":{\"a\":1},\"b\":{\"a\":1}}"}) {
    EXPECT_TRUE(parse_strict(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace sandboxd::audit
