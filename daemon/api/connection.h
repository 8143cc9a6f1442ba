// One client: bytes in, frames, one call at a time, bytes and descriptors out. While a call is running nothing is read, so that
// what a client sends ahead waits in the kernel's buffer; that it hung up is noticed all the same (EPOLLRDHUP).
// An end is never carried out in the middle of a call's method, but from the loop.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "daemon/api/event_source.h"
#include "daemon/api/users.h"
#include "daemon/api/varlink.h"
#include "protocol/frame.h"

namespace sandboxd::api {

class Connection {
 public:
  Connection(VarlinkServer& server, UniqueFd socket, Peer peer, User& user);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Status start();
  [[nodiscard]] const Peer& peer() const noexcept { return peer_; }
  [[nodiscard]] User& user() const noexcept { return user_; }

  // For Call.
  void send(const std::string& text, std::vector<UniqueFd> fds);
  void finished();
  [[nodiscard]] bool pressed() const noexcept { return pressed_; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  void charge(double calls);
  [[nodiscard]] bool count(std::size_t bytes);  // as the user's; false when that is too many
  void uncount(std::size_t bytes) { user_.pending -= bytes; }
  void warn(const std::string& line);

 private:
  struct Piece {
    std::string bytes{};
    std::size_t sent = 0;
    std::vector<UniqueFd> fds{};
  };

  void io_ready(std::uint32_t revents);
  [[nodiscard]] bool reading() const;
  void read_some();
  [[nodiscard]] ssize_t receive(std::span<char> buffer) const;
  [[nodiscard]] bool recount_in();
  void step();
  void next_call(const std::string& frame);
  void refuse_call(bool oneway);
  [[nodiscard]] bool must_wait();
  [[nodiscard]] bool owes_descriptors();
  void hold();
  void flush();
  bool send_piece(Piece& piece);
  void watch();
  void later();
  void deferred();
  void held_long_enough();
  void clear_call();
  void end(const std::string& reason);  // "" for a client that went by itself

  VarlinkServer& server_;
  UniqueFd socket_;
  Peer peer_;
  User& user_;
  protocol::FrameReader in_{};
  std::size_t in_counted_ = 0;
  std::deque<Piece> out_{};
  std::size_t out_size_ = 0;
  CallPtr call_{};
  bool call_done_ = false;
  bool dispatching_ = false;
  bool pressed_ = false;
  bool held_ = false;      // nothing is read until hold_ has passed
  bool sent_fds_ = false;  // and it is not known that the client has received them
  bool closing_ = false;   // when everything is sent
  bool ended_ = false;
  EventSource io_{};
  EventSource defer_{};
  EventSource hold_{};
};

}  // namespace sandboxd::api
