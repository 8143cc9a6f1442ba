#include "daemon/jails/output_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sandboxd::jails {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

TEST(OutputLimit, NoneLetsEverythingPass) {
  OutputLimit limit;
  EXPECT_EQ(limit.take(0, std::string(1 << 20, 'x')), 1U << 20);
  EXPECT_FALSE(limit.over());
  EXPECT_EQ(limit.end(0), "");
}

TEST(OutputLimit, CountsBothOutputsTogether) {
  OutputLimit limit(10);
  EXPECT_EQ(limit.take(0, "123456"), 6U);
  EXPECT_EQ(limit.take(1, "7890"), 4U);
  EXPECT_FALSE(limit.over()) << "as much as is allowed is not too much";
  EXPECT_EQ(limit.take(0, "x"), 0U);
  EXPECT_TRUE(limit.over());
}

TEST(OutputLimit, ASmallRestIsWholeBehindTheMark) {
  OutputLimit limit(4);
  EXPECT_EQ(limit.take(0, "abcdef"), 4U);
  EXPECT_EQ(limit.take(0, "gh"), 0U);
  EXPECT_EQ(limit.end(0), "\n[sandboxd: output_max 4 was reached; 0 bytes are left out here]\nefgh");
  EXPECT_EQ(limit.end(0), "") << "once";
  EXPECT_EQ(limit.end(1), "") << "nothing of it was cut";
}

TEST(OutputLimit, KeepsTheLastOfALargeRest) {
  OutputLimit limit(1);
  (void)limit.take(1, "a");
  for (int i = 0; i < 1000; ++i) (void)limit.take(1, std::string(1000, static_cast<char>('b' + i % 20)));
  (void)limit.take(1, "the end");
  const std::string end = limit.end(1);
  EXPECT_THAT(end, HasSubstr("; 995911 bytes are left out here]\n"));
  EXPECT_THAT(end, EndsWith("the end"));
  EXPECT_LT(end.size(), OutputLimit::kTail + 100);
}

}  // namespace
}  // namespace sandboxd::jails
