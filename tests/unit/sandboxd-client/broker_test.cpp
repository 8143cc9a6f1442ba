#include "sandboxd-client/broker.h"

#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/broker_message.h"
#include "base/socket.h"

namespace sandboxd::client {
namespace {

using ::testing::HasSubstr;

class Broker : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(directory_), nullptr);
    path_ = std::string(directory_) + "/broker.sock";
    Result<UniqueFd> listener = listen_unix(path_, SOCK_SEQPACKET, 0600, ::geteuid(), 4);
    ASSERT_TRUE(listener.ok());
    listener_ = std::move(listener).value();
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_);
  }
  UniqueFd accept() { return UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }

  char directory_[32] = "/tmp/broker-test-XXXXXX";
  std::string path_;
  UniqueFd listener_;
};

ino_t inode(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

TEST_F(Broker, GetsTheDescriptorsUnderTheToken) {
  const UniqueFd directory(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int fds[] = {directory.get()};
  const Result<HandedIn> handed_in = hand_in(path_, fds, false);
  ASSERT_TRUE(handed_in.ok());
  const UniqueFd peer = accept();
  const Result<Packet> packet = receive_packet(peer.get(), 4096, 16);
  ASSERT_TRUE(packet.ok());
  BrokerMessage message;
  ASSERT_EQ(packet->bytes.size(), sizeof message);
  std::memcpy(&message, packet->bytes.data(), sizeof message);
  EXPECT_EQ(message.magic, kBrokerMagic);
  EXPECT_EQ(message.version, kBrokerVersion);
  EXPECT_EQ(message.token, handed_in->token);
  EXPECT_EQ(message.fds, 1U);
  EXPECT_EQ(message.has_mount_ns, 0U);
  ASSERT_EQ(packet->fds.size(), 1U);
  EXPECT_EQ(inode(packet->fds[0].get()), inode(directory.get()));
}

TEST_F(Broker, GetsTheMountNamespaceLast) {
  const UniqueFd directory(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const int fds[] = {directory.get()};
  const Result<HandedIn> handed_in = hand_in(path_, fds, true);
  ASSERT_TRUE(handed_in.ok());
  const UniqueFd peer = accept();
  const Result<Packet> packet = receive_packet(peer.get(), 4096, 16);
  ASSERT_TRUE(packet.ok());
  ASSERT_EQ(packet->fds.size(), 2U);
  const UniqueFd own(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(inode(packet->fds[1].get()), inode(own.get()));
}

TEST_F(Broker, IsNotAskedForMoreThanItTakes) {
  const std::vector<int> fds(kBrokerMaxFds + 1, 0);
  EXPECT_THAT(hand_in(path_, fds, false).error().message(), HasSubstr("at most 15"));
}

TEST_F(Broker, RefusalIsReadWithoutWaiting) {
  const int fds[] = {0};
  const Result<HandedIn> handed_in = hand_in(path_, fds, false);
  ASSERT_TRUE(handed_in.ok());
  EXPECT_EQ(refusal(*handed_in), std::nullopt);
  const UniqueFd peer = accept();
  const std::uint8_t code = static_cast<std::uint8_t>(BrokerRefusal::kNotAllowed);
  ASSERT_EQ(::send(peer.get(), &code, 1, MSG_NOSIGNAL), 1);
  EXPECT_THAT(refusal(*handed_in).value_or(""), HasSubstr("uid 0 needs the admin's sockets"));
}

TEST(Token, IsNewEachTime) { EXPECT_NE(*random_token(), *random_token()); }

}  // namespace
}  // namespace sandboxd::client
