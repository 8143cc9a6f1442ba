#include "base/user_names.h"

#include <gtest/gtest.h>

namespace sandboxd {
namespace {

TEST(Passwd, GivesTheFirstNameOfEachId) {
  const auto names = parse_passwd(
      "root:x:0:0::/root:/bin/sh\nbad\nalice:x:1000:1000:::\nalias:x:1000:1::/:/\n:x:7:7::/:\nneg:x:-1:0::/"
      ":\nlast:x:9");
  EXPECT_EQ(names.size(), 3U);
  EXPECT_EQ(names.at(0), "root");
  EXPECT_EQ(names.at(1000), "alice");
  EXPECT_EQ(names.at(9), "last");
}

TEST(IdOfName, IsOfTheFirstLineWithThatName) {
  constexpr std::string_view kGroups =
      "root:x:0:\nwheel:x:10:alice,bob\nwheel:x:11:\n:x:12:\nbad:x:-3:\nshort:x\nlast:x:9";
  EXPECT_EQ(id_of_name(kGroups, "wheel"), 10U);
  EXPECT_EQ(id_of_name(kGroups, "last"), 9U);
  EXPECT_EQ(id_of_name(kGroups, "alice"), std::nullopt);
  EXPECT_EQ(id_of_name(kGroups, "bad"), std::nullopt);
  EXPECT_EQ(id_of_name(kGroups, "short"), std::nullopt);
  EXPECT_EQ(id_of_name(kGroups, ""), std::nullopt);
}

}  // namespace
}  // namespace sandboxd
