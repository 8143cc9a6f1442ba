#include "daemon/jails/learned.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sandboxd::jails {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using wire::LearnedAccess;
using wire::LearnedKind;
using wire::LearnedPart;

LearnedPart text(std::uint32_t id, std::string_view bytes, bool more = false) {
  LearnedPart part{LearnedKind::kText, id, 0, static_cast<std::uint32_t>(bytes.size()), more ? 1ULL : 0ULL, {}};
  std::memcpy(&part.bytes[0], bytes.data(), bytes.size());
  return part;
}

LearnedPart path(std::uint32_t id, LearnedAccess access, std::uint64_t number) {
  return {LearnedKind::kPath, id, 1, static_cast<std::uint32_t>(access), number, {}};
}

wire::ProfileSet calls() {
  wire::ProfileSet set;
  set.calls = {{7, "openat"}, {16, "ioctl"}, {41, "socket"}};
  return set;
}

wire::JailPlan plan_of() {
  wire::JailPlan plan;
  plan.profile = "learn";
  plan.binds = {{0, "/home/u/w", wire::Access::kRw, true}};
  plan.tmpfs = {{"/tmp", 4096, 16, 01777}};
  return plan;
}

json profile_of(const Learned& learned) {
  return json::parse(learned_profile("mine", learned, {"tar"}, plan_of(), calls()).profile);
}

TEST(Learned, ALongTextComesInPieces) {
  Learned learned;
  ASSERT_TRUE(learned.take(text(1, "/usr/bin/", true)));
  ASSERT_TRUE(learned.take(text(1, "tar")));
  EXPECT_EQ(learned.text(1), "/usr/bin/tar");
  EXPECT_EQ(learned.text(2), "");
}

TEST(Learned, NumbersThatSkipAreRefused) {
  Learned learned;
  EXPECT_FALSE(learned.take(text(2, "/usr")));
  EXPECT_FALSE(learned.take(path(1, LearnedAccess::kRead, 1)));
  EXPECT_TRUE(learned.take(path(0, LearnedAccess::kRead, 1)));
}

TEST(Learned, SizesThatLieAreRefused) {
  Learned learned;
  LearnedPart part = text(1, "x");
  part.a = sizeof part.bytes + 1;
  EXPECT_FALSE(learned.take(part));
  LearnedPart counts{LearnedKind::kCounts, 0, 0, 25, 0, {}};
  EXPECT_FALSE(learned.take(counts));
  EXPECT_FALSE(learned.take({static_cast<LearnedKind>(99), 0, 0, 0, 0, {}}));
}

TEST(Learned, ATextHasABound) {
  Learned learned;
  const std::string piece(96, 'x');
  bool taken = true;
  for (int i = 0; taken && i < 100; ++i) taken = learned.take(text(1, piece, true));
  EXPECT_FALSE(taken);
}

TEST(Learned, AllOfAJailHasABound) {
  Learned learned;
  bool taken = true;
  for (std::uint32_t i = 0; taken && i <= wire::kMostLearned; ++i)
    taken = learned.take({LearnedKind::kUnread, 0, 0, 0, i, {}});
  EXPECT_FALSE(taken);
}

TEST(LearnedProfile, ACallSaysWhereItWasSeenAndHowOften) {
  Learned learned;
  ASSERT_TRUE(learned.take(text(1, "/usr/bin/tar")));
  ASSERT_TRUE(learned.take({LearnedKind::kCall, 0, 1, 7, 0, {}}));
  LearnedPart counts{LearnedKind::kCounts, 0, 0, 1, 0, {}};
  const std::uint32_t twelve = 12;
  std::memcpy(&counts.bytes[0], &twelve, sizeof twelve);
  ASSERT_TRUE(learned.take(counts));
  const json rules = json::parse(learned_profile("mine", learned, {"tar"}, plan_of(), calls()).filter)["rules"];
  const json& rule = rules[2];
  EXPECT_EQ(rule["syscalls"], json({"openat"}));
  EXPECT_EQ(rule["why"], "seen in /usr/bin/tar, 12 times");
}

TEST(LearnedProfile, AnArgumentThatCountsIsACondition) {
  Learned learned;
  ASSERT_TRUE(learned.take({LearnedKind::kCall, 0, 0, 16, 0x5401, {}}));
  ASSERT_TRUE(learned.take({LearnedKind::kCall, 1, 0, 41, wire::learned_socket(2, 1, 6), {}}));
  const json rules = json::parse(learned_profile("mine", learned, {}, plan_of(), calls()).filter)["rules"];
  EXPECT_EQ(rules[2]["when"][0]["value"], json({0x5401}));
  EXPECT_EQ(rules[3]["when"][0]["value"], 2);
  EXPECT_EQ(rules[3]["when"][2]["value"], 6);
}

TEST(LearnedProfile, PathsOfARunAreNamedByWord) {
  Learned learned;
  ASSERT_TRUE(learned.take(text(1, "/home/u/w/sub")));
  ASSERT_TRUE(learned.take(text(2, "/tmp/made/here")));
  ASSERT_TRUE(learned.take(text(3, "/usr/share/x")));
  ASSERT_TRUE(learned.take(path(0, LearnedAccess::kWrite, 1)));
  ASSERT_TRUE(learned.take(path(1, LearnedAccess::kWrite, 2)));
  ASSERT_TRUE(learned.take(path(2, LearnedAccess::kWrite, 3)));
  ASSERT_TRUE(learned.take(path(3, LearnedAccess::kRead, 3)));
  const json landlock = profile_of(learned)["landlock"];
  EXPECT_THAT(landlock["write"], ElementsAre("/tmp", "@workspace"));  // nothing of /usr: no mount there is writable
  EXPECT_THAT(landlock["read"], ElementsAre("/usr/share/x"));
}

TEST(LearnedProfile, ManyPathsAreGatheredBelowTheRoot) {
  Learned learned;
  for (std::uint32_t i = 0; i < 200; ++i) {
    ASSERT_TRUE(learned.take(text(i + 1, "/usr/lib/python3/m" + std::to_string(i) + ".py")));
    ASSERT_TRUE(learned.take(path(i, LearnedAccess::kRead, i + 1)));
  }
  EXPECT_THAT(profile_of(learned)["landlock"]["read"], ElementsAre("/usr/lib/python3"));
}

TEST(LearnedProfile, PathsThatAreNoneAreLeftOutAndCounted) {
  Learned learned;
  ASSERT_TRUE(learned.take(text(1, "/usr/../etc")));
  ASSERT_TRUE(learned.take(text(2, "/usr/\x1b[2J")));
  ASSERT_TRUE(learned.take(text(3, "@binds")));
  for (std::uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(learned.take(path(i, LearnedAccess::kRead, i + 1)));
  EXPECT_FALSE(profile_of(learned)["landlock"].contains("read"));
  EXPECT_EQ(learned_profile("mine", learned, {}, plan_of(), calls()).unread, 3U);
}

TEST(LearnedProfile, IsNobodysAndNarrowerThanWhatItWasLearnedUnder) {
  const json profile = profile_of(Learned());
  EXPECT_EQ(profile["users"], json::array());
  EXPECT_EQ(profile["learn"], false);
  EXPECT_THAT(profile["networks"], ElementsAre("none"));
  EXPECT_THAT(profile["binds"], IsEmpty());
  EXPECT_THAT(profile["landlock"]["write"], IsEmpty());
}

}  // namespace
}  // namespace sandboxd::jails
