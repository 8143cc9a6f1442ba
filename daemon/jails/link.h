// A connection of sandboxd's to another of the daemon's programs (SOCK_SEQPACKET), over the event loop: made again when it is
// lost, after 20 ms at first and a second at most. What was under way when it was lost is its user's to decide.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "daemon/jails/watch.h"
#include "daemon/wire/message.h"

namespace sandboxd::jails {

class Link {
 public:
  struct Callbacks {
    std::function<void()> connected{};  // messages may be sent
    std::function<void(wire::Message)> message{};
    std::function<void()> room{};  // after set_full(true): more may be sent
    std::function<void(const Error&)> lost{};
  };

  // `name`: of the other program, for the log. At most `max_fds` descriptors come with a message.
  Link(sd_event* loop, std::string name, std::string path, std::size_t max_fds, Callbacks callbacks);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  void connect();  // now, or again and again until it can
  [[nodiscard]] bool connected() const { return socket_.valid(); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  void set_full(bool full);  // the socket took no more
  void drop(const Error& why);

 private:
  void connect_later();
  void on_io(std::uint32_t events);

  sd_event* loop_;
  std::string name_;
  std::string path_;
  std::size_t max_fds_;
  Callbacks callbacks_;
  UniqueFd socket_;
  IoWatch watch_;
  Timer retry_;
  std::uint64_t retry_usec_;
};

}  // namespace sandboxd::jails
