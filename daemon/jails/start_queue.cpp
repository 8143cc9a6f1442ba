#include "daemon/jails/start_queue.h"

#include <algorithm>

namespace sandboxd::jails {

void StartQueue::push(uid_t user, std::uint64_t start) {
  Lane& lane = lanes_[user];
  lane.waiting.push_back(start);
  ++waiting_;
  give_turn(user, lane);
}

std::optional<std::uint64_t> StartQueue::next() const {
  if (turns_.empty()) return {};
  return lanes_.at(turns_.front()).waiting.front();
}

void StartQueue::take() {
  const uid_t user = turns_.front();
  turns_.pop_front();
  Lane& lane = lanes_.at(user);
  lane.in_turn = false;
  lane.waiting.pop_front();
  --waiting_;
  ++lane.under_way;
  give_turn(user, lane);
}

void StartQueue::forget(std::uint64_t start) {
  for (auto& [user, lane] : lanes_) {
    const auto found = std::ranges::find(lane.waiting, start);
    if (found == lane.waiting.end()) continue;
    lane.waiting.erase(found);
    --waiting_;
    if (lane.waiting.empty() && lane.in_turn) {
      std::erase(turns_, user);
      lane.in_turn = false;
    }
    if (lane.waiting.empty() && lane.under_way == 0) lanes_.erase(user);
    return;
  }
}

void StartQueue::answered(uid_t user) {
  const auto found = lanes_.find(user);
  if (found == lanes_.end() || found->second.under_way == 0) return;
  --found->second.under_way;
  give_turn(user, found->second);
  if (found->second.waiting.empty() && found->second.under_way == 0) lanes_.erase(found);
}

void StartQueue::clear() {
  lanes_.clear();
  turns_.clear();
  waiting_ = 0;
}

void StartQueue::give_turn(uid_t user, Lane& lane) {
  if (lane.in_turn || lane.waiting.empty() || lane.under_way >= most_) return;
  lane.in_turn = true;
  turns_.push_back(user);
}

}  // namespace sandboxd::jails
