#include "daemon/api/users.h"

#include <gtest/gtest.h>

namespace sandboxd::api {
namespace {

constexpr std::uint64_t kSecond = 1'000'000;

TEST(UserTable, BoundsConnectionsOfOneAndOfAll) {
  UserTable users({.connections = 2, .all_connections = 3});
  User* one = users.open(1, false, 0);
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(users.open(1, false, 0), one);
  EXPECT_EQ(users.open(1, false, 0), nullptr);
  EXPECT_NE(users.open(2, false, 0), nullptr);
  EXPECT_EQ(users.open(3, false, 0), nullptr) << "all of them";
  EXPECT_NE(users.open(0, true, 0), nullptr) << "an admin always gets in";
  users.close(*one);
  EXPECT_NE(users.open(3, false, 0), nullptr);
}

TEST(UserTable, GivesCallsBackWithTime) {
  UserTable users({.calls_per_second = 10});
  User* user = users.open(1, false, 0);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(users.take_call(*user, 0));
  EXPECT_FALSE(users.take_call(*user, 0));
  EXPECT_FALSE(users.take_call(*user, kSecond / 20));
  EXPECT_TRUE(users.take_call(*user, kSecond / 10));
  EXPECT_FALSE(users.take_call(*user, kSecond / 10));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(users.take_call(*user, 100 * kSecond));
  EXPECT_FALSE(users.take_call(*user, 100 * kSecond)) << "no more than a second's worth is saved up";
}

TEST(UserTable, CallThatTakesMuchCountsAsMany) {
  UserTable users({.calls_per_second = 10});
  User* user = users.open(1000, false, 0);
  EXPECT_TRUE(users.take_call(*user, 0));
  users.charge(*user, 14);
  EXPECT_FALSE(users.take_call(*user, kSecond / 2)) << "five of them are paid back";
  EXPECT_TRUE(users.take_call(*user, kSecond));
  users.charge(*user, 1e9);
  EXPECT_FALSE(users.take_call(*user, 2 * kSecond));
  EXPECT_TRUE(users.take_call(*user, 3 * kSecond + kSecond / 5)) << "two seconds after the last, at most";
}

TEST(UserTable, ReconnectingGivesNoNewCalls) {
  UserTable users({.calls_per_second = 10});
  User* user = users.open(1, false, 0);
  while (users.take_call(*user, 0)) {
  }
  users.close(*user);
  user = users.open(1, false, 1);
  EXPECT_FALSE(users.take_call(*user, 1));
}

TEST(UserTable, ForgetsUsersThatAreGone) {
  UserTable users({.connections = 1});
  User* user = users.open(1, false, 0);
  user->pending = 5;
  users.close(*user);
  User* again = users.open(1, false, 3 * kSecond);
  EXPECT_EQ(again->pending, 0U);
}

}  // namespace
}  // namespace sandboxd::api
