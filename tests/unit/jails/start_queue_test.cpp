#include "daemon/jails/start_queue.h"

#include <vector>

#include <gtest/gtest.h>

namespace sandboxd::jails {
namespace {

constexpr uid_t kAlice = 1000, kBob = 1001, kCarol = 1002;

std::vector<std::uint64_t> drain(StartQueue& queue) {
  std::vector<std::uint64_t> order;
  while (const auto next = queue.next()) {
    order.push_back(*next);
    queue.take();
  }
  return order;
}

TEST(StartQueue, TakesUsersInTurn) {
  StartQueue queue(100);
  for (std::uint64_t i = 1; i <= 5; ++i) queue.push(kAlice, i);
  queue.push(kBob, 11);
  queue.push(kBob, 12);
  queue.push(kCarol, 21);
  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{1, 11, 21, 2, 12, 3, 4, 5}));
}

TEST(StartQueue, NobodyHasMoreUnansweredThanTheMost) {
  StartQueue queue(2);
  for (std::uint64_t i = 1; i <= 200; ++i) queue.push(kAlice, i);
  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{1, 2}));
  queue.push(kBob, 11);
  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{11})) << "whatever hangs is of its own user";
  queue.answered(kAlice);
  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{3}));
  queue.answered(kBob);
  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{}));
  EXPECT_EQ(queue.waiting(), 197U);
}

TEST(StartQueue, ForgetsWhatNobodyWants) {
  StartQueue queue(1);
  for (std::uint64_t i = 1; i <= 3; ++i) queue.push(kAlice, i);
  queue.forget(1);
  queue.forget(3);
  queue.forget(99);
  EXPECT_EQ(drain(queue), (std::vector<std::uint64_t>{2}));
  queue.answered(kAlice);
  queue.push(kAlice, 4);
  queue.forget(4);
  EXPECT_EQ(queue.next(), std::nullopt);
  queue.push(kAlice, 5);
  EXPECT_EQ(queue.next(), 5U);
  queue.clear();
  EXPECT_EQ(queue.next(), std::nullopt);
  queue.answered(kAlice);
  EXPECT_EQ(queue.waiting(), 0U);
}

}  // namespace
}  // namespace sandboxd::jails
