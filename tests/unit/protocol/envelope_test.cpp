#include "protocol/envelope.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sandboxd::protocol {
namespace {

Checked check(std::string_view frame) {
  CallHead head;
  Json parameters;
  return parse_call(frame, head, parameters);
}

TEST(ParseCall, ReadsTheWholeHead) {
  CallHead head;
  Json parameters;
  ASSERT_EQ(parse_call(R"({"method":"a.b.C","parameters":{"x":1},"more":true,"oneway":false,"upgrade":false})", head,
                       parameters),
            std::nullopt);
  EXPECT_EQ(head, (CallHead{"a.b.C", true, false}));
  EXPECT_EQ(parameters, (Json{{"x", 1}}));
}

TEST(ParseCall, ParametersMayBeAbsentOrNull) {
  for (const std::string_view frame :
       {R"({"method":"a.b.C"})", R"({"method":"a.b.C","parameters":null,"more":null})"}) {
    CallHead head;
    Json parameters;
    ASSERT_EQ(parse_call(frame, head, parameters), std::nullopt);
    EXPECT_EQ(parameters, Json::object());
  }
}

struct Bad {
  std::string_view frame, path;
};

TEST(ParseCall, RefusesEverythingElseAndSaysWhere) {
  for (const Bad& bad : {
           Bad{"", ""},
           Bad{"[]", ""},
           Bad{R"({})", "/method"},
           Bad{R"({"method":1})", "/method"},
           Bad{R"({"method":null})", "/method"},
           Bad{R"({"method":"a.b.C","parameters":[]})", "/parameters"},
           Bad{R"({"method":"a.b.C","more":1})", "/more"},
           Bad{R"({"method":"a.b.C","oneway":"true"})", "/oneway"},
           Bad{R"({"method":"a.b.C","upgrade":true})", "/upgrade"},
           Bad{R"({"method":"a.b.C","extra":1})", "/extra"},
           Bad{R"({"method":"a.b.C","method":"a.b.D"})", "/method"},
       }) {
    const Checked wrong = check(bad.frame);
    ASSERT_NE(wrong, std::nullopt) << bad.frame;
    EXPECT_EQ(wrong->path, bad.path) << bad.frame;
  }
}

TEST(ParseCall, KnowsThatABadCallWasOneway) {
  CallHead head;
  Json parameters;
  EXPECT_NE(parse_call(R"({"method":1,"oneway":true})", head, parameters), std::nullopt);
  EXPECT_TRUE(head.oneway);
}

TEST(CallText, IsReadBack) {
  const CallHead head{"a.b.C", true, false};
  CallHead read;
  Json parameters;
  ASSERT_EQ(parse_call(call_text(head, {{"x", "y"}}), read, parameters), std::nullopt);
  EXPECT_EQ(read, head);
  EXPECT_EQ(parameters, (Json{{"x", "y"}}));
}

TEST(ReplyText, IsWhatVarlinkSays) {
  EXPECT_EQ(Json::parse(reply_text({{"x", 1}}, false)), Json::parse(R"({"parameters":{"x":1}})"));
  EXPECT_EQ(Json::parse(reply_text({{"x", 1}}, true)), Json::parse(R"({"continues":true,"parameters":{"x":1}})"));
  EXPECT_EQ(Json::parse(error_text("a.b.E", {{"x", 1}})), Json::parse(R"({"error":"a.b.E","parameters":{"x":1}})"));
}

}  // namespace
}  // namespace sandboxd::protocol
