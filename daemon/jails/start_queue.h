// In which order users' starts go to the launcher: each user's in theirs, the users in turn. No user has more than `most` of them
// unanswered, so that whoever starts one jail finds the launcher and the processors with a few of each other user before it, not
// with all that the others want. What hangs holds up its own user alone. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include <sys/types.h>

namespace sandboxd::jails {

class StartQueue {
 public:
  explicit StartQueue(std::uint32_t most) : most_(most) {}

  void push(uid_t user, std::uint64_t start);
  // The next that may go; it stays until it is taken.
  [[nodiscard]] std::optional<std::uint64_t> next() const;
  void take();                       // what next() said is on its way
  void forget(std::uint64_t start);  // of one that waits: nobody wants it any more
  void answered(uid_t user);
  void clear();
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  struct Lane {
    std::deque<std::uint64_t> waiting{};
    std::uint32_t under_way = 0;
    bool in_turn = false;
  };
  void give_turn(uid_t user, Lane& lane);

  std::uint32_t most_;
  std::map<uid_t, Lane> lanes_;
  std::deque<uid_t> turns_;  // users with something that may go
  std::size_t waiting_ = 0;
};

}  // namespace sandboxd::jails
