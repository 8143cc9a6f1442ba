// What a profile's Landlock rules come to: rows of rights, by mounts and by the kernel's ABI; and what an ABI can't hold.
#include "daemon/launcher/landlock_rules.h"

#include <algorithm>
#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>

namespace sandboxd::launcher {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using wire::LandlockOptional;

constexpr int kNewest = 7;
constexpr std::uint64_t kTruncate = 1ULL << 14;
constexpr std::uint64_t kIoctl = 1ULL << 15;
constexpr std::uint64_t kMake = LANDLOCK_ACCESS_FS_MAKE_REG;
constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;

wire::JailPlan some_plan() {
  wire::JailPlan plan;
  plan.tmpfs = {{"/tmp", 4096, 10, 01777}, {"/dev/shm", 4096, 10, 01777}};
  plan.binds = {{0, "/work", wire::Access::kRw, true},
                {1, "/work/fixed", wire::Access::kRo, false},
                {2, "/data", wire::Access::kRo, false}};
  return plan;
}

wire::InitPlan rules(const wire::ProfileLandlock& landlock, int abi = kNewest) {
  wire::InitPlan init;
  put_landlock(init, some_plan(), landlock, abi);
  return init;
}

// Of all rows for the path itself.
std::uint64_t granted(const wire::InitPlan& init, const std::string& path) {
  std::uint64_t access = 0;
  for (const wire::LandlockRow& row : init.landlock) {
    if (row.path == path) access |= row.access;
  }
  return access;
}

wire::ProfileLandlock everything() {
  wire::ProfileLandlock landlock;
  landlock.read = landlock.execute = {true, {"/usr"}};
  landlock.write = landlock.truncate = {true, {"@scratch"}};
  landlock.ioctl = {true, {"/dev/tty"}};
  landlock.limits_connect = landlock.limits_bind = true;
  landlock.connect = {443};
  landlock.scopes = 3;
  return landlock;
}

std::vector<std::string> lacking_at(const wire::ProfileLandlock& landlock, int abi) {
  std::vector<std::string> names;
  for (const LackingRule& rule : lacking(landlock, abi)) names.push_back(fmt::format("{} {}", rule.rule, rule.abi));
  return names;
}

TEST(LandlockRules, GrantsBelowACallersFilesFollowNoSymlink) {
  wire::ProfileLandlock landlock;
  landlock.read = landlock.execute = {true, {"/usr", "/data/tools", "/work"}};
  for (const wire::LandlockRow& row : rules(landlock).landlock) {
    if ((row.access & (kReadFile | LANDLOCK_ACCESS_FS_EXECUTE)) == 0) continue;
    EXPECT_EQ(row.no_symlinks, row.path == "/data/tools" || row.path == "/work") << row.path;
  }
}

TEST(LandlockRules, OfEachAbiAreThoseThatItHas) {
  const std::array<std::uint64_t, 6> handled = {(1U << 13) - 1, (1U << 14) - 1, (1U << 15) - 1,
                                                (1U << 15) - 1, (1U << 16) - 1, (1U << 16) - 1};
  for (int abi = 1; abi <= 6; ++abi) {
    for (const wire::ProfileLandlock& landlock : {wire::ProfileLandlock{}, everything()}) {
      const wire::InitPlan init = rules(landlock, abi);
      const std::uint64_t known = handled.at(static_cast<std::size_t>(abi - 1));
      EXPECT_EQ(init.landlock_fs, known) << abi;
      for (const wire::LandlockRow& row : init.landlock) {
        EXPECT_EQ(row.access & ~known, 0U) << abi << row.path;
        EXPECT_NE(row.access, 0U) << "the kernel refuses a rule without a right (ENOMSG)";
      }
      EXPECT_EQ(init.landlock_scoped, abi >= 6 ? 3U : 0U) << abi;
      EXPECT_EQ(init.landlock_net, landlock.limits_bind && abi >= 4 ? 3U : 0U) << abi;
      EXPECT_EQ(init.landlock_ports.size(), landlock.limits_bind && abi >= 4 ? 1U : 0U) << abi;
    }
  }
}

TEST(LandlockRules, ThatAnAbiLacksAreNamedWithTheOneThatWouldDo) {
  const wire::ProfileLandlock all = everything();
  EXPECT_THAT(lacking_at(all, 6), IsEmpty());
  EXPECT_THAT(lacking_at(all, 5), ElementsAre("scopes 6"));
  EXPECT_THAT(lacking_at(all, 4), ElementsAre("ioctl 5", "scopes 6"));
  EXPECT_THAT(lacking_at(all, 3), ElementsAre("tcp_connect 4", "tcp_bind 4", "ioctl 5", "scopes 6"));
  for (const int abi : {1, 2}) {
    EXPECT_THAT(lacking_at(all, abi), ElementsAre("truncate 3", "tcp_connect 4", "tcp_bind 4", "ioctl 5", "scopes 6"));
    EXPECT_THAT(lacking_at({}, abi), IsEmpty()) << "a profile that says nothing is held by every kernel";
  }
}

TEST(LandlockRules, ThatAreNotOptionalAreRefused) {
  for (int abi = 1; abi <= 5; ++abi) {
    const Status held = check_held(some_plan(), everything(), abi);
    ASSERT_FALSE(held.ok()) << abi;
    EXPECT_EQ(held.error().code, EOPNOTSUPP);
    const LackingRule first = lacking(everything(), abi).front();
    EXPECT_THAT(held.error().message(),
                AllOf(HasSubstr(fmt::format("'landlock.{}' needs Landlock ABI {}", first.rule, first.abi)),
                      HasSubstr(fmt::format("this kernel has {}", abi)),
                      HasSubstr(fmt::format("\"optional\": [\"{}\"]", first.word))));
  }
  EXPECT_TRUE(check_held(some_plan(), everything(), 6).ok());
}

TEST(LandlockRules, ThatAreOptionalAreListedAsUnenforced) {
  wire::ProfileLandlock landlock = everything();
  landlock.optional = bit(LandlockOptional::kTruncate) | bit(LandlockOptional::kTcp) | bit(LandlockOptional::kIoctl);
  EXPECT_THAT(check_held(some_plan(), landlock, 2).error().message(),
              HasSubstr("'landlock.scopes' needs Landlock ABI 6"));
  landlock.optional |= bit(LandlockOptional::kScopes);
  for (int abi = 1; abi <= 6; ++abi) {
    EXPECT_TRUE(check_held(some_plan(), landlock, abi).ok()) << abi;
    const auto facts = landlock_facts(some_plan(), landlock, abi);
    const auto found = std::ranges::find(facts, "landlock_unenforced", &wire::Fact::name);
    ASSERT_EQ(found != facts.end(), abi < 6) << abi;
    if (abi == 3) {
      EXPECT_EQ(found->value, "tcp_connect tcp_bind ioctl scopes");
    }
    // What is not in force is not shown as if it were.
    EXPECT_EQ(std::ranges::count(facts, "landlock_truncate", &wire::Fact::name), abi >= 3 ? 1 : 0);
    EXPECT_EQ(std::ranges::count(facts, "landlock_ioctl", &wire::Fact::name), abi >= 5 ? 1 : 0);
    EXPECT_EQ(std::ranges::count(facts, "landlock_tcp_bind", &wire::Fact::name), abi >= 4 ? 1 : 0);
    EXPECT_EQ(std::ranges::count(facts, "landlock_scopes", &wire::Fact::name), abi >= 6 ? 1 : 0);
  }
}

TEST(LandlockRules, OfReadingLeaveTheJailsOwnDevAndProc) {
  wire::ProfileLandlock landlock;
  landlock.read = {true, {"/usr", "@workspace", "@binds"}};
  const wire::InitPlan init = rules(landlock);
  EXPECT_EQ(granted(init, "/") & (kReadFile | LANDLOCK_ACCESS_FS_READ_DIR), 0U);
  EXPECT_NE(granted(init, "/") & LANDLOCK_ACCESS_FS_EXECUTE, 0U) << "execute is a list of its own";
  for (const char* path : {"/usr", "/work", "/work/fixed", "/data", "/dev", "/proc"})
    EXPECT_NE(granted(init, path) & kReadFile, 0U) << path;
  EXPECT_EQ(granted(init, "/tmp") & kReadFile, 0U);
}

TEST(LandlockRules, OfWritingOnlyNarrowTheWritableMounts) {
  wire::ProfileLandlock landlock;
  landlock.write = {true, {"/work/out", "/work/fixed/sub", "/data", "/usr", "/dev/shm"}};
  const wire::InitPlan init = rules(landlock);
  EXPECT_NE(granted(init, "/work/out") & kMake, 0U);
  EXPECT_NE(granted(init, "/dev/shm") & kMake, 0U);
  for (const char* path : {"/work", "/work/fixed/sub", "/data", "/usr", "/tmp"})
    EXPECT_EQ(granted(init, path) & kMake, 0U) << path;
  landlock.write = {true, {"/"}};
  EXPECT_NE(granted(rules(landlock), "/work") & kMake, 0U);
  EXPECT_NE(granted(rules(landlock), "/tmp") & kMake, 0U);
  EXPECT_EQ(granted(rules(landlock), "/") & kMake, 0U);
  landlock.write = {true, {}};
  for (const wire::LandlockRow& row : rules(landlock).landlock) EXPECT_EQ(row.access & kMake, 0U) << row.path;
}

TEST(LandlockRules, OfWritingFollowNoSymlinkOfTheJobs) {
  wire::ProfileLandlock landlock;
  landlock.write = landlock.truncate = {true, {"/work/out"}};
  for (const wire::LandlockRow& row : rules(landlock).landlock)
    EXPECT_EQ(row.no_symlinks, row.path == "/work/out") << row.path;
}

TEST(LandlockRules, OfTruncationGoWithWritingUnlessTheyAreSaid) {
  EXPECT_NE(granted(rules({}), "/work") & kTruncate, 0U);
  wire::ProfileLandlock landlock;
  landlock.truncate = {true, {"@scratch"}};
  const wire::InitPlan init = rules(landlock);
  EXPECT_EQ(granted(init, "/work") & kTruncate, 0U);
  EXPECT_NE(granted(init, "/work") & kMake, 0U);
  EXPECT_NE(granted(init, "/tmp") & kTruncate, 0U);
  EXPECT_EQ(granted(init, "/proc") & kTruncate, 0U) << "jail-init tries it there";
}

TEST(LandlockRules, OfIoctlsAreOfDevices) {
  EXPECT_NE(granted(rules({}), "/dev") & kIoctl, 0U);
  wire::ProfileLandlock landlock;
  landlock.ioctl = {true, {"/dev/pts"}};
  EXPECT_EQ(granted(rules(landlock), "/dev") & kIoctl, 0U);
  EXPECT_EQ(granted(rules(landlock), "/dev/pts"), kIoctl);
}

TEST(LandlockRules, OfAWordAreRefusedWhereSomethingElseLiesBelow) {
  wire::JailPlan plan = some_plan();
  wire::ProfileLandlock landlock;
  landlock.write = {true, {"@scratch"}};
  EXPECT_TRUE(check_held(plan, landlock, kNewest).ok());
  plan.binds[0].target = "/tmp/work";
  plan.binds[1].target = "/tmp/fixed";  // read-only: nothing is written there whatever Landlock says
  const Status held = check_held(plan, landlock, kNewest);
  ASSERT_FALSE(held.ok());
  EXPECT_THAT(held.error().message(), AllOf(HasSubstr("'landlock.write' can't be held"), HasSubstr("'/tmp/work'"),
                                            HasSubstr("mount it elsewhere")));
  landlock.write = {true, {"@scratch", "@workspace"}};
  EXPECT_TRUE(check_held(plan, landlock, kNewest).ok());
  landlock.read = {true, {"/usr", "@scratch", "@workspace"}};
  EXPECT_THAT(check_held(plan, landlock, kNewest).error().message(), HasSubstr("'/tmp/fixed'"));
  landlock.read = {true, {"/usr", "/tmp"}};
  EXPECT_TRUE(check_held(plan, landlock, kNewest).ok()) << "a path means all that lies below";
}

TEST(LandlockRules, AreShownWithTheJailsOwnPaths) {
  wire::ProfileLandlock landlock;
  landlock.execute = {true, {"/usr", "@workspace"}};
  landlock.write = {true, {"@workspace"}};
  const auto facts = landlock_facts(some_plan(), landlock, 2);
  EXPECT_THAT(facts, ElementsAre(wire::Fact{"landlock_write", "/work"}, wire::Fact{"landlock_execute", "/usr /work"}));
}

}  // namespace
}  // namespace sandboxd::launcher
