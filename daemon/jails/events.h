// The last events of all jails, with a cursor each, and who listens. Subscribers are called from the loop, never from within
// add() or subscribe(); one that is dropped is not called again. Bounded: the oldest events are forgotten.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "daemon/jails/random_id.h"
#include "daemon/jails/supervisor.h"
#include "daemon/jails/watch.h"

namespace sandboxd::jails {

class EventLog {
 public:
  static constexpr std::size_t kMost = 4096;

  explicit EventLog(sd_event* loop) : loop_(loop), epoch_(random_id("e-")) {}

  void add(Event event);  // sets cursor and time
  // Events with a cursor > `after` that are `uid`'s on the public socket, or everyone's.
  Supervisor::Subscription subscribe(uid_t uid, bool all, std::uint64_t after,
                                     std::function<void(const Event&)> callback);
  [[nodiscard]] const std::string& epoch() const { return epoch_; }
  // How many events after `after` are forgotten, whoever they were for.
  [[nodiscard]] std::uint64_t missed(std::uint64_t after) const;
  [[nodiscard]] std::vector<Event> past(uid_t uid, bool all, std::uint64_t after) const;

 private:
  struct Subscriber {
    uid_t uid = 0;
    bool all = false;
    std::uint64_t after = 0;
    std::function<void(const Event&)> callback{};
  };

  // Is it for that uid on the public socket, or for who sees all?
  static bool is_for(const Event& event, uid_t uid, bool all);
  void wake();
  void deliver();

  sd_event* loop_;
  std::string epoch_;
  std::deque<Event> events_;
  std::uint64_t last_ = 0;
  std::vector<std::weak_ptr<Subscriber>> subscribers_;
  Timer wake_;
};

}  // namespace sandboxd::jails
