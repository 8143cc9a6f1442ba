#include "daemon/main/pool.h"

#include <cstdlib>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/ids.h"

namespace sandboxd::main {
namespace {

class PoolLock : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the lock's file must be root's";
    char name[] = "/tmp/pool-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ + "/lock";
  }
  void TearDown() override {
    if (folder_.empty()) return;
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }

  std::string folder_, path_;
};

TEST_F(PoolLock, GivesEachDaemonAShareOfItsOwn) {
  const auto first = lock_free_slice(path_);
  const auto second = lock_free_slice(path_);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->first, kPoolFirst);
  EXPECT_EQ(second->first, kPoolFirst + kIdsPerSlice);
}

TEST_F(PoolLock, GivesAShareAgainWhenItsHolderIsGone) {
  {
    const auto first = lock_free_slice(path_);
    ASSERT_TRUE(first.ok());
  }
  EXPECT_EQ(lock_free_slice(path_)->first, kPoolFirst);
}

TEST_F(PoolLock, RefusesIdsThatAnotherDaemonHoldsAPartOf) {
  const auto held = lock_free_slice(path_);
  ASSERT_TRUE(held.ok());
  const auto overlapping = lock_slice(kPoolFirst + kIdsPerSlice - 16, 32, path_);
  ASSERT_FALSE(overlapping.ok());
  EXPECT_EQ(overlapping.error().code, EAGAIN);
  EXPECT_TRUE(lock_slice(kPoolFirst + kIdsPerSlice, 32, path_).ok());
}

TEST_F(PoolLock, RefusesIdsOutsideThePool) {
  EXPECT_EQ(lock_slice(1000, 32, path_).error().code, EINVAL);
  EXPECT_EQ(lock_slice(kPoolLast - 15, 32, path_).error().code, EINVAL);
  EXPECT_EQ(lock_slice(kPoolFirst, 0, path_).error().code, EINVAL);
}

TEST_F(PoolLock, RefusesAFileThatOthersCanWrite) {
  {
    const auto made = lock_free_slice(path_);
    ASSERT_TRUE(made.ok());
  }
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(lock_free_slice(path_).error().code, EPERM);
}

constexpr std::uint32_t kFirst = 100000;
constexpr std::uint32_t kLast = 100015;

TEST(PoolAccounts, SeesAUserOrGroupOfThePool) {
  EXPECT_TRUE(check_accounts("root:x:0:0:::\na:x:99999:100016:::\n", "passwd", {2, 3}, kFirst, kLast).ok());
  EXPECT_EQ(check_accounts("a:x:100000:5:::\n", "passwd", {2, 3}, kFirst, kLast).error().code, EEXIST);
  EXPECT_EQ(check_accounts("a:x:5:100015:::", "passwd", {2, 3}, kFirst, kLast).error().code, EEXIST);
  EXPECT_EQ(check_accounts("g:x:100007:", "group", {2}, kFirst, kLast).error().code, EEXIST);
}

TEST(PoolAccounts, NamesWhoseItIs) {
  const Status status = check_accounts("daemon:x:100001:5:::\n", "/etc/passwd", {2, 3}, kFirst, kLast);
  EXPECT_NE(status.error().message().find("'daemon' in '/etc/passwd'"), std::string::npos) << status.error().message();
}

TEST(PoolAccounts, PassesOverLinesThatAreNone) {
  EXPECT_TRUE(check_accounts("\n#x\n+::::::\na:x\na:x:no:no\n", "passwd", {2, 3}, kFirst, kLast).ok());
}

TEST(PoolRanges, SeesADelegationThatTouchesThePool) {
  EXPECT_TRUE(check_ranges("a:90000:10000\nb:100016:65536\n", "subuid", kFirst, kLast).ok());
  EXPECT_EQ(check_ranges("a:90000:10001\n", "subuid", kFirst, kLast).error().code, EEXIST);
  EXPECT_EQ(check_ranges("a:100015:1\n", "subuid", kFirst, kLast).error().code, EEXIST);
  EXPECT_EQ(check_ranges("a:1:4294967295\n", "subuid", kFirst, kLast).error().code, EEXIST);
  EXPECT_TRUE(check_ranges("a:100000:0\na:100000\n", "subuid", kFirst, kLast).ok());
}

}  // namespace
}  // namespace sandboxd::main
