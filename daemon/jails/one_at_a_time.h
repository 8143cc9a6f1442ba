// Questions that the launcher answers itself, one after the other (Inspect): each user has one under way, the next goes when it is
// answered, and a bounded number waits. So whoever asks faster than the launcher answers waits for itself, and nobody's start does.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <utility>

#include <sys/types.h>

namespace sandboxd::jails {

class OneAtATime {
 public:
  using Question = std::function<void()>;

  // Asks now, or when what the user asked before is answered. False: `most` of the user's wait already.
  [[nodiscard]] bool ask(uid_t user, std::size_t most, Question question) {
    const auto [lane, is_free] = waiting_.try_emplace(user);
    if (is_free) {
      question();
      return true;
    }
    if (lane->second.size() >= most) return false;
    lane->second.push_back(std::move(question));
    return true;
  }

  // Once for each question that was asked.
  void answered(uid_t user) {
    const auto lane = waiting_.find(user);
    if (lane == waiting_.end()) return;
    if (lane->second.empty()) {
      waiting_.erase(lane);
      return;
    }
    const Question next = std::move(lane->second.front());
    lane->second.pop_front();
    next();
  }

 private:
  std::map<uid_t, std::deque<Question>> waiting_;  // of users who have one under way
};

}  // namespace sandboxd::jails
