#include "base/socket.h"

#include <array>
#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

namespace sandboxd {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Pair {
  Pair() {
    auto pair = socket_pair(SOCK_SEQPACKET);
    a = std::move(pair->first);
    b = std::move(pair->second);
  }
  UniqueFd a, b;
};

// Descriptors of this process, to see that none is left behind.
int open_count() {
  int count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

std::string temporary() {
  std::string pattern = "/tmp/sandboxd-socket-XXXXXX";
  return ::mkdtemp(pattern.data());
}

TEST(Packets, CarryBytesAndDescriptors) {
  const Pair pair;
  const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
  const int fds[] = {usr.get(), usr.get()};
  ASSERT_TRUE(send_packet(pair.a.get(), Bytes{1, 2, 3}, fds).ok());
  const Result<Packet> packet = receive_packet(pair.b.get(), 10, 2);
  ASSERT_TRUE(packet.ok());
  EXPECT_EQ(packet->bytes, (Bytes{1, 2, 3}));
  ASSERT_EQ(packet->fds.size(), 2U);
  EXPECT_NE(::fcntl(packet->fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_FALSE(packet->end);
}

TEST(Packets, CloseWhatCameWithAMessageThatIsTooLong) {
  const Pair pair;
  const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
  const int fds[] = {usr.get()};
  ASSERT_TRUE(send_packet(pair.a.get(), Bytes(11), fds).ok());
  const int before = open_count();
  const Result<Packet> packet = receive_packet(pair.b.get(), 10, 1);
  ASSERT_FALSE(packet.ok());
  EXPECT_EQ(packet.error().code, EMSGSIZE);
  EXPECT_EQ(open_count(), before);
}

TEST(Packets, RefuseMoreDescriptorsThanAskedForAndCloseThem) {
  const Pair pair;
  const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
  const std::array<int, 4> fds = {usr.get(), usr.get(), usr.get(), usr.get()};
  ASSERT_TRUE(send_packet(pair.a.get(), Bytes{1}, fds).ok());
  const int before = open_count();
  const Result<Packet> packet = receive_packet(pair.b.get(), 10, 1);
  ASSERT_FALSE(packet.ok());
  EXPECT_EQ(packet.error().code, EMSGSIZE);
  EXPECT_EQ(open_count(), before);
}

TEST(Packets, NeverLetADescriptorInWhereNoneIsWanted) {
  const Pair pair;
  const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
  const int fds[] = {usr.get()};
  ASSERT_TRUE(send_packet(pair.a.get(), Bytes{1}, fds).ok());
  const int before = open_count();
  const Result<Packet> packet = receive_packet(pair.b.get(), 10, 0);
  ASSERT_TRUE(packet.ok());
  EXPECT_TRUE(packet->fds.empty());
  EXPECT_EQ(open_count(), before);
}

TEST(Packets, SendAtMostTheMostDescriptors) {
  const Pair pair;
  const std::vector<int> fds(kMaxFdsPerMessage + 1, 0);
  EXPECT_EQ(send_packet(pair.a.get(), Bytes{1}, fds).error().code, EMSGSIZE);
}

TEST(Packets, SayWhenThePeerHasClosed) {
  Pair pair;
  pair.a.reset();
  const Result<Packet> packet = receive_packet(pair.b.get(), 10, 1);
  ASSERT_TRUE(packet.ok());
  EXPECT_TRUE(packet->end);
  EXPECT_EQ(send_packet(pair.b.get(), Bytes{1}, {}).error().code, EPIPE);
}

TEST(Packets, DoNotWaitWhenToldSo) {
  const Pair pair;
  EXPECT_EQ(receive_packet(pair.b.get(), 10, 1, MSG_DONTWAIT).error().code, EAGAIN);
}

TEST(Peers, AreKnownToTheKernel) {
  const Pair pair;
  const Result<PeerCredentials> peer = peer_credentials(pair.a.get());
  ASSERT_TRUE(peer.ok());
  EXPECT_EQ(peer->uid, ::geteuid());
  EXPECT_EQ(peer->pid, ::getpid());
  std::vector<gid_t> ours(256);
  ours.resize(static_cast<std::size_t>(::getgroups(256, ours.data())));
  const Result<std::vector<gid_t>> groups = peer_groups(pair.a.get());
  ASSERT_TRUE(groups.ok());
  EXPECT_THAT(*groups, ::testing::UnorderedElementsAreArray(ours));
}

TEST(UnixSockets, ListenWithTheModeThatWasAsked) {
  const std::string directory = temporary();
  const std::string path = directory + "/x.sock";
  const Result<UniqueFd> listener = listen_unix(path, SOCK_SEQPACKET, 0600, ::geteuid(), 8);
  ASSERT_TRUE(listener.ok()) << listener.error().message();
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  EXPECT_TRUE(connect_unix(path, SOCK_SEQPACKET).ok());
  EXPECT_FALSE(connect_unix(path, SOCK_STREAM).ok());
  ::unlink(path.c_str());
  ::rmdir(directory.c_str());
}

TEST(UnixSockets, NameTheSocketThatCantBeReached) {
  const Result<UniqueFd> none = connect_unix("/nonexistent/x.sock", SOCK_STREAM);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, ENOENT);
  EXPECT_THAT(none.error().message(), ::testing::HasSubstr("'/nonexistent/x.sock'"));
  EXPECT_EQ(connect_unix("/" + std::string(200, 'x'), SOCK_STREAM).error().code, ENAMETOOLONG);
}

TEST(WaitReadable, EndsAtTheDeadlineOrWhenThereIsSomething) {
  const Pair pair;
  const std::uint64_t start = monotonic_usec();
  const Result<bool> late = wait_readable(pair.b.get(), start + 20'000);
  ASSERT_TRUE(late.ok());
  EXPECT_FALSE(*late);
  EXPECT_GE(monotonic_usec(), start + 20'000);
  ASSERT_TRUE(send_packet(pair.a.get(), Bytes{1}, {}).ok());
  EXPECT_TRUE(*wait_readable(pair.b.get(), monotonic_usec() + 5'000'000));
  EXPECT_TRUE(*wait_readable(pair.b.get(), 1)) << "a deadline that has passed still looks once";
}

}  // namespace
}  // namespace sandboxd
