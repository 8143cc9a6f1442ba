#include "base/path.h"

#include <string>

#include <gtest/gtest.h>

namespace sandboxd {
namespace {

TEST(CanonicalPath, IsAbsoluteWithoutEmptyOrDottedParts) {
  for (const char* path : {"/", "/a", "/usr/lib", "/...", "/.a", "/a.", "/..a", "/a b"})
    EXPECT_TRUE(is_canonical_path(path)) << path;
  for (const char* path :
       {"", "a", "./a", "/a/", "//", "//a", "/a//b", "/.", "/..", "/a/.", "/a/..", "/a/./b", "/a/../b"}) {
    EXPECT_FALSE(is_canonical_path(path)) << path;
  }
}

TEST(CanonicalPath, HasNoNulAndKeepsTheKernelsLengths) {
  EXPECT_FALSE(is_canonical_path(std::string_view("/a\0b", 4)));
  EXPECT_FALSE(is_canonical_path(std::string_view("/a\0", 3)));
  EXPECT_TRUE(is_canonical_path("/" + std::string(255, 'a')));
  EXPECT_FALSE(is_canonical_path("/" + std::string(256, 'a')));
  std::string deep;
  while (deep.size() + 101 <= 4095) deep += "/" + std::string(100, 'a');
  EXPECT_TRUE(is_canonical_path(deep));
  while (deep.size() <= 4095) deep += "/a";
  EXPECT_FALSE(is_canonical_path(deep));
}

TEST(Beneath, GoesByWholeParts) {
  EXPECT_TRUE(is_beneath("/a/b", "/a"));
  EXPECT_TRUE(is_beneath("/a", "/a"));
  EXPECT_TRUE(is_beneath("/a", "/"));
  EXPECT_FALSE(is_beneath("/ab", "/a"));
  EXPECT_FALSE(is_beneath("/a", "/a/b"));
}

}  // namespace
}  // namespace sandboxd
