// sandboxd's end of launcher.sock (daemon/wire/launcher.h), over the event loop: requests are matched with their answers by
// id, in any order. A launcher that was restarted is connected to again; what was under way then fails, and is never sent a
// second time, since it may have been done. A start that is answered after it was given up is killed by its number.
// Starts wait in turn, user by user (start_queue.h), and behind every other request.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/jails/link.h"
#include "daemon/jails/start_queue.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/message.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::jails {

class LauncherClient {
 public:
  // The answer's message, or why there is none (the launcher is away, or late).
  using Done = std::function<void(Result<wire::Message>)>;
  struct Callbacks {
    std::function<void()> connected{};  // also after each reconnection; requests may be sent
    std::function<void()> disconnected{};
    std::function<void(std::shared_ptr<const wire::ProfileSet>)> profiles{};  // at connect and after each reload
  };

  LauncherClient(sd_event* loop, std::string path, Callbacks callbacks);

  void start() { link_.connect(); }
  [[nodiscard]] bool connected() const { return link_.connected(); }

  // `done` is called later, never from within. `deadline_usec` from now.
  template <class T>
  void request(wire::LauncherMessage type, const T& body, Done done, std::uint64_t deadline_usec = kAnswerTime) {
    send(type, wire::encode(body), std::move(done), deadline_usec);
  }
  // A start, in `user`'s turn.
  void start(uid_t user, const wire::JailPlan& plan, Done done);

  static constexpr std::uint64_t kAnswerTime = 60'000'000;
  // Unanswered ones of a user. More than any host has processors busy with, and few beside what another user's start takes.
  static constexpr std::uint32_t kMostStarts = 32;

 private:
  struct Pending {
    wire::LauncherMessage type{};
    Done done{};
    Timer late{};
    std::optional<uid_t> user{};          // of a start
    std::vector<std::uint8_t> waiting{};  // a start's body, until it is sent
  };
  struct Outgoing {
    wire::LauncherMessage type{};
    std::uint64_t id = 0;
    std::vector<std::uint8_t> body{};
  };

  void send(wire::LauncherMessage type, std::vector<std::uint8_t> body, Done done, std::uint64_t deadline_usec);
  bool expect(std::uint64_t id, wire::LauncherMessage type, Done done, std::uint64_t deadline_usec);
  Done settle(std::uint64_t id);
  void on_connected();
  void on_lost(const Error& why);
  void flush();
  bool flush_starts();
  void take(wire::Message message);
  void take_profiles(const wire::Message& message);
  void give_up(std::uint64_t id);
  void end_unwanted(const wire::Message& message);

  sd_event* loop_;
  Callbacks callbacks_;
  Link link_;
  Timer wake_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Pending> pending_;
  std::deque<Outgoing> outgoing_;
  StartQueue starts_{kMostStarts};
  std::deque<std::pair<Done, Error>> failed_;  // told from the loop, not from within request()
};

}  // namespace sandboxd::jails
