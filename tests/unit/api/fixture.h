// A server on a real socket and a real event loop, and clients that turn the loop while they wait: all on one thread, every
// wait with a deadline.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/api/server.h"
#include "daemon/api/varlink.h"
#include "fake_supervisor.h"
#include "protocol/frame.h"

namespace sandboxd::test {

using protocol::Json;

class Loop {
 public:
  Loop();
  [[nodiscard]] sd_event* get() const { return loop_.get(); }
  // Turns the loop until it holds; false after five seconds.
  bool until(const std::function<bool()>& holds);
  void settle();  // until nothing is left to do

 private:
  api::EventLoop loop_{};
};

class Client {
 public:
  Client(Loop& loop, const std::string& path);

  void send_raw(std::string_view bytes);  // turns the loop while the socket is full
  void send(const Json& frame);           // and its NUL
  void call(const std::string& method, const Json& parameters = Json::object(), bool more = false);
  // The next reply; a failure of the test and null when none comes, nothing when the server has closed.
  Json reply();
  Json ask(const std::string& method, const Json& parameters = Json::object());
  bool closed();     // waits for it
  bool has_reply();  // now, without waiting
  void hang_up() { socket_.reset(); }
  void stop_sending();  // shuts the sending half down
  [[nodiscard]] int fd() const { return socket_.get(); }
  std::vector<UniqueFd> fds{};  // that came with replies

 private:
  void receive();

  Loop& loop_;
  UniqueFd socket_;
  protocol::FrameReader frames_{};
  std::deque<Json> replies_{};
  bool end_ = false;
};

// A directory for sockets, and the server's warnings.
class SocketTest : public ::testing::Test {
 protected:
  SocketTest();
  ~SocketTest() override;
  UniqueFd listen_at(const std::string& name);
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }
  bool warned(std::string_view part) const;

  Loop loop{};
  std::vector<std::string> warnings{};

 private:
  std::string directory_;
};

// sandboxd's own server over a FakeSupervisor.
class ServerTest : public SocketTest {
 protected:
  explicit ServerTest(const api::Limits& limits = {});
  Client connect() { return Client(loop, path("public")); }
  Client connect_admin() { return Client(loop, path("admin")); }
  // A Run on this client; the jail's id.
  std::string run(Client& client, const Json& spec = {{"argv", {"true"}}}, bool more = true);

  FakeSupervisor supervisor{};
  std::unique_ptr<api::Server> server{};
};

}  // namespace sandboxd::test
