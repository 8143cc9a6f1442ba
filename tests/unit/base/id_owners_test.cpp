#include "base/id_owners.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sandboxd {
namespace {

constexpr std::string_view kPasswd =
    "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n";

std::uint32_t owner(std::string_view subuid, std::uint32_t uid) {
  return owner_of(parse_id_owners(subuid, kPasswd), uid);
}

TEST(IdOwners, ARangeIsItsOwnersAndNothingBesideIt) {
  const std::string_view text = "alice:100000:65536\n1001:165536:10\n";
  EXPECT_EQ(owner(text, 99999), 99999U);
  EXPECT_EQ(owner(text, 100000), 1000U);
  EXPECT_EQ(owner(text, 165535), 1000U);
  EXPECT_EQ(owner(text, 165536), 1001U);
  EXPECT_EQ(owner(text, 165546), 165546U);
  EXPECT_EQ(owner(text, 1000), 1000U);
  EXPECT_EQ(owner("", 100000), 100000U);
}

TEST(IdOwners, OfAnOwnerWithoutAnAccountAndOfRootTheRangeIsOneUser) {
  const std::string_view text = "gone:100000:65536\nroot:200000:65536\n0:300000:2";
  EXPECT_EQ(owner(text, 100007), 100000U);
  EXPECT_EQ(owner(text, 265535), 200000U);
  EXPECT_EQ(owner(text, 300001), 300000U);
}

TEST(IdOwners, AnAccountInARangeIsNobodyElses) {
  const std::string_view text = "alice:1:4294967295\n";
  EXPECT_EQ(owner(text, 1001), 1001U);
  EXPECT_EQ(owner(text, 0), 0U);
  EXPECT_EQ(owner(text, 1), 1000U);
  EXPECT_EQ(owner(text, 1002), 1000U);
  EXPECT_EQ(owner(text, 4294967294U), 1000U);
  EXPECT_EQ(owner("root:1000:1\n", 1000), 1000U) << "as LXD writes it";
}

TEST(IdOwners, OfRangesThatMeetTheFirstCounts) {
  const std::string_view text = "alice:2000:10\nbob:1995:30\nalice:2024:5\n";
  EXPECT_EQ(owner(text, 1999), 1001U);
  EXPECT_EQ(owner(text, 2000), 1000U);
  EXPECT_EQ(owner(text, 2009), 1000U);
  EXPECT_EQ(owner(text, 2010), 1001U);
  EXPECT_EQ(owner(text, 2024), 1001U);
  EXPECT_EQ(owner(text, 2025), 1000U);
  EXPECT_EQ(owner(text, 2029), 2029U);
}

TEST(IdOwners, LinesThatAreNoneGiveNothing) {
  EXPECT_TRUE(
      parse_id_owners("\n#\nalice\nalice:1\nalice:x:5\nalice:5:x\n:5:5\nalice:5:0\nalice:4294967295:1\n", kPasswd)
          .empty());
}

TEST(IdOwners, AFileThatOthersMayWriteIsRefused) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root";
  const std::string path = std::filesystem::temp_directory_path() / ("subuid-" + std::to_string(::getpid()));
  std::ofstream(path) << "1000:100000:65536\n";
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  const auto owners = load_id_owners({path, "/etc/passwd"});
  ASSERT_TRUE(owners.ok()) << owners.error().message();
  EXPECT_EQ(owner_of(*owners, 100001), 1000U);
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  EXPECT_EQ(load_id_owners({path, "/etc/passwd"}).error().code, EPERM);
  ASSERT_EQ(::unlink(path.c_str()), 0);
  EXPECT_TRUE(load_id_owners({path, "/etc/passwd"})->empty());
}

}  // namespace
}  // namespace sandboxd
