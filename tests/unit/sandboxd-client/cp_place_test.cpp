#include "sandboxd-client/ctl/cp_place.h"

#include <gtest/gtest.h>

namespace sandboxd::ctl {
namespace {

CopyPlace place(std::string_view text) {
  const auto read = copy_place_from_text(text);
  EXPECT_TRUE(read.ok()) << text;
  return read.ok() ? *read : CopyPlace{};
}

TEST(CopyPlace, AColonBeforeAnySlashMarksAJail) {
  EXPECT_EQ(place("j:/a/b"), (CopyPlace{.jail = "j", .path = "/a/b"}));
  EXPECT_EQ(place("./j:/a"), (CopyPlace{.path = "./j:/a"}));
  EXPECT_EQ(place("/j:/a"), (CopyPlace{.path = "/j:/a"}));
  EXPECT_EQ(place("j:/a:b"), (CopyPlace{.jail = "j", .path = "/a:b"}));
}

TEST(CopyPlace, TheEndSaysWhatIsMeant) {
  EXPECT_EQ(place("a/"), (CopyPlace{.path = "a", .directory = true}));
  EXPECT_EQ(place("a/."), (CopyPlace{.path = "a", .contents = true, .directory = true}));
  EXPECT_EQ(place("j:/a//."), (CopyPlace{.jail = "j", .path = "/a", .contents = true, .directory = true}));
  EXPECT_EQ(place("j:/."), (CopyPlace{.jail = "j", .path = "/", .contents = true, .directory = true}));
  EXPECT_EQ(place("."), (CopyPlace{.path = ".", .contents = true, .directory = true}));
  EXPECT_EQ(place("/"), (CopyPlace{.path = "/"}));
  EXPECT_EQ(place("-"), (CopyPlace{.stream = true}));
  EXPECT_EQ(place("./-"), (CopyPlace{.path = "./-"}));
}

TEST(CopyPlace, PathsInAJailAreAbsoluteAndCanonical) {
  for (const char* text : {"j:", "j:a", "j:/a/../b", "j:/a//b", "j:.", ":/a", ""}) {
    EXPECT_FALSE(copy_place_from_text(text).ok()) << text;
  }
}

TEST(SplitPath, IsTheDirectoryAndTheName) {
  EXPECT_EQ(split_path("/a/b"), (SplitPath{"/a", "b"}));
  EXPECT_EQ(split_path("/a"), (SplitPath{"/", "a"}));
  EXPECT_EQ(split_path("a"), (SplitPath{".", "a"}));
  EXPECT_EQ(split_path("/"), (SplitPath{"/", ""}));
}

TEST(LocalName, IsNeverADot) {
  EXPECT_EQ(*local_name("/usr/include"), "include");
  EXPECT_EQ(*local_name("/usr/include/.."), "usr");
  EXPECT_EQ(*local_name("/"), "root");
  EXPECT_FALSE(local_name("/nothing-here/..").ok());
}

}  // namespace
}  // namespace sandboxd::ctl
