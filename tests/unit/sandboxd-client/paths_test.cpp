#include "sandboxd-client/paths.h"

#include <gmock/gmock.h>

namespace sandboxd::client {
namespace {

using ::testing::ElementsAre;

TEST(SocketPaths, BrokerLiesBesideTheSocketThatIsCalled) {
  EXPECT_EQ(socket_paths("/run/a/sandboxd.sock").broker, "/run/a/broker.sock");
  EXPECT_EQ(socket_paths("/run/a/admin.sock").broker, "/run/a/broker-admin.sock");
  EXPECT_EQ(socket_paths("other.sock").broker, "broker.sock");
}

TEST(SocketPaths, ArgumentWinsOverEnvironmentOverDefault) {
  EXPECT_EQ(sockets_to_try("/a.sock", "/e.sock", false).at(0).calls, "/a.sock");
  EXPECT_EQ(sockets_to_try(std::nullopt, "/e.sock", false).at(0).calls, "/e.sock");
  EXPECT_EQ(sockets_to_try(std::nullopt, "", false).at(0).calls, kDefaultSocket);
  EXPECT_EQ(sockets_to_try(std::nullopt, nullptr, false).at(0).calls, kDefaultSocket);
}

TEST(SocketPaths, RootTriesTheAdminsPairFirst) {
  EXPECT_THAT(sockets_to_try("/r/sandboxd.sock", nullptr, true),
              ElementsAre(SocketPaths{"/r/admin.sock", "/r/broker-admin.sock"},
                          SocketPaths{"/r/sandboxd.sock", "/r/broker.sock"}));
}

TEST(SocketPaths, RootKeepsASocketThatWasChosenByAnotherName) {
  EXPECT_THAT(sockets_to_try("/r/forwarded.sock", nullptr, true),
              ElementsAre(SocketPaths{"/r/forwarded.sock", "/r/broker.sock"}));
}

TEST(SocketPaths, OthersNeverTryTheAdminsPair) {
  EXPECT_EQ(sockets_to_try("/r/sandboxd.sock", nullptr, false).size(), 1U);
}

}  // namespace
}  // namespace sandboxd::client
