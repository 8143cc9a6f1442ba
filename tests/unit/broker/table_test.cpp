#include "daemon/broker/table.h"

#include <gtest/gtest.h>

#include "base/ids.h"

namespace sandboxd::broker {
namespace {

constexpr Token kOne{1};
constexpr Token kTwo{2};

TEST(BrokerTable, RefusesIdsOfThePool) {
  const Table table;
  EXPECT_EQ(table.refusal(kPoolFirst, false), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(table.refusal(kPoolLast, false), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(table.refusal(kPoolFirst - 1, false), std::nullopt);
  EXPECT_EQ(table.refusal(kPoolLast + 1, false), std::nullopt);
}

TEST(BrokerTable, TakesRootOnTheAdminSocketOnly) {
  const Table table;
  EXPECT_EQ(table.refusal(0, false), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(table.refusal(0, true), std::nullopt);
  EXPECT_EQ(table.refusal(1000, true), BrokerRefusal::kNotAllowed);
}

TEST(BrokerTable, LimitsTheChildrenOfOneUidAndNotOfAnother) {
  Table table;
  ChildId last = 0;
  for (std::size_t i = 0; i < kPerUid; ++i) {
    EXPECT_EQ(table.refusal(1000, false), std::nullopt);
    last = table.add(1000);
  }
  EXPECT_EQ(table.refusal(1000, false), BrokerRefusal::kTooMany);
  EXPECT_EQ(table.refusal(1001, false), std::nullopt);
  table.remove(last);
  EXPECT_EQ(table.refusal(1000, false), std::nullopt);
}

TEST(BrokerTable, ChargesSubordinateIdsToTheirOwner) {
  Table table({{100000, 165535, 1000}});
  for (std::uint32_t i = 0; i < kPerUid; ++i) table.add(100000 + i);
  EXPECT_EQ(table.refusal(150000, false), BrokerRefusal::kTooMany);
  EXPECT_EQ(table.refusal(1000, false), BrokerRefusal::kTooMany);
  EXPECT_EQ(table.refusal(165536, false), std::nullopt);
  table.remove(1);
  EXPECT_EQ(table.refusal(1000, false), std::nullopt);
}

TEST(BrokerTable, LimitsTheChildrenOfAllUids) {
  Table table;
  for (std::uint32_t i = 0; i < kInAll; ++i) table.add(1000 + i);
  EXPECT_EQ(table.refusal(100000, false), BrokerRefusal::kTooMany);
}

TEST(BrokerTable, KeepsATokenForTheFirstWhoSentIt) {
  Table table;
  const ChildId first = table.add(1000);
  const ChildId second = table.add(1001);
  EXPECT_TRUE(table.hold(first, kOne));
  EXPECT_FALSE(table.hold(second, kOne));
  EXPECT_EQ(table.take(kOne), first);
}

TEST(BrokerTable, GivesATokenOnce) {
  Table table;
  const ChildId child = table.add(1000);
  ASSERT_TRUE(table.hold(child, kOne));
  EXPECT_EQ(table.take(kOne), child);
  EXPECT_EQ(table.take(kOne), std::nullopt);
  EXPECT_FALSE(table.hold(child, kTwo)) << "a child holds one token in its life";
}

TEST(BrokerTable, FreesTheTokenOfAChildThatEnds) {
  Table table;
  const ChildId first = table.add(1000);
  ASSERT_TRUE(table.hold(first, kOne));
  table.remove(first);
  EXPECT_EQ(table.take(kOne), std::nullopt);
  const ChildId second = table.add(1000);
  EXPECT_TRUE(table.hold(second, kOne));
}

TEST(BrokerTable, DoesNotFreeATokenThatIsAnothersByNow) {
  Table table;
  const ChildId first = table.add(1000);
  ASSERT_TRUE(table.hold(first, kOne));
  ASSERT_EQ(table.take(kOne), first);
  const ChildId second = table.add(1000);
  ASSERT_TRUE(table.hold(second, kOne));
  table.remove(first);
  EXPECT_EQ(table.take(kOne), second);
}

}  // namespace
}  // namespace sandboxd::broker
