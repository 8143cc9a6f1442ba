#include "base/limit_text.h"

#include <gtest/gtest.h>

namespace sandboxd {
namespace {

const LimitRow& row(std::string_view name) { return *find_limit(name); }

TEST(LimitText, ReadsCoresToThousandths) {
  EXPECT_EQ(parse_cores("2"), 2000U);
  EXPECT_EQ(parse_cores("0.5"), 500U);
  EXPECT_EQ(parse_cores("1.25"), 1250U);
  EXPECT_EQ(parse_cores("0.001"), 1U);
  for (const char* wrong : {"", "0", "0.0", ".5", "1.", "0.0001", "-1", "1,5", "1e3", " 1", "01", "9999999"})
    EXPECT_EQ(parse_cores(wrong), std::nullopt) << wrong;
}

TEST(LimitText, ReadsEachKind) {
  EXPECT_EQ(parse_limit(row("memory_max"), "512M"), 512U << 20);
  EXPECT_EQ(parse_limit(row("wall_time"), "90s"), 90'000'000U);
  EXPECT_EQ(parse_limit(row("pids_max"), "64"), 64U);
  EXPECT_EQ(parse_limit(row("cpu_max"), "0.5"), 500U);
  EXPECT_EQ(parse_limit(row("cpu_weight"), "10000"), 10'000U);
  EXPECT_EQ(parse_limit(row("cpu_weight"), "10001"), std::nullopt);
}

TEST(LimitText, NoneIsAWordAndNotZero) {
  EXPECT_EQ(parse_limit(row("memory_max"), "infinity"), 0U);
  EXPECT_EQ(parse_limit(row("memory_max"), "0"), std::nullopt);
  EXPECT_EQ(parse_limit(row("memory_swap_max"), "infinity"), kNoLimit);
  EXPECT_EQ(parse_limit(row("memory_swap_max"), "0"), 0U);
  for (const char* name : {"nofile", "pids_max", "cpu_weight"}) {
    EXPECT_EQ(parse_limit(row(name), "infinity"), std::nullopt) << name;
    EXPECT_EQ(parse_limit(row(name), "0"), std::nullopt) << name;
  }
}

TEST(LimitText, IsReadBackFromWhatIsShown) {
  for (const LimitRow& each : kLimitRows) {
    for (const std::uint64_t value : {1ULL, 999ULL, 1000ULL, 1500ULL, 4096ULL}) {
      EXPECT_EQ(parse_limit(each, limit_text(each, value)), value) << each.name << " " << limit_text(each, value);
    }
  }
  EXPECT_EQ(limit_text(row("memory_max"), 3ULL << 29), "1536M");
  EXPECT_EQ(limit_text(row("memory_max"), 0), "infinity");
  EXPECT_EQ(limit_text(row("memory_swap_max"), 0), "0");
  EXPECT_EQ(limit_text(row("cpu_max"), 1500), "1.5");
  EXPECT_EQ(limit_text(row("wall_time"), 1'500'000), "1500ms");
}

TEST(LimitText, NoneIsTheWidest) {
  EXPECT_TRUE(is_wider(row("memory_max"), 0, 5));
  EXPECT_TRUE(is_wider(row("memory_max"), 6, 5));
  EXPECT_FALSE(is_wider(row("memory_max"), 5, 5));
  EXPECT_FALSE(is_wider(row("memory_max"), 6, 0));
  EXPECT_TRUE(is_wider(row("memory_swap_max"), 1, 0));
  EXPECT_FALSE(is_wider(row("memory_swap_max"), 0, 0));
  EXPECT_FALSE(is_wider(row("memory_swap_max"), kNoLimit, kNoLimit));
}

}  // namespace
}  // namespace sandboxd
