#include "daemon/main/places.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/socket.h"

namespace sandboxd::main {
namespace {

constexpr std::uint32_t kSlice = kPoolFirst + 5 * kIdsPerSlice;

class PlacesOfADaemon : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char name[] = "/tmp/places-XXXXXX";
    folder_ = ::mkdtemp(name);
    runtime_ = folder_ + "/run";
    state_ = folder_ + "/state";
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  static struct stat stat_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    return info;
  }

  std::string folder_, runtime_, state_;
};

TEST_F(PlacesOfADaemon, GiveEachSocketToWhoMayConnect) {
  const auto places = Places::make(runtime_, state_, kSlice);
  ASSERT_TRUE(places.ok()) << places.error().message();
  struct Row {
    const char* name;
    mode_t mode;
    uid_t owner;
  };
  const uid_t sandboxd = own_id(kSlice, OwnId::kSandboxd);
  for (const Row& row : {Row{"sandboxd", 0666, 0}, Row{"admin", 0600, 0}, Row{"broker", 0666, 0},
                         Row{"broker-admin", 0600, 0}, Row{"broker-claim", 0600, 0}, Row{"launcher", 0600, sandboxd},
                         Row{"audit", 0600, sandboxd}, Row{"audit-launcher", 0600, 0}}) {
    const struct stat info = stat_of(places->path_of(row.name));
    EXPECT_TRUE(S_ISSOCK(info.st_mode)) << row.name;
    EXPECT_EQ(info.st_mode & 07777U, row.mode) << row.name;
    EXPECT_EQ(info.st_uid, row.owner) << row.name;
    EXPECT_GE(places->socket(row.name), 0) << row.name;
  }
  EXPECT_EQ(places->socket("nope"), -1);
}

TEST_F(PlacesOfADaemon, TakeConnectionsAtOnce) {
  const auto places = Places::make(runtime_, state_, kSlice);
  ASSERT_TRUE(places.ok());
  EXPECT_TRUE(connect_unix(places->path_of("sandboxd"), SOCK_STREAM).ok());
  EXPECT_TRUE(connect_unix(places->path_of("launcher"), SOCK_SEQPACKET).ok());
}

TEST_F(PlacesOfADaemon, GiveTheLogToTheAuditProgramAlone) {
  const auto places = Places::make(runtime_, state_, kSlice);
  ASSERT_TRUE(places.ok());
  const struct stat info = stat_of(state_ + "/audit");
  EXPECT_EQ(info.st_uid, own_id(kSlice, OwnId::kAudit));
  EXPECT_EQ(info.st_mode & 07777U, 0700U);
}

TEST_F(PlacesOfADaemon, RefuseASecondDaemon) {
  const auto first = Places::make(runtime_, state_, kSlice);
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(Places::make(runtime_, folder_ + "/other", kSlice).ok());
  EXPECT_FALSE(Places::make(folder_ + "/other-run", state_, kSlice).ok());
  EXPECT_EQ(::access(first->path_of("sandboxd").c_str(), F_OK), 0);  // and left the first one's sockets alone
}

TEST_F(PlacesOfADaemon, RemoveTheSocketsAtTheEnd) {
  {
    const auto places = Places::make(runtime_, state_, kSlice);
    ASSERT_TRUE(places.ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(runtime_));
}

TEST_F(PlacesOfADaemon, RefuseADirectoryThatOthersCanWrite) {
  ASSERT_EQ(::mkdir(runtime_.c_str(), 0777), 0);
  ASSERT_EQ(::chmod(runtime_.c_str(), 0777), 0);
  EXPECT_EQ(Places::make(runtime_, state_, kSlice).error().code, EPERM);
}

TEST_F(PlacesOfADaemon, RefuseALinkInPlaceOfADirectory) {
  ASSERT_EQ(::mkdir((folder_ + "/real").c_str(), 0755), 0);
  ASSERT_EQ(::symlink((folder_ + "/real").c_str(), runtime_.c_str()), 0);
  EXPECT_FALSE(Places::make(runtime_, state_, kSlice).ok());
}

TEST_F(PlacesOfADaemon, HandTheLogOnToAnotherShare) {
  {
    const auto places = Places::make(runtime_, state_, kSlice);
    ASSERT_TRUE(places.ok());
  }
  const uid_t old = own_id(kSlice, OwnId::kAudit);
  std::filesystem::create_directory(state_ + "/audit/seg");
  std::ofstream(state_ + "/audit/seg/0") << "x";
  ASSERT_EQ(::chown((state_ + "/audit/seg").c_str(), old, old), 0);
  ASSERT_EQ(::chown((state_ + "/audit/seg/0").c_str(), old, old), 0);
  const auto places = Places::make(runtime_, state_, kSlice + kIdsPerSlice);
  ASSERT_TRUE(places.ok()) << places.error().message();
  const uid_t now = own_id(kSlice + kIdsPerSlice, OwnId::kAudit);
  for (const char* path : {"/audit", "/audit/seg", "/audit/seg/0"})
    EXPECT_EQ(stat_of(state_ + path).st_uid, now) << path;
}

TEST_F(PlacesOfADaemon, HandOnNothingThatWasNotTheLogs) {
  {
    const auto places = Places::make(runtime_, state_, kSlice);
    ASSERT_TRUE(places.ok());
  }
  std::ofstream(folder_ + "/victim") << "x";
  std::filesystem::create_hard_link(folder_ + "/victim", state_ + "/audit/link");
  EXPECT_EQ(Places::make(runtime_, state_, kSlice + kIdsPerSlice).error().code, EPERM);
  EXPECT_EQ(stat_of(folder_ + "/victim").st_uid, 0U);
}

TEST_F(PlacesOfADaemon, HandOnNoFileOfThePoolWithAnotherName) {
  {
    const auto places = Places::make(runtime_, state_, kSlice);
    ASSERT_TRUE(places.ok());
  }
  const uid_t old = own_id(kSlice, OwnId::kAudit);
  std::ofstream(folder_ + "/other") << "x";
  ASSERT_EQ(::chown((folder_ + "/other").c_str(), old, old), 0);
  std::filesystem::create_hard_link(folder_ + "/other", state_ + "/audit/link");
  EXPECT_EQ(Places::make(runtime_, state_, kSlice + kIdsPerSlice).error().code, EPERM);
}

}  // namespace
}  // namespace sandboxd::main
