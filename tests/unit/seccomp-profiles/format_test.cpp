// The filter format: what it takes, and that every mistake is told with file, line, place and remedy.
#include <linux/seccomp.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "seccomp-profiles/model/constants.h"
#include "seccomp-profiles/model/json_tree.h"
#include "tests/unit/seccomp-profiles/shipped.h"

namespace sandboxd::filters {
namespace {

using testing::HasSubstr;

constexpr std::string_view kHead = R"({"name":"f","description":"d",
"default":{"action":"errno","errno":"ENOSYS","why":"w"},
"foreign_abi":{"action":"errno","errno":"ENOSYS","why":"w"},
)";

// The message for a filter whose rest (after line 3) is this; empty when it is fine.
std::string fault_of(const std::string& rest, std::map<std::string, std::string> others = {}) {
  others["f"] = std::string(kHead) + rest;
  const Result<Filter> filter = load_filter("f", loader_of(others));
  if (!filter.ok()) return filter.error().message();
  const Status names = check_names(*filter);
  return names.ok() ? "" : names.error().message();
}

struct Mistake {
  std::string name;
  std::string rest;
  std::vector<std::string> message;
};
void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.name; }

class FilterMistake : public testing::TestWithParam<Mistake> {};

TEST_P(FilterMistake, IsToldWithItsPlaceAndRemedy) {
  const std::string message = fault_of(GetParam().rest);
  EXPECT_THAT(message, HasSubstr("'f.json'"));
  for (const std::string& part : GetParam().message) EXPECT_THAT(message, HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(
    All, FilterMistake,
    testing::Values(
        Mistake{"UnknownCall",
                "\"rules\":[\n{\"syscalls\":[\"read\",\n\"opne\"],\"action\":\"allow\",\"why\":\"w\"}]}",
                {"line 6", "'rules[0].syscalls[1]'", "unknown system call 'opne'", "did you mean 'open'"}},
        Mistake{"CallOfAnotherArch",
                R"("rules":[{"syscalls":["open"],"action":"allow","why":"w"}]})",
                {"line 4", "aarch64 has no system call 'open'", "\"architectures\": [\"x86_64\"]"}},
        Mistake{"UnknownCallInAnUnusedGroup",
                R"("groups":{"@g":{"why":"w","syscalls":["raed"]}},"rules":[]})",
                {"'groups.@g.syscalls[0]'", "unknown system call 'raed'", "did you mean 'read'"}},
        Mistake{"NoWhy",
                "\"rules\":[\n{\"syscalls\":[\"read\"],\"action\":\"allow\"}]}",
                {"line 5", "'rules[0]'", "key 'why' is missing"}},
        Mistake{"EmptyWhy",
                R"("rules":[{"syscalls":["read"],"action":"allow","why":"  "}]})",
                {"'rules[0].why'", "not empty"}},
        Mistake{"UnknownKey",
                R"("rules":[{"syscalls":["read"],"acton":"allow","why":"w"}]})",
                {"unknown key 'acton'", "did you mean 'action'"}},
        Mistake{"KeyTwice",
                "\"rules\":[{\"syscalls\":[\"read\"],\"action\":\"allow\",\n\"action\":\"errno\",\"errno\":\"EPERM\","
                "\"why\":\"w\"}]}",
                {"line 5", "key 'action' is given twice"}},
        Mistake{"NotJson", "\"rules\":[,]}", {"line 4", "not JSON"}},
        Mistake{"UnknownAction",
                R"("rules":[{"syscalls":["read"],"action":"alow","why":"w"}]})",
                {"'rules[0].action'", "is 'alow'", "'allow', 'errno' or 'kill_process'"}},
        Mistake{"ErrnoWithoutAction",
                R"("rules":[{"syscalls":["read"],"action":"allow","errno":"EPERM","why":"w"}]})",
                {"'errno' goes with"}},
        Mistake{"UnknownErrno",
                R"("rules":[{"syscalls":["read"],"action":"errno","errno":"EPREM","why":"w"}]})",
                {"'rules[0].errno'", "errno(3)"}},
        Mistake{
            "NoWidth",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"op":"equal","value":1}]}]})",
            {"'rules[0].when[0]'", "key 'width' is missing"}},
        Mistake{
            "WrongWidth",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":33,"op":"equal","value":1}]}]})",
            {"is 33", "32 (int"}},
        Mistake{
            "SeventhArgument",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":6,"width":32,"op":"equal","value":1}]}]})",
            {"from 0 to 5"}},
        Mistake{
            "UnknownConstant",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":32,"op":"equal","value":"AF_UNIXX"}]}]})",
            {"is 'AF_UNIXX'", "did you mean 'AF_UNIX'"}},
        Mistake{
            "ValueOutsideTheMask",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":32,"op":"masked_equal","mask":3,"value":4}]}]})",
            {"outside the mask"}},
        Mistake{
            "EmptyMask",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":32,"op":"any_bit","mask":0}]}]})",
            {"would not look"}},
        Mistake{
            "MaskWithoutUse",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":32,"op":"equal","mask":3,"value":1}]}]})",
            {"'equal' takes no 'mask'"}},
        Mistake{
            "WideValueInANarrowCondition",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":32,"op":"equal","value":4294967296}]}]})",
            {"32 bits"}},
        Mistake{
            "ListForAnOrder",
            R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[{"arg":0,"width":32,"op":"less","value":[1,2]}]}]})",
            {"takes one value"}},
        Mistake{"EmptyConditions",
                R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","when":[]}]})",
                {"leave the key out"}},
        Mistake{"UnknownParameter",
                R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","profile":{"unix_socket":"any"}}]})",
                {"did you mean 'unix_sockets'"}},
        Mistake{"UnknownParameterValue",
                R"("rules":[{"syscalls":["read"],"action":"allow","why":"w","profile":{"unix_sockets":"all"}}]})",
                {"one of none, any"}},
        Mistake{"UnknownGroup",
                R"("rules":[{"syscalls":["@io"],"action":"allow","why":"w"}]})",
                {"unknown group '@io'", "defined above"}},
        Mistake{"GroupWithoutWhy",
                R"("groups":{"@g":{"syscalls":["read"]}},"rules":[]})",
                {"'groups.@g'", "key 'why' is missing"}},
        Mistake{"CallTwice",
                R"("rules":[{"syscalls":["read","read"],"action":"allow","why":"w"}]})",
                {"'rules[0].syscalls[1]'", "listed twice"}},
        Mistake{"DeadRule",
                "\"rules\":[{\"syscalls\":[\"read\"],\"action\":\"allow\",\"why\":\"w\"},\n{\"syscalls\":[\"read\"],"
                "\"action\":\"errno\",\"errno\":\"EPERM\",\"why\":\"w\"}]}",
                {"line 5", "decided already by the rule of line 4"}},
        Mistake{"NoRules", R"("groups":{}})", {"key 'rules' is missing"}},
        Mistake{
            "NoCalls", R"("rules":[{"syscalls":[],"action":"allow","why":"w"}]})", {"'rules[0].syscalls'", "is empty"}},
        Mistake{"UnknownArch",
                R"("rules":[{"syscalls":["read"],"architectures":["riscv64"],"action":"allow","why":"w"}]})",
                {"is 'riscv64'", "'x86_64' or 'aarch64'"}},
        Mistake{"IncludeWithMore", R"("rules":[{"include":"g","why":"w"}]})", {"unknown key 'why'"}},
        Mistake{"MissingInclude", R"("rules":[{"include":"nothere"}]})", {"'rules[0].include'", "nothere"}},
        Mistake{"IncludeOfItself", R"("rules":[{"include":"f"}]})", {"'f' is included already"}},
        Mistake{"IncludePath", R"("rules":[{"include":"../f"}]})", {"without '.json'"}}),
    [](const auto& mistake) { return mistake.param.name; });

TEST(FilterFormat, TakesTheLeastFilter) { EXPECT_EQ(fault_of(R"("rules":[]})"), ""); }

TEST(FilterFormat, IncludesStandInPlace) {
  const std::string included = R"({"name":"g","description":"d","groups":{"@g":{"why":"w","syscalls":["read","write"]}},
    "rules":[{"syscalls":["@g"],"action":"errno","errno":"EPERM","why":"w"}]})";
  const std::string text =
      std::string(kHead) + R"("rules":[{"syscalls":["read"],"action":"allow","why":"w"},{"include":"g"},
    {"syscalls":["@g","pipe2"],"action":"allow","why":"w"}]})";
  Result<Filter> filter = load_filter("f", loader_of({{"f", text}, {"g", included}}));
  ASSERT_TRUE(filter.ok()) << filter.error().message();
  const auto compiled = compile(std::move(filter).value(), Arch::kX86_64);
  EXPECT_EQ(compiled->run(0, {}), std::uint32_t{SECCOMP_RET_ALLOW}) << "the rule before the include decides read";
  EXPECT_EQ(compiled->run(1, {}), ret_errno(EPERM)) << "the included rule decides write";
  EXPECT_EQ(compiled->run(293, {}), std::uint32_t{SECCOMP_RET_ALLOW});
}

TEST(FilterFormat, RefusesToIncludeAWholeFilter) {
  const std::string whole =
      R"({"name":"g","description":"d","default":{"action":"errno","errno":"ENOSYS","why":"w"},"rules":[]})";
  EXPECT_THAT(fault_of(R"("rules":[{"include":"g"}]})", {{"g", whole}}), HasSubstr("is a whole filter"));
}

TEST(FilterFormat, RefusesADefaultThatAllows) {
  const std::string text =
      R"({"name":"f","description":"d","default":{"action":"allow","why":"w"},"foreign_abi":{"action":"kill_process","why":"w"},"rules":[]})";
  const Result<Filter> filter = load_filter("f", loader_of({{"f", text}}));
  ASSERT_FALSE(filter.ok());
  EXPECT_THAT(filter.error().message(), HasSubstr("lists what is allowed"));
}

TEST(FilterFormat, RefusesANameThatIsNotTheFiles) {
  const Result<Filter> filter = load_filter("f", loader_of({{"f", R"({"name":"g"})"}}));
  ASSERT_FALSE(filter.ok());
  EXPECT_THAT(filter.error().message(), HasSubstr("expected 'f', the file's own name"));
}

TEST(Constants, ReadNumbersAsCDoes) {
  EXPECT_EQ(constant_value("12"), 12U);
  EXPECT_EQ(constant_value("0"), 0U);
  EXPECT_EQ(constant_value("04000"), 2048U);
  EXPECT_EQ(constant_value("0x5412"), 0x5412U);
  EXPECT_EQ(constant_value("S_ISUID|S_ISGID"), 06000U);
  EXPECT_EQ(constant_value("S_ISUID|1"), 04001U);
  for (const std::string_view wrong : {"", "x", "08", "0x", "-1", "1 ", "S_ISUID|", "|", "0x10000000000000000"}) {
    EXPECT_EQ(constant_value(wrong), std::nullopt) << wrong;
  }
}

TEST(Constants, KnowErrnoByName) {
  EXPECT_EQ(errno_value("EPERM"), EPERM);
  EXPECT_EQ(errno_value("ENOSYS"), ENOSYS);
  EXPECT_EQ(errno_value("1"), std::nullopt);
  EXPECT_EQ(errno_value(""), std::nullopt);
}

TEST(JsonTree, KnowsTheLineOfEveryValue) {
  const Result<JsonNode> root = parse_json("{\n\"a\":\n1\n,\n\"b\": [true,\n\"x\"\n]}\n", "f");
  ASSERT_TRUE(root.ok()) << root.error().message();
  EXPECT_EQ(root->line, 1);
  EXPECT_EQ(root->members[0].second.line, 3);
  EXPECT_EQ(root->members[1].second.line, 5);
  EXPECT_EQ(root->members[1].second.items[0].line, 5);
  EXPECT_EQ(root->members[1].second.items[1].line, 6);
}

TEST(JsonTree, RefusesWhatIsTooDeep) {
  const Result<JsonNode> root = parse_json(std::string(100, '[') + std::string(100, ']'), "f");
  ASSERT_FALSE(root.ok());
  EXPECT_THAT(root.error().message(), HasSubstr("nested deeper than 32"));
}

TEST(JsonTree, RefusesTextAfterTheEnd) {
  EXPECT_FALSE(parse_json("{} x", "f").ok());
  EXPECT_FALSE(parse_json("", "f").ok());
  EXPECT_FALSE(parse_json("{} // why", "f").ok());
}

}  // namespace
}  // namespace sandboxd::filters
