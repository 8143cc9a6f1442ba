// Whose files may go into a jail, and through which descriptors.
#include "daemon/launcher/claim.h"

#include <cerrno>
#include <tuple>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/socket.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/message.h"

namespace sandboxd::launcher {
namespace {

struct IdCase {
  const char* what;
  std::uint32_t client, inside;
  bool admin, allowed;
};

class CheckIds : public testing::TestWithParam<IdCase> {};

TEST_P(CheckIds, LetsOnlyTheCallersOwnIdsThrough) {
  const IdCase& row = GetParam();
  wire::Config config;
  config.allowed_ids = {33};
  wire::JailPlan plan;
  plan.inside_uid = plan.inside_gid = row.inside;
  plan.binds = {{0, "/w", wire::Access::kRo, true}};
  Client client;
  client.who.uid = client.who.gid = row.client;
  client.who.admin = row.admin;
  EXPECT_EQ(check_ids(plan, client, config).ok(), row.allowed) << row.what;
}

INSTANTIATE_TEST_SUITE_P(All, CheckIds,
                         testing::Values(IdCase{"a user as itself", 1000, 1000, false, true},
                                         IdCase{"a user shown as root", 1000, 0, false, true},
                                         IdCase{"a user shown as another", 1000, 1001, false, false},
                                         IdCase{"a system id", 101, 101, false, false},
                                         IdCase{"a system id that is listed", 33, 33, false, true},
                                         IdCase{"root on the public socket", 0, 0, false, false},
                                         IdCase{"root on the admin's", 0, 0, true, true},
                                         IdCase{"an id of the pool", kPoolFirst + 17, kPoolFirst + 17, false, false},
                                         IdCase{"the invalid id", 0xFFFFFFFF, 0xFFFFFFFF, true, false}));

// A token may say who starts a jail and no more.
TEST(CheckIdsWithoutFiles, AreForFilesOnly) {
  wire::JailPlan plan;
  plan.inside_uid = plan.inside_gid = 101;
  Client client;
  client.who.uid = client.who.gid = 101;
  EXPECT_TRUE(check_ids(plan, client, {}).ok());
}

// The claim's connection: main's end and the launch child's. A taken-over child of the broker has main's end too, but later.
class FinishClaim : public testing::Test {
 protected:
  void SetUp() override {
    auto pair = socket_pair(SOCK_SEQPACKET);
    ASSERT_TRUE(pair.ok());
    std::tie(broker_, ours_) = std::move(pair).value();
  }
  template <class Body> void say(wire::ClaimMessage type, const Body& body, std::vector<int> fds = {}) {
    ASSERT_TRUE(wire::send(broker_.get(), type, 1, body, fds).ok());
  }
  UniqueFd broker_, ours_;
};

constexpr std::uint32_t kClient = 4242, kVictim = 4343;

TEST_F(FinishClaim, TakesTheIdsFromMainAndTheDescriptorsFromTheChild) {
  const UniqueFd dir(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  say(wire::ClaimMessage::kClaimant, wire::Claimant{kClient, kClient, {7}, false});
  say(wire::ClaimMessage::kClaimed, wire::Claimed{}, {dir.get()});
  const Result<Client> client = finish_claim(ours_.get());
  ASSERT_TRUE(client.ok()) << client.error().message();
  EXPECT_EQ(client->who.uid, kClient);
  EXPECT_EQ(client->who.groups, std::vector<std::uint32_t>{7});
  EXPECT_EQ(client->fds.size(), 1U);
}

TEST_F(FinishClaim, TakesNoIdsFromAChildThatHasBeenTakenOver) {
  say(wire::ClaimMessage::kClaimant, wire::Claimant{kClient, kClient, {}, false});
  say(wire::ClaimMessage::kClaimant, wire::Claimant{kVictim, kVictim, {}, true});
  say(wire::ClaimMessage::kClaimed, wire::Claimed{});
  const Result<Client> client = finish_claim(ours_.get());
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, EPROTO);
}

TEST_F(FinishClaim, RefusesDescriptorsOfNobody) {
  say(wire::ClaimMessage::kClaimed, wire::Claimed{});
  const Result<Client> client = finish_claim(ours_.get());
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, EPROTO);
}

TEST_F(FinishClaim, PassesOnWhyItFailed) {
  say(wire::ClaimMessage::kClaimant, wire::Claimant{kClient, kClient, {}, false});
  say(wire::ClaimMessage::kClaimFailed, wire::Refused{ECANCELED, "the client has gone"});
  const Result<Client> client = finish_claim(ours_.get());
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, ECANCELED);
}

TEST(CheckBindSource, RefusesAPathDescriptor) {
  const UniqueFd fd(::open("/root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  bool directory = false;
  const Status checked = check_bind_source(fd.get(), directory);
  ASSERT_FALSE(checked.ok());
  EXPECT_THAT(checked.error().message(), testing::HasSubstr("O_PATH"));
}

TEST(CheckBindSource, TakesADirectoryAndAFileOpenForReading) {
  bool directory = false;
  const UniqueFd dir(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(check_bind_source(dir.get(), directory).ok());
  EXPECT_TRUE(directory);
  const UniqueFd file(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(check_bind_source(file.get(), directory).ok());
  EXPECT_FALSE(directory);
}

TEST(CheckBindSource, RefusesPipesAndDevices) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  bool directory = false;
  EXPECT_FALSE(check_bind_source(read_end.get(), directory).ok());
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(check_bind_source(null.get(), directory).ok());
}

TEST(CheckStdio, TakesPipesFilesAndNullOnly) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]), write_end(ends[1]);
  EXPECT_TRUE(check_stdio(read_end.get()).ok());
  EXPECT_TRUE(check_stdio(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)).get()).ok());
  EXPECT_FALSE(check_stdio(UniqueFd(::open("/dev/zero", O_RDONLY | O_CLOEXEC)).get()).ok());
  EXPECT_FALSE(check_stdio(UniqueFd(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)).get()).ok());
  EXPECT_FALSE(check_stdio(UniqueFd(::open("/etc/passwd", O_PATH | O_CLOEXEC)).get()).ok());
}

}  // namespace
}  // namespace sandboxd::launcher
