#include "daemon/broker/table.h"

#include "base/ids.h"

namespace sandboxd::broker {

std::optional<BrokerRefusal> Table::refusal(std::uint32_t uid, bool admin) const {
  if (admin != (uid == 0) || is_pool_id(uid) || uid == ~std::uint32_t{0}) return BrokerRefusal::kNotAllowed;
  const auto found = per_uid_.find(owner_of(owners_, uid));
  if (children_.size() >= kInAll || (found != per_uid_.end() && found->second >= kPerUid))
    return BrokerRefusal::kTooMany;
  return std::nullopt;
}

ChildId Table::add(std::uint32_t uid) {
  const std::uint32_t charged = owner_of(owners_, uid);
  children_.emplace(next_, Entry{charged});
  ++per_uid_[charged];
  return next_++;
}

void Table::remove(ChildId child) {
  const auto found = children_.find(child);
  if (found == children_.end()) return;
  drop_token(child);
  const auto count = per_uid_.find(found->second.charged);
  if (--count->second == 0) per_uid_.erase(count);
  children_.erase(found);
}

bool Table::hold(ChildId child, const Token& token) {
  const auto found = children_.find(child);
  if (found == children_.end() || found->second.token || !holders_.emplace(token, child).second) return false;
  found->second.token = token;
  return true;
}

std::optional<ChildId> Table::take(const Token& token) {
  const auto found = holders_.find(token);
  if (found == holders_.end()) return std::nullopt;
  const ChildId child = found->second;
  holders_.erase(found);  // the child's entry keeps it: it can't hold a second one
  return child;
}

void Table::drop_token(ChildId child) {
  const auto found = children_.find(child);
  if (found == children_.end() || !found->second.token) return;
  const auto holder = holders_.find(*found->second.token);
  if (holder != holders_.end() && holder->second == child) holders_.erase(holder);
}

}  // namespace sandboxd::broker
