#include <set>

#include <gtest/gtest.h>

#include "daemon/jails/events.h"
#include "daemon/jails/random_id.h"
#include "daemon/jails/table.h"
#include "tests/unit/jails/fakes.h"

namespace sandboxd::jails {
namespace {

TEST(Numbers, StartAtOneAndGoRound) {
  Numbers numbers(4);
  EXPECT_EQ(numbers.take(), 1U);
  EXPECT_EQ(numbers.take(), 2U);
  numbers.free(1);
  EXPECT_EQ(numbers.take(), 3U);
  EXPECT_EQ(numbers.take(), 1U);
  EXPECT_EQ(numbers.take(), 0U);
}

TEST(Numbers, SkipWhatIsTaken) {
  Numbers numbers(4);
  EXPECT_TRUE(numbers.mark(1));
  EXPECT_FALSE(numbers.mark(1));
  EXPECT_FALSE(numbers.mark(4));
  EXPECT_EQ(numbers.take(), 2U);
}

TEST(RandomId, IsUniqueAndCitable) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = random_id("j-");
    EXPECT_EQ(id.size(), 14U);
    EXPECT_EQ(id.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567-"), std::string::npos);
    EXPECT_TRUE(ids.insert(id).second);
  }
}

TEST(EventLog, GivesLateSubscribersWhatIsKept) {
  const test::Loop loop = test::make_loop();
  EventLog log(loop.get());
  for (std::size_t i = 0; i < EventLog::kMost + 10; ++i) log.add(Event{0, 0, "j", "k", "{}", 1});
  std::vector<std::uint64_t> cursors;
  const auto token = log.subscribe(1, false, 0, [&](const Event& event) { cursors.push_back(event.cursor); });
  ASSERT_TRUE(test::run_until(loop.get(), [&] { return cursors.size() == EventLog::kMost; }));
  EXPECT_EQ(cursors.front(), 11U);
}

TEST(EventLog, GivesThePastToWhomItBelongs) {
  const test::Loop loop = test::make_loop();
  EventLog log(loop.get());
  for (const uid_t uid : {1U, 2U, 1U}) log.add(Event{0, 0, "j", "k", "{}", uid});
  EXPECT_EQ(log.past(1, false, 0).size(), 2U);
  EXPECT_EQ(log.past(1, false, 1).size(), 1U);
  EXPECT_EQ(log.past(9, true, 0).size(), 3U);
}

TEST(EventLog, CallsNobodyWhoHasLeft) {
  const test::Loop loop = test::make_loop();
  EventLog log(loop.get());
  int calls = 0;
  Supervisor::Subscription token;
  token = log.subscribe(1, false, 0, [&](const Event&) {
    ++calls;
    token.reset();
  });
  log.add(Event{0, 0, "j", "k", "{}", 1});
  log.add(Event{0, 0, "j", "k", "{}", 1});
  test::run_for(loop.get(), 20'000);
  EXPECT_EQ(calls, 1);
}

TEST(EventLog, CountsWhatItForgot) {
  const test::Loop loop = test::make_loop();
  EventLog log(loop.get());
  for (std::size_t i = 0; i < EventLog::kMost + 10; ++i) log.add(Event{0, 0, "j", "k", "{}", 1});
  EXPECT_EQ(log.missed(0), 10U);
  EXPECT_EQ(log.missed(4), 6U);
  EXPECT_EQ(log.missed(10), 0U);
  EXPECT_EQ(log.missed(EventLog::kMost), 0U);
}

}  // namespace
}  // namespace sandboxd::jails
