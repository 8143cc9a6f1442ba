#include "protocol/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sandboxd::protocol {
namespace {

using ::testing::HasSubstr;

Checked check(std::string_view text) {
  Json value;
  return parse_json(text, value);
}

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJson, KeepsValuesAsTheyAre) {
  Json value;
  ASSERT_EQ(parse_json(R"({"a":[1,-2,3.5,true,false,null,"text\u00e9\u0000"],"b":{"c":{}}})", value), std::nullopt);
  EXPECT_EQ(value["a"], Json::array({1, -2, 3.5, true, false, nullptr, std::string("text\u00e9\0", 7)}));
  EXPECT_EQ(value["b"]["c"], Json::object());
  EXPECT_EQ(value.size(), 2U);
}

TEST(ParseJson, RefusesWhatIsNoJson) {
  for (const std::string_view text :
       {"",        " ",        "{",   "}",           "{\"a\"}",  "{\"a\":1,}",   "[1,]",     "01",
        "+1",      "1.",       ".5",  "0x10",        "NaN",      "Infinity",     "1e999",    "'a'",
        "// c\n1", "{} {}",    "{}x", "\"\\ud800\"", "\"\xff\"", "\"\xc0\x80\"", "\"a\nb\"", "\xEF\xBB\xBF{}",
        "tru",     "\"\\x41\""}) {
    EXPECT_NE(check(text), std::nullopt) << quoted(text);
  }
}

TEST(ParseJson, RefusesNulAndWhatFollowsIt) {
  using namespace std::string_view_literals;
  EXPECT_NE(check("{}\0"sv), std::nullopt);
  EXPECT_NE(check("{}\0{}"sv), std::nullopt);
}

TEST(ParseJson, RefusesDuplicateKeysAndNamesThem) {
  const Checked wrong = check(R"({"a":1,"b":[0,{"c":1,"d/e":2,"d/e":3}]})");
  ASSERT_NE(wrong, std::nullopt);
  EXPECT_EQ(wrong->path, "/b/1/d~1e");
  EXPECT_EQ(wrong->expected, "each key once");
  EXPECT_NE(check(R"({"a":1,"\u0061":2})"), std::nullopt) << "the same key, written another way";
}

TEST(ParseJson, BoundsDepth) {
  EXPECT_EQ(check(nested(kMaxDepth)), std::nullopt);
  const Checked wrong = check(nested(kMaxDepth + 1));
  ASSERT_NE(wrong, std::nullopt);
  EXPECT_THAT(wrong->expected, HasSubstr("32 levels"));
  EXPECT_NE(check(std::string(500'000, '[')), std::nullopt);
}

TEST(ParseJson, BoundsTheNumberOfValues) {
  std::string text = "[1";
  for (std::size_t i = 2; i < kMaxValues; ++i) text += ",1";
  EXPECT_EQ(check(text + "]"), std::nullopt);
  EXPECT_NE(check(text + ",1]"), std::nullopt);
}

TEST(ParseJson, SaysWhereTextBreaks) {
  const Checked wrong = check(R"({"a":[1,x]})");
  ASSERT_NE(wrong, std::nullopt);
  EXPECT_EQ(wrong->path, "/a");
  EXPECT_THAT(wrong->value, HasSubstr("at byte 9"));
}

TEST(Invalid, CutsLongValues) {
  const Invalid wrong = invalid("/a", Json(std::string(100'000, 'x')), "less");
  EXPECT_LT(wrong.value.size(), 300U);
  EXPECT_EQ(wrong.path, "/a");
}

TEST(ChildPath, EscapesAsJsonPointersDo) {
  EXPECT_EQ(child_path("/a", "b/c~d"), "/a/b~1c~0d");
  EXPECT_EQ(child_path("", 7), "/7");
}

TEST(BytesToJson, TextIsAString) {
  EXPECT_EQ(bytes_to_json("hello\n"), "hello\n");
  EXPECT_EQ(bytes_to_json("h\u00e9llo"), "h\u00e9llo");
  EXPECT_EQ(bytes_to_json(""), "");
}

TEST(BytesToJson, OtherBytesAreBase64) { EXPECT_EQ(bytes_to_json("\xff\xfe"), (Json{{"b64", "//4="}})); }

TEST(BytesToJson, IsNeverLongerThanBase64) {
  for (const std::string& bytes :
       {std::string(30'000, '\0'), std::string(30'000, '\n'), std::string(30'000, '"'), std::string(30'000, '\x1b'),
        std::string(30'000, 'a'), std::string(30'000, '\xff')}) {
    EXPECT_LE(to_text(bytes_to_json(bytes)).size(), 40'010U) << static_cast<int>(bytes[0]);
  }
}

TEST(BytesFromJson, GivesBackWhatWentIn) {
  for (int first = 0; first < 256; ++first) {
    const std::string bytes = std::string(1, static_cast<char>(first)) + "tail";
    std::string out;
    ASSERT_EQ(bytes_from_json(bytes_to_json(bytes), "", 100, out), std::nullopt) << first;
    EXPECT_EQ(out, bytes);
  }
}

TEST(BytesFromJson, RefusesOtherShapes) {
  std::string out;
  for (const Json& value :
       {Json(1), Json(nullptr), Json::array(), Json::object(), Json{{"b64", 1}}, Json{{"B64", "AA=="}},
        Json{{"b64", "AA"}}, Json{{"b64", "A A="}}, Json{{"b64", "AB=="}}, Json{{"b64", "AA=="}, {"more", 1}}}) {
    EXPECT_NE(bytes_from_json(value, "", 100, out), std::nullopt) << value;
  }
}

TEST(BytesFromJson, BoundsTheDecodedSize) {
  std::string out;
  EXPECT_EQ(bytes_from_json("abcd", "", 4, out), std::nullopt);
  EXPECT_NE(bytes_from_json("abcde", "", 4, out), std::nullopt);
  EXPECT_NE(bytes_from_json(Json{{"b64", base64_encode("abcde")}}, "", 4, out), std::nullopt);
}

TEST(ToText, IsOneLineWithoutNulEvenFromBrokenText) {
  const std::string text = to_text(Json(std::string("a\0b\n\xff", 5)));
  EXPECT_EQ(text.find('\0'), std::string::npos);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_TRUE(is_utf8(text));
}

}  // namespace
}  // namespace sandboxd::protocol
