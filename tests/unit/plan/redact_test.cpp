// What of arguments and variables is not shown.
#include "daemon/plan/redact.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sandboxd::plan {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Texts = std::vector<std::string>;

const Texts kNames = {"*TOKEN*", "*PASSWORD*", "API_KEY", "*AUTHORIZATION*"};

std::string shown(const std::string& argument, const Texts& env = {}) {
  return shown_argv(kNames, {"program", argument}, env).at(1);
}

TEST(HiddenNames, MatchWholeNamesWhateverTheirCaseAndDashes) {
  for (const char* name : {"API_KEY", "api-key", "Api.Key", "TOKEN", "my_token_2", "GITHUB-TOKEN", "passwords"})
    EXPECT_TRUE(is_hidden_name(kNames, name)) << name;
  for (const char* name : {"", "MY_API_KEY", "API_KEYS", "APIKEY", "TOKE", "PASS", "PATH"})
    EXPECT_FALSE(is_hidden_name(kNames, name)) << name;
  EXPECT_TRUE(is_hidden_name(Texts{"A*B*C"}, "aXbbXc"));
  EXPECT_FALSE(is_hidden_name(Texts{"A*B*C"}, "acb"));
  EXPECT_TRUE(is_hidden_name(Texts{"*"}, "anything"));
  EXPECT_TRUE(is_hidden_name(kNames, std::string(1000, 'x') + "TOKEN")) << "an endless name is one by its end";
}

TEST(ShownEnv, HidesTheValuesOfSuchNamesAlone) {
  EXPECT_THAT(shown_env(kNames, {"PATH=/bin", "API_KEY=abc", "A_TOKEN=", "PASSWORD=a=b", "noequals"}),
              ElementsAre("PATH=/bin", "API_KEY=[hidden]", "A_TOKEN=[hidden]", "PASSWORD=[hidden]", "noequals"));
}

TEST(ShownArgv, HidesWhatFollowsAName) {
  EXPECT_EQ(shown("--api-key=s3"), "--api-key=[hidden]");
  EXPECT_EQ(shown("API_KEY=s3 and more"), "API_KEY=[hidden]");
  EXPECT_EQ(shown("Authorization: Bearer s3"), "Authorization: [hidden]");
  EXPECT_EQ(shown("https://h/?a=1&token=s3"), "https://h/?a=1&token=[hidden]");
  EXPECT_EQ(shown("export API_KEY=s3; run"), "export API_KEY=[hidden] run");
  EXPECT_EQ(shown("API_TOKEN='s 3' run it"), "API_TOKEN=[hidden]");
  EXPECT_EQ(shown("A=1 API_TOKEN='s \\' 3' run it"), "A=1 API_TOKEN=[hidden] run it");
  EXPECT_EQ(shown("curl -H 'Authorization: Bearer s3' h"), "curl -H 'Authorization: [hidden]' h");
  EXPECT_EQ(shown(R"({"token": "s3", "user": "a"})"), R"({"token": [hidden], "user": "a"})");
  EXPECT_EQ(shown("run --password s3 --fast"), "run --password [hidden] --fast");
}

TEST(ShownArgv, HidesTheArgumentAfterAnOption) {
  EXPECT_THAT(shown_argv(kNames, {"p", "--password", "--s3", "-v", "--token"}, {}),
              ElementsAre("p", "--password", "[hidden]", "-v", "--token"));
  EXPECT_THAT(shown_argv(kNames, {"p", "--token", "--password", "x"}, {}),
              ElementsAre("p", "--token", "[hidden]", "x"));
  EXPECT_THAT(shown_argv(kNames, {"print", "password", "x"}, {}), ElementsAre("print", "password", "x"));
}

TEST(ShownArgv, LeavesTheRestAsItIs) {
  for (const char* text :
       {"", "-", "=", "a=b", "--verbose", "password", "--token=", "tokens are words", "PASS=x", "a\xff\x01 b", "'\"\\"})
    EXPECT_EQ(shown(text), text);
  EXPECT_EQ(shown_argv({}, {"p", "--token=s3"}, {"TOKEN=s3"}), (Texts{"p", "--token=s3"}));
}

TEST(ShownArgv, HidesAKnownValueWhereverItStands) {
  const Texts env = {"API_KEY=longsecret", "PATH=/bin/longpath", "TOKEN=short"};
  EXPECT_EQ(shown("http://user:longsecret@h/longsecret", env), "http://user:[hidden]@h/[hidden]");
  EXPECT_EQ(shown("/bin/longpath shortbread", env), "/bin/longpath shortbread");
  EXPECT_THAT(shown_argv(kNames, {"p", "x-longsecret", "--token", "longsecret"}, {}),
              ElementsAre("p", "x-[hidden]", "--token", "[hidden]"));
  EXPECT_THAT(shown_argv(kNames, {"p", "x-12345678", "--token='12345678'"}, {}),
              ElementsAre("p", "x-[hidden]", "--token=[hidden]"));
  EXPECT_EQ(shown("longsecretlonger", {"TOKEN=longsecret", "API_KEY=longsecretlonger"}), "[hidden]");
}

TEST(ShownArgv, HidesAllWhereThereAreTooManyToLookFor) {
  Texts env;
  for (int i = 0; i < 257; ++i) env.push_back("TOKEN" + std::to_string(i) + "=value-of-" + std::to_string(i));
  EXPECT_THAT(shown_argv(kNames, {"p", "x"}, env), Each("[hidden]"));
}

TEST(ShownArgv, CutsWhatIsLongAndNoSecretInTwo) {
  const std::string filler(kMostShown - 12, 'x');
  EXPECT_EQ(shown_argv(kNames, {"p", filler + "yyyyyyyyyyyyy"}, {}).at(1).size(), kMostShown - 2);
  const Texts cut = shown_argv(kNames, {"p", filler + "longsecret and more"}, {"TOKEN=longsecret and more"});
  EXPECT_THAT(cut, ElementsAre("p", "[hidden]"));
  EXPECT_THAT(shown_argv(kNames, {"p", std::string(kMostShown, 'x'), "--token=longsecret"}, {}),
              Each(Not(HasSubstr("longs"))));
}

}  // namespace
}  // namespace sandboxd::plan
