#include "daemon/jails/events.h"

#include <utility>

#include <spdlog/spdlog.h>

#include "base/clock.h"

namespace sandboxd::jails {

void EventLog::add(Event event) {
  event.cursor = ++last_;
  event.time = realtime_usec();
  events_.push_back(std::move(event));
  if (events_.size() > kMost) events_.pop_front();
  if (!subscribers_.empty()) wake();
}

Supervisor::Subscription EventLog::subscribe(uid_t uid, bool all, std::uint64_t after,
                                             std::function<void(const Event&)> callback) {
  auto subscriber = std::make_shared<Subscriber>(Subscriber{uid, all, after, std::move(callback)});
  subscribers_.push_back(subscriber);
  wake();
  return subscriber;
}

std::vector<Event> EventLog::past(uid_t uid, bool all, std::uint64_t after) const {
  std::vector<Event> found;
  for (const Event& event : events_) {
    if (event.cursor > after && is_for(event, uid, all)) found.push_back(event);
  }
  return found;
}

std::uint64_t EventLog::missed(std::uint64_t after) const {
  const std::uint64_t first = events_.empty() ? last_ + 1 : events_.front().cursor;
  return after + 1 < first ? first - after - 1 : 0;
}

bool EventLog::is_for(const Event& event, uid_t uid, bool all) { return all || (event.uid == uid && !event.admin); }

void EventLog::wake() {
  if (wake_.active()) return;
  const Status armed = wake_.arm(loop_, 0, [this] { deliver(); });
  if (!armed.ok()) spdlog::error("events: {}", armed.error().message());
}

void EventLog::deliver() {
  std::erase_if(subscribers_, [](const auto& weak) { return weak.expired(); });
  const auto subscribers = subscribers_;
  for (const auto& weak : subscribers) {
    // Looked up anew for each event: a callback may add events, or drop any subscriber.
    for (;;) {
      const auto subscriber = weak.lock();
      if (!subscriber || subscriber->after >= last_) break;
      const std::uint64_t first = events_.front().cursor;
      const std::uint64_t next = std::max(subscriber->after + 1, first);
      const Event event = events_[next - first];
      subscriber->after = next;
      if (is_for(event, subscriber->uid, subscriber->all)) subscriber->callback(event);
    }
  }
}

}  // namespace sandboxd::jails
