#include "daemon/broker/vet.h"

#include <cstring>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sandboxd::broker {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(const BrokerMessage& message) {
  Bytes bytes(sizeof message);
  std::memcpy(bytes.data(), &message, sizeof message);
  return bytes;
}

BrokerMessage message_of(std::uint32_t fds, bool mount_ns = false) {
  BrokerMessage message;
  message.token = {7};
  message.fds = fds;
  message.has_mount_ns = mount_ns ? 1 : 0;
  return message;
}

// nullopt: taken.
std::optional<BrokerRefusal> verdict(const BrokerMessage& message, std::vector<UniqueFd> fds) {
  auto result = vet(bytes_of(message), fds);
  if (const auto* refusal = std::get_if<BrokerRefusal>(&result)) return *refusal;
  return std::nullopt;
}

std::vector<UniqueFd> one(int fd) {
  EXPECT_GE(fd, 0);
  std::vector<UniqueFd> fds;
  fds.emplace_back(fd);
  return fds;
}

TEST(BrokerVet, TakesDirectoriesFilesPipesAndTheNullDevice) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  std::vector<UniqueFd> fds;
  for (const int fd : {::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC), ::open("/etc/passwd", O_RDONLY | O_CLOEXEC),
                       ::open("/dev/null", O_RDWR | O_CLOEXEC), ends[0], ends[1]}) {
    fds.emplace_back(fd);
  }
  auto result = vet(bytes_of(message_of(5)), fds);
  const auto* vetted = std::get_if<Vetted>(&result);
  ASSERT_NE(vetted, nullptr);
  EXPECT_EQ(vetted->fds.size(), 5U);
  EXPECT_EQ(vetted->token[0], 7);
  EXPECT_FALSE(vetted->has_mount_ns);
}

TEST(BrokerVet, RefusesADescriptorThatIsOnlyAName) {
  EXPECT_EQ(verdict(message_of(1), one(::open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC))), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(verdict(message_of(1), one(::open("/etc/passwd", O_PATH | O_CLOEXEC))), BrokerRefusal::kNotAllowed);
}

TEST(BrokerVet, RefusesWhatIsNoFile) {
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd other(sockets[1]);
  EXPECT_EQ(verdict(message_of(1), one(sockets[0])), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(verdict(message_of(1), one(::eventfd(0, EFD_CLOEXEC))), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(verdict(message_of(1), one(::open("/dev/zero", O_RDONLY | O_CLOEXEC))), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(verdict(message_of(1), one(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)))),
            BrokerRefusal::kNotAllowed);
}

TEST(BrokerVet, TakesAMountNamespaceOnlyWhereItIsAnnouncedAndLast) {
  const auto ns = [](const char* kind) {
    return ::open((std::string("/proc/self/ns/") + kind).c_str(), O_RDONLY | O_CLOEXEC);
  };
  EXPECT_EQ(verdict(message_of(1, true), one(ns("mnt"))), std::nullopt);
  EXPECT_EQ(verdict(message_of(1, false), one(ns("mnt"))), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(verdict(message_of(1, true), one(ns("net"))), BrokerRefusal::kNotAllowed);
  EXPECT_EQ(verdict(message_of(1, true), one(::open("/usr", O_RDONLY | O_CLOEXEC))), BrokerRefusal::kNotAllowed);
  std::vector<UniqueFd> wrong_order = one(ns("mnt"));
  wrong_order.emplace_back(::open("/usr", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(verdict(message_of(2, true), std::move(wrong_order)), BrokerRefusal::kNotAllowed);
}

TEST(BrokerVet, RefusesACountThatIsNotWhatCame) {
  EXPECT_EQ(verdict(message_of(2), one(::open("/usr", O_RDONLY | O_CLOEXEC))), BrokerRefusal::kMalformed);
  EXPECT_EQ(verdict(message_of(0), one(::open("/usr", O_RDONLY | O_CLOEXEC))), BrokerRefusal::kMalformed);
  EXPECT_EQ(verdict(message_of(0, true), {}), BrokerRefusal::kMalformed);
}

TEST(BrokerVet, RefusesMoreThanTheMost) {
  std::vector<UniqueFd> fds;
  for (std::uint32_t i = 0; i <= kBrokerMaxFds; ++i) fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(verdict(message_of(kBrokerMaxFds + 1), std::move(fds)), BrokerRefusal::kMalformed);
}

TEST(BrokerVet, RefusesAnotherMagicVersionOrFlagAndNoToken) {
  BrokerMessage magic = message_of(0);
  magic.magic ^= 1;
  EXPECT_EQ(verdict(magic, {}), BrokerRefusal::kMalformed);
  BrokerMessage version = message_of(0);
  version.version = 2;
  EXPECT_EQ(verdict(version, {}), BrokerRefusal::kMalformed);
  BrokerMessage flag = message_of(0);
  flag.has_mount_ns = 2;
  EXPECT_EQ(verdict(flag, {}), BrokerRefusal::kMalformed);
  BrokerMessage token = message_of(0);
  token.token = {};
  EXPECT_EQ(verdict(token, {}), BrokerRefusal::kMalformed);
}

TEST(BrokerVet, RefusesEveryOtherLength) {
  const Bytes whole = bytes_of(message_of(0));
  std::vector<UniqueFd> none;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    auto result = vet(std::span(whole).first(size), none);
    EXPECT_TRUE(std::holds_alternative<BrokerRefusal>(result)) << size;
  }
  EXPECT_TRUE(std::holds_alternative<Vetted>(vet(whole, none)));
}

}  // namespace
}  // namespace sandboxd::broker
