#include "base/text.h"

#include <limits>

#include <gtest/gtest.h>

namespace sandboxd {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

TEST(ParseUint, TakesDecimalDigitsOnly) {
  EXPECT_EQ(parse_uint("0", kMost), 0U);
  EXPECT_EQ(parse_uint("42", kMost), 42U);
  EXPECT_EQ(parse_uint("18446744073709551615", kMost), kMost);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "01", "00", "0x1", "1e3", "1.0", "a", "18446744073709551616",
                           "99999999999999999999"}) {
    EXPECT_EQ(parse_uint(text, kMost), std::nullopt) << text;
  }
}

TEST(ParseUint, TakesNothingAboveTheMost) {
  EXPECT_EQ(parse_uint("10", 10), 10U);
  EXPECT_EQ(parse_uint("11", 10), std::nullopt);
}

TEST(ParseSize, KnowsBinaryUnits) {
  EXPECT_EQ(parse_size("1048576"), 1U << 20);
  EXPECT_EQ(parse_size("64K"), 64U << 10);
  EXPECT_EQ(parse_size("512M"), 512U << 20);
  EXPECT_EQ(parse_size("2G"), 2ULL << 30);
  EXPECT_EQ(parse_size("1T"), 1ULL << 40);
  for (const char* text : {"", "K", "-1K", "1k", "1KB", "1 K", "1.5G", "99999999999G", "9223372036854775808"})
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
}

TEST(ParseTimespan, KnowsTheUnitsOfSystemd) {
  EXPECT_EQ(parse_timespan_usec("90"), 90'000'000U);
  EXPECT_EQ(parse_timespan_usec("90s"), 90'000'000U);
  EXPECT_EQ(parse_timespan_usec("500ms"), 500'000U);
  EXPECT_EQ(parse_timespan_usec("7us"), 7U);
  EXPECT_EQ(parse_timespan_usec("5min"), 300'000'000U);
  EXPECT_EQ(parse_timespan_usec("2h"), 7'200'000'000U);
  EXPECT_EQ(parse_timespan_usec("1d"), 86'400'000'000U);
  for (const char* text : {"", "s", "1 s", "-1s", "1.5s", "1y", "999999999999d"})
    EXPECT_EQ(parse_timespan_usec(text), std::nullopt) << text;
}

TEST(Quoted, IsSafeForATerminalAndALogLine) {
  EXPECT_EQ(quoted("plain text"), "'plain text'");
  EXPECT_EQ(quoted("a'b\\c"), "'a\\x27b\\x5cc'");
  EXPECT_EQ(quoted("a\nb\x1b[31m"), "'a\\x0ab\\x1b[31m'");
  EXPECT_EQ(quoted("h\xC3\xA9"), "'h\xC3\xA9'");
  EXPECT_EQ(quoted("\xFF\xC3"), "'\\xff\\xc3'");
  EXPECT_EQ(quoted("\xE2\x80\xAE"), "'\\xe2\\x80\\xae'") << "RIGHT-TO-LEFT OVERRIDE";
  EXPECT_EQ(quoted("\xC2\x9B"), "'\\xc2\\x9b'") << "CSI as one C1 character";
  EXPECT_EQ(quoted(std::string_view("\0", 1)), "'\\x00'");
}

TEST(Escaped, KeepsQuotes) { EXPECT_EQ(escaped("it's\t"), "it's\\x09"); }

TEST(Utf8, KnowsWellFormedText) {
  for (const char* text : {"", "abc", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF",
                           "\xED\x9F\xBF", "\xEE\x80\x80"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
  for (const char* text :
       {"\x80", "\xC3", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x80\x80\xAF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "a\xE2\x82", "\xE2(\xA1"}) {
    EXPECT_FALSE(is_utf8(text)) << text;
  }
}

TEST(Base64, GoesThereAndBack) {
  EXPECT_EQ(base64_encode(""), "");
  EXPECT_EQ(base64_encode("f"), "Zg==");
  EXPECT_EQ(base64_encode("fo"), "Zm8=");
  EXPECT_EQ(base64_encode("foo"), "Zm9v");
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    bytes += static_cast<char>(i);
    ASSERT_EQ(base64_decode(base64_encode(bytes)), bytes) << i;
  }
}

TEST(Base64, IsStrict) {
  for (const char* text :
       {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z g=", "Zm8\n", "Zm8-", "Zm8_", "====", "Zg==Zg==", "=Zg="}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
}

TEST(Hex, TakesLowerCaseOnly) {
  const std::uint8_t bytes[] = {0x00, 0x9f, 0xff};
  EXPECT_EQ(hex(bytes), "009fff");
  EXPECT_EQ(from_hex("009fff"), std::string("\x00\x9f\xff", 3));
  for (const char* text : {"0", "0g", "FF", "0x", " 0"}) EXPECT_EQ(from_hex(text), std::nullopt) << text;
}

}  // namespace
}  // namespace sandboxd
