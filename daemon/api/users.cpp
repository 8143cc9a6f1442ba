#include "daemon/api/users.h"

#include <algorithm>

namespace sandboxd::api {
namespace {

constexpr std::uint64_t kSecond = 1'000'000;

}  // namespace

User* UserTable::open(uid_t uid, bool admin, std::uint64_t now) {
  forget_idle(now);
  if (!admin && connections_ >= limits_.all_connections) return nullptr;
  const auto [found, is_new] = users_.try_emplace({uid, admin});
  User& user = found->second;
  if (is_new) {
    user.admin = admin;
    user.calls = limits_.calls_per_second;
    user.refilled = now;
  }
  if (user.connections >= limits_.connections) return nullptr;
  ++user.connections;
  connections_ += admin ? 0 : 1;
  return &user;
}

void UserTable::close(User& user) {
  --user.connections;
  connections_ -= user.admin ? 0 : 1;
}

bool UserTable::take_call(User& user, std::uint64_t now) const {
  if (!may_call(user, now)) return false;
  user.calls -= 1;
  return true;
}

bool UserTable::may_call(User& user, std::uint64_t now) const {
  refill(user, now);
  return user.calls >= 1;
}

void UserTable::charge(User& user, double calls) const {
  const double rate = limits_.calls_per_second;
  user.calls = std::max(user.calls - calls, -rate);
}

void UserTable::refill(User& user, std::uint64_t now) const {
  const double rate = limits_.calls_per_second;
  const double gained = static_cast<double>(now - user.refilled) * rate / kSecond;
  user.calls = std::min(rate, user.calls + gained);
  user.refilled = now;
}

// Not at close(): a user who reconnects for each call would have a full measure each time.
void UserTable::forget_idle(std::uint64_t now) {
  std::erase_if(users_, [&](const auto& entry) {
    return entry.second.connections == 0 && now - entry.second.refilled > 2 * kSecond;
  });
}

}  // namespace sandboxd::api
