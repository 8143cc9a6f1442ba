// sandboxd's end of audit.sock (daemon/wire/audit.h), over the event loop. Records are answered in order. An intent that was
// under way when the log went away fails; a result is kept, bounded, and sent again when the log is back: it may then be in
// the log twice, under one id, but never not at all. While the log is away, or the bound is near, accepting() is false: nothing may start.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "daemon/jails/link.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/message.h"

namespace sandboxd::jails {

class AuditClient {
 public:
  // The record's index in the log, or why it is not there.
  using Done = std::function<void(Result<std::uint64_t>)>;
  static constexpr std::size_t kMostPending = 20000;

  AuditClient(sd_event* loop, std::string path, std::function<void()> connected);

  void start() { link_.connect(); }
  [[nodiscard]] bool connected() const { return link_.connected(); }
  [[nodiscard]] bool accepting() const { return connected() && pending_.size() < kMostPending / 2; }

  // `done` is called later, never from within. An intent is never sent twice.
  void append(wire::AuditRecord record, Done done);
  // A result that nobody waits for: it goes with the next record, or in a moment. One fdatasync(2) less between two execs.
  void append_soon(wire::AuditRecord record, Done done);

 private:
  struct Pending {
    wire::AuditRecord record{};
    Done done{};
    std::uint64_t id = 0;
  };

  void on_connected();
  void on_lost(const Error& why);
  void keep(wire::AuditRecord record, Done done);
  void flush();
  void take(const wire::Message& message);

  sd_event* loop_;
  std::function<void()> on_connected_;
  Link link_;
  Timer wake_;
  Timer soon_;
  std::uint64_t next_id_ = 1;
  std::deque<Pending> pending_;  // the first `sent_` of them were sent
  std::size_t sent_ = 0;
  std::deque<std::pair<Done, Error>> failed_;
};

}  // namespace sandboxd::jails
