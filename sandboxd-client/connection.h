// One varlink connection to sandboxd (varlink.org): JSON objects, each ended by a NUL byte, with descriptors beside the
// first reply of a run. Blocking calls take a deadline (CLOCK_MONOTONIC, microseconds; 0 = for ever); an event loop uses
// fd(), read_ready() and next(). What the daemon sends is checked for form here and for sense by the caller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/frame.h"
#include "protocol/json.h"
#include "sandboxd-client/paths.h"

namespace sandboxd::client {

using protocol::Json;

struct Message {
  Json parameters = Json::object();
  std::string error{};  // empty: a reply
  bool continues = false;
};

class Connection {
 public:
  // The first pair of sockets that can be connected to; else the error of the last. Without `wait` it is EAGAIN when the daemon
  // does not keep up with those who connect, and what is sent must be small.
  static Result<Connection> open(const std::vector<SocketPaths>& pairs, bool wait = true);

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  [[nodiscard]] const SocketPaths& paths() const noexcept { return paths_; }

  Status send(std::string_view method, const Json& parameters, bool more = false);
  // The next message; EPIPE when the daemon has closed, ETIMEDOUT at the deadline.
  Result<Message> receive(std::uint64_t deadline_usec = 0);
  // send, and the one reply to it.
  Result<Message> call(std::string_view method, const Json& parameters, std::uint64_t deadline_usec = 0);

  // Takes what the socket has, without waiting. False: the daemon has closed.
  Result<bool> read_ready();
  // A message that has come in whole.
  Result<std::optional<Message>> next();
  // All descriptors that have come so far.
  [[nodiscard]] std::vector<UniqueFd> take_fds() { return std::exchange(fds_, {}); }

 private:
  SocketPaths paths_{};
  UniqueFd socket_{};
  protocol::FrameReader frames_{};
  std::vector<UniqueFd> fds_{};
};

}  // namespace sandboxd::client
