#include "sandboxd-client/connection.h"

#include <cstdlib>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/socket.h"

namespace sandboxd::client {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

// A server's end of a real socket; what it sends is scripted byte by byte.
class Varlink : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(directory_), nullptr);
    path_ = std::string(directory_) + "/sandboxd.sock";
    Result<UniqueFd> listener = listen_unix(path_, SOCK_STREAM, 0600, ::geteuid(), 4);
    ASSERT_TRUE(listener.ok());
    listener_ = std::move(listener).value();
    Result<Connection> connection = Connection::open({socket_paths(path_)});
    ASSERT_TRUE(connection.ok());
    client_ = std::move(connection).value();
    server_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(server_.valid());
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_);
  }
  void send(std::string_view bytes, std::vector<int> fds = {}) {
    const std::span<const std::uint8_t> data(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ASSERT_TRUE(send_packet(server_.get(), data, fds).ok());
  }
  Result<Message> receive() { return client_.receive(monotonic_usec() + 10'000'000); }

  char directory_[32] = "/tmp/varlink-test-XXXXXX";
  std::string path_;
  UniqueFd listener_, server_;
  Connection client_;
};

TEST_F(Varlink, CallIsOneFrame) {
  ASSERT_TRUE(client_.send("org.x.M", {{"a", "b"}}, true).ok());
  char bytes[256];
  const ssize_t got = ::recv(server_.get(), bytes, sizeof bytes, 0);
  EXPECT_EQ(std::string(bytes, static_cast<std::size_t>(got)),
            "{\"method\":\"org.x.M\",\"more\":true,\"parameters\":{\"a\":\"b\"}}\0"s);
}

TEST_F(Varlink, CallThatIsTooLargeIsNotSent) {
  const Status sent = client_.send("org.x.M", {{"a", std::string(protocol::kMaxFrame, 'x')}});
  ASSERT_FALSE(sent.ok());
  EXPECT_THAT(sent.error().message(), HasSubstr("at most 1048576"));
}

TEST_F(Varlink, FramesMayComeInPiecesAndTogether) {
  send("{\"parameters\":{\"n\"");
  ASSERT_TRUE(client_.read_ready().ok());
  EXPECT_FALSE(client_.next().value().has_value());
  send(":1},\"continues\":true}\0{\"parameters\":{\"n\":2}}\0"s);
  const Result<Message> first = receive();
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->parameters["n"], 1);
  EXPECT_TRUE(first->continues);
  const Result<Message> second = receive();
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->parameters["n"], 2);
  EXPECT_FALSE(second->continues);
}

TEST_F(Varlink, DescriptorsComeWithTheirReply) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  const UniqueFd reader(pipe_fds[0]);
  UniqueFd writer(pipe_fds[1]);
  send("{\"parameters\":{}}\0"s, {writer.get()});
  writer.reset();
  ASSERT_TRUE(receive().ok());
  std::vector<UniqueFd> fds = client_.take_fds();
  ASSERT_EQ(fds.size(), 1U);
  EXPECT_EQ(::write(fds[0].get(), "x", 1), 1);
  EXPECT_TRUE(client_.take_fds().empty());
}

TEST_F(Varlink, ErrorIsAMessageOfItsOwn) {
  send("{\"error\":\"org.x.E\",\"parameters\":{\"k\":\"v\"}}\0"s);
  const Result<Message> message = receive();
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->error, "org.x.E");
  EXPECT_EQ(message->parameters["k"], "v");
}

TEST_F(Varlink, WhatIsNoReplyIsRefused) {
  for (const std::string& frame :
       {"[]\0"s, "{\"parameters\":3}\0"s, "{\"extra\":1}\0"s, "nonsense\0"s, "\0"s, "{\"continues\":\"yes\"}\0"s}) {
    send(frame);
    const Result<Message> message = receive();
    ASSERT_FALSE(message.ok()) << frame;
    EXPECT_EQ(message.error().code, EBADMSG);
  }
}

TEST_F(Varlink, ClosedConnectionIsAnError) {
  send("{\"parameters\":{}}\0{\"par"s);
  server_.reset();
  EXPECT_TRUE(receive().ok());
  const Result<Message> message = receive();
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().code, EPIPE);
}

TEST_F(Varlink, WaitEndsAtItsDeadline) {
  const Result<Message> message = client_.receive(monotonic_usec() + 1000);
  ASSERT_FALSE(message.ok());
  EXPECT_EQ(message.error().code, ETIMEDOUT);
}

TEST_F(Varlink, SecondPairIsTriedAfterTheFirst) {
  const Result<Connection> connection =
      Connection::open({socket_paths("/nonexistent/admin.sock"), socket_paths(path_)});
  ASSERT_TRUE(connection.ok());
  EXPECT_EQ(connection->paths().calls, path_);
}

}  // namespace
}  // namespace sandboxd::client
