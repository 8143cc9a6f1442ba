// sandboxd-audit's loop: reads all that has come, commits it at once, answers each in its order. Nobody is told anything
// before it is on stable storage. A peer that does not read its answers is not read from.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/audit/log.h"
#include "daemon/wire/message.h"

namespace sandboxd::audit {

struct Sockets {
  UniqueFd sandboxd{};  // "audit"
  UniqueFd launcher{};  // "audit-launcher"
  UniqueFd signals{};   // signalfd: SIGTERM, SIGINT
};
// Takes the sockets, blocks the signals.
Result<Sockets> take_sockets();

class Server {
 public:
  // `sandboxd_uid`: whose connections "audit" takes; "audit-launcher" takes uid 0's.
  Server(Log log, Sockets sockets, uid_t sandboxd_uid);
  // Until SIGTERM or SIGINT. Any error of the log is final.
  Status run();

 private:
  struct Incoming {
    std::uint64_t id = 0;
    wire::AuditRecord record{};
    Error refused{};  // context set: it was no record
  };
  struct Answer {
    std::uint64_t id = 0;
    bool acked = false;
    wire::Ack ack{};
    wire::Refused refused{};
  };
  struct Connection {
    UniqueFd fd{};
    Source source{};
    std::deque<Incoming> incoming{};
    std::deque<Answer> outgoing{};
    bool more = false;    // something may be left to read
    bool closed = false;  // by its peer, or for speaking nonsense; what it sent is still written
  };

  Status wait();
  void accept_all(int listener, Source source);
  bool accept_one(int listener, Source source);
  void read_all(Source source);
  void read(Connection& connection);
  Status write_incoming(Source source);
  bool stage_front(Connection& connection);
  Status commit();
  void answer(Connection& connection);
  void drop_closed();
  [[nodiscard]] bool sandboxd_has_more() const;
  [[nodiscard]] std::size_t count(Source source) const;

  Log log_;
  Sockets sockets_;
  uid_t sandboxd_uid_;
  std::list<Connection> connections_;                       // a list: batch_ points into it
  std::vector<std::pair<Connection*, std::size_t>> batch_;  // whose answers, and where in its outgoing
  std::vector<pollfd> polled_;
  bool stop_ = false;
};

}  // namespace sandboxd::audit
