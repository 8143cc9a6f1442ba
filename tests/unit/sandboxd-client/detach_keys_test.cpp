#include "sandboxd-client/ctl/detach_keys.h"

#include <gtest/gtest.h>

namespace sandboxd::ctl {
namespace {

TEST(DetachKeysText, NamesControlKeysAndCharacters) {
  EXPECT_EQ(detach_keys_from_text(kDefaultDetachKeys), "\x10\x11");
  EXPECT_EQ(detach_keys_from_text("~,."), "~.");
  EXPECT_EQ(detach_keys_from_text("ctrl-@,ctrl-[,ctrl-_"), std::string("\0\x1b\x1f", 3));
  EXPECT_EQ(detach_keys_from_text("none"), "");
}

TEST(DetachKeysText, RefusesTheRest) {
  for (const char* text : {"", ",", "ctrl-p,", "ctrl-", "ctrl-P", "ctrl-pp", "ab", " ", "ctrl-1"}) {
    EXPECT_FALSE(detach_keys_from_text(text)) << text;
  }
}

TEST(DetachKeys, AreTakenOutOfWhatIsTyped) {
  DetachKeys keys("\x10\x11");
  EXPECT_EQ(keys.pass("ab\x10\x11 never"), "ab");
  EXPECT_TRUE(keys.seen());
}

TEST(DetachKeys, MayComeOneByOne) {
  DetachKeys keys("\x10\x11");
  EXPECT_EQ(keys.pass("\x10"), "");
  EXPECT_FALSE(keys.seen());
  EXPECT_EQ(keys.pass("\x11"), "");
  EXPECT_TRUE(keys.seen());
}

TEST(DetachKeys, LoseNothingOfWhatWasNotThem) {
  DetachKeys keys("aab");
  EXPECT_EQ(keys.pass("a"), "");
  EXPECT_EQ(keys.pass("c"), "ac");
  EXPECT_EQ(keys.pass("aaa"), "a");
  EXPECT_EQ(keys.pass("b"), "");
  EXPECT_TRUE(keys.seen());
}

TEST(DetachKeys, MayBeNone) {
  DetachKeys keys;
  EXPECT_EQ(keys.pass("\x10\x11"), "\x10\x11");
  EXPECT_FALSE(keys.seen());
}

}  // namespace
}  // namespace sandboxd::ctl
