#include "sandboxd-client/ctl/terminal_text.h"

#include <gtest/gtest.h>

namespace sandboxd::ctl {
namespace {

std::string whole(std::string_view text) {
  TerminalText shown;
  std::string out = shown.add(text);
  return out + shown.end();
}

TEST(TerminalText, KeepsLinesTabsAndLetters) {
  EXPECT_EQ(whole("a\tb\nä€😀\n"), "a\tb\nä€😀\n");
  EXPECT_EQ(whole("line\r\n"), "line\n");
}

TEST(TerminalText, ShowsWhatATerminalWouldObey) {
  EXPECT_EQ(whole("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(whole("a\rb\x07"), "a\\x0db\\x07");
  EXPECT_EQ(whole("\xc2\x9b"), "\\xc2\\x9b");           // C1: CSI in one character
  EXPECT_EQ(whole("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right to left
  EXPECT_EQ(whole("\xff"), "\\xff");
  EXPECT_EQ(whole(std::string_view("\0", 1)), "\\x00");
}

TEST(TerminalText, IsTheSameHoweverItIsCut) {
  constexpr std::string_view kText = "ä\r\n€\x1b[1m😀\xc2\x9b\r\xf0\x9f";
  const std::string expected = whole(kText);
  for (std::size_t cut = 0; cut <= kText.size(); ++cut) {
    TerminalText shown;
    std::string out = shown.add(kText.substr(0, cut));
    out += shown.add(kText.substr(cut));
    out += shown.end();
    EXPECT_EQ(out, expected) << cut;
  }
  TerminalText bytewise;
  std::string out;
  for (const char byte : kText) out += bytewise.add({&byte, 1});
  EXPECT_EQ(out + bytewise.end(), expected);
}

TEST(TerminalText, HoldsBackNoMoreThanALetter) {
  TerminalText shown;
  EXPECT_EQ(shown.add("prompt> "), "prompt> ");
  EXPECT_EQ(shown.add("\xe2\x82"), "");
  EXPECT_EQ(shown.add("\xac"), "€");
}

}  // namespace
}  // namespace sandboxd::ctl
