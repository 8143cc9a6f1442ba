#include "base/prompt_release.h"

#include <cerrno>

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/socket.h"
#include "tests/support/lingering.h"

namespace sandboxd {
namespace {

constexpr std::uint64_t kSecond = 1'000'000;

class PromptReleases : public ::testing::Test {
 protected:
  // A message with a descriptor that waits at its last close, in the queue of `to`.
  void send_lingering() {
    const int fd = lingering_.get();
    ASSERT_TRUE(send_packet(from.get(), std::vector<std::uint8_t>{1}, {&fd, 1}).ok());
    lingering_.close();
  }
  [[nodiscard]] std::uint64_t elapsed() const { return monotonic_usec() - begun_; }

  UniqueFd from{}, to{};

 private:
  void SetUp() override {
    auto pair = socket_pair(SOCK_SEQPACKET);
    from = std::move(pair->first);
    to = std::move(pair->second);
  }
  test::Lingering lingering_;
  std::uint64_t begun_ = monotonic_usec();
};

TEST_F(PromptReleases, AReceiverThatTakesNoDescriptorIsNotHeldUp) {
  send_lingering();
  {
    const PromptRelease prompt;
    EXPECT_TRUE(receive_packet(to.get(), 10, 0).ok());
  }
  EXPECT_LT(elapsed(), kSecond);
}

TEST_F(PromptReleases, NeitherIsWhoClosesTheSocketThatItLiesIn) {
  send_lingering();
  release_promptly(std::move(to));
  EXPECT_LT(elapsed(), kSecond);
}

TEST_F(PromptReleases, NorWhoHasIt) {
  send_lingering();
  Result<Packet> packet = receive_packet(to.get(), 10, 1);
  ASSERT_TRUE(packet.ok());
  ASSERT_EQ(packet->fds.size(), 1U);
  release_promptly(std::move(packet->fds));
  EXPECT_LT(elapsed(), kSecond);
}

TEST_F(PromptReleases, NothingInterruptsAfterwards) {
  release_promptly(std::move(to));
  EXPECT_EQ(::usleep(20'000), 0);
}

TEST(RefuseDescriptors, ConnectionsOfTheListenerCarryNone) {
  const std::string path = ::testing::TempDir() + "/no-descriptors." + std::to_string(::getpid());
  const auto listener = listen_unix(path, SOCK_STREAM, 0600, ::geteuid(), 1);
  ASSERT_TRUE(listener.ok());
  int rights = 0;
  socklen_t size = sizeof rights;
  if (::getsockopt(listener->get(), SOL_SOCKET, 83, &rights, &size) < 0) GTEST_SKIP() << "needs Linux 6.16";
  refuse_descriptors(listener->get());
  const auto client = connect_unix(path, SOCK_STREAM);
  ::unlink(path.c_str());
  ASSERT_TRUE(client.ok());
  const int fd = listener->get();
  EXPECT_EQ(send_packet(client->get(), std::vector<std::uint8_t>{1}, {&fd, 1}).error().code, EPERM);
  EXPECT_TRUE(send_packet(client->get(), std::vector<std::uint8_t>{1}, {}).ok());
}

}  // namespace
}  // namespace sandboxd
