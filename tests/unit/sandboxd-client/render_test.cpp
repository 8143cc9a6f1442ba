#include "sandboxd-client/ctl/render.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace sandboxd::ctl {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

const Table kTable{.header = {"A", "STATE", "C"}, .rows = {{"long name", "running", "x"}, {"ä", "ended", "y\x1b[0m"}}};

TEST(RenderTable, IsAlignedWithAHeaderOnATerminal) {
  EXPECT_EQ(render(kTable, {.terminal = true}),
            "A          STATE    C\nlong name  running  x\nä          ended    y\\x1b[0m\n");
}

TEST(RenderTable, IsTabsWithoutAHeaderElsewhere) {
  EXPECT_EQ(render(kTable, {}), "long name\trunning\tx\nä\tended\ty\\x1b[0m\n");
}

TEST(RenderTable, PaintsStatesOnlyWhenColoursAreWanted) {
  EXPECT_THAT(render(kTable, {.terminal = true, .colour = true}), HasSubstr("\x1b[32mrunning\x1b[0m"));
  EXPECT_THAT(render(kTable, {.terminal = true}), Not(HasSubstr("\x1b")));
}

TEST(RenderTable, KeepsARowOnOneLine) {
  EXPECT_EQ(render(Table{.rows = {{"a\nb", "c\td"}}}, {}), "a\\x0ab\tc\\x09d\n");
}

TEST(RenderStyle, HasColoursOnlyOnATerminalThatWantsThem) {
  EXPECT_TRUE(make_style(true, nullptr, "xterm").colour);
  EXPECT_TRUE(make_style(true, "", "xterm").colour);
  EXPECT_FALSE(make_style(true, "1", "xterm").colour);
  EXPECT_FALSE(make_style(true, nullptr, "dumb").colour);
  EXPECT_FALSE(make_style(true, nullptr, nullptr).colour);
  EXPECT_FALSE(make_style(false, nullptr, "xterm").colour);
}

TEST(RenderJson, FlattensNamesAndPlainLists) {
  const Json value = {{"a", {{"b", 1}, {"c", {"x", 2}}}}, {"d", Json::array({{{"e", true}}})}, {"f", nullptr}};
  EXPECT_THAT(flatten(value),
              ElementsAre(Pair("a.b", "1"), Pair("a.c", "x 2"), Pair("d.0.e", "true"), Pair("f", "null")));
}

TEST(RenderJson, NamesItemsByTheirOwnName) {
  const Json value = {{"f", Json::array({{{"name", "landlock"}, {"have", true}}})}};
  EXPECT_THAT(flatten(value), ElementsAre(Pair("f.landlock.have", "true")));
}

TEST(RenderTime, PicksAUnit) {
  EXPECT_EQ(time_text(0), "0ms");
  EXPECT_EQ(time_text(999'999), "999ms");
  EXPECT_EQ(time_text(3'250'000), "3.2s");
  EXPECT_EQ(time_text(61'000'000), "1min");
  EXPECT_EQ(time_text(7'200'000'000), "2h");
  EXPECT_EQ(time_text(3ULL * 86400 * 1'000'000), "3d");
}

TEST(RenderSize, PicksAUnit) {
  EXPECT_EQ(size_text(1023), "1023");
  EXPECT_EQ(size_text(1024), "1.0K");
  EXPECT_EQ(size_text(1536), "1.4K");
  EXPECT_EQ(size_text(2ULL << 30), "2.0G");
  EXPECT_EQ(size_text(UINT64_MAX).back(), 'E');
}

TEST(RenderCommand, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(command_text({"sh", "-c", "echo $x", ""}), "sh -c 'echo $x' ''");
}

TEST(RenderJail, ShowsHowItEnded) {
  protocol::JailInfo jail;
  jail.jail = "j-1";
  jail.state = "ended";
  jail.argv = {"true"};
  jail.started = 5'000'000;
  jail.report.emplace();
  jail.report->exit_code = 3;
  jail.in_force = {{"NoNewPrivs", "1"}};
  EXPECT_THAT(jail_table({jail}, 6'000'000).rows,
              ElementsAre(ElementsAre("j-1", "-", "", "exited 3", "0", "1.0s", "0", "-", "true")));
  EXPECT_THAT(render(jail_fields(jail), {}),
              AllOf(HasSubstr("verdict\texited 3\n"), HasSubstr("in force: NoNewPrivs\t1\n")));
}

TEST(RenderJail, HasNoAgeBeforeItsStart) {
  protocol::JailInfo jail;
  jail.started = 9;
  EXPECT_EQ(jail_table({jail}, 5).rows.at(0).at(5), "0ms");
}

}  // namespace
}  // namespace sandboxd::ctl
