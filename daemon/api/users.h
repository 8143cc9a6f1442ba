// What each user may hold of the server: connections, bytes kept for it in either direction, calls a second. A user is a uid,
// or the owner of a subordinate one; connections by admin.sock are counted apart, so that a container's root on the public socket can't shut the admin out.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include <sys/types.h>

namespace sandboxd::api {

struct Limits {
  std::uint32_t connections = 64;  // of each user
  std::uint32_t calls_per_second = 500;
  std::uint64_t pending_bytes = 16U << 20;
  std::uint32_t all_connections = 4096;  // of all users together, admin.sock's apart
};

struct User {
  bool admin = false;
  std::uint32_t connections = 0;
  std::uint64_t pending = 0;   // bytes
  double calls = 0;            // tokens that are left
  std::uint64_t refilled = 0;  // CLOCK_MONOTONIC, microseconds
};

class UserTable {
 public:
  explicit UserTable(const Limits& limits) : limits_(limits) {}

  // Counts one more connection; null when the user, or all of them, have as many as they may. The reference stays good until
  // close().
  [[nodiscard]] User* open(uid_t uid, bool admin, std::uint64_t now);
  void close(User& user);
  // Counts one call: false when the user has made as many as it may within the last second.
  [[nodiscard]] bool take_call(User& user, std::uint64_t now) const;
  // Would take_call() say true?
  [[nodiscard]] bool may_call(User& user, std::uint64_t now) const;
  // A call that took as much as `calls` others. Paid back within two seconds, whatever it was.
  void charge(User& user, double calls) const;
  [[nodiscard]] bool over_pending(const User& user) const { return user.pending > limits_.pending_bytes; }
  [[nodiscard]] std::uint32_t connections() const noexcept { return connections_; }

 private:
  void refill(User& user, std::uint64_t now) const;
  void forget_idle(std::uint64_t now);

  Limits limits_;
  std::map<std::pair<uid_t, bool>, User> users_{};
  std::uint32_t connections_ = 0;
};

}  // namespace sandboxd::api
