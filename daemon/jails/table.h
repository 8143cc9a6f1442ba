// Which jails there are: by id, by a user's name for it, by number. Ended ones are kept for wait and inspect, bounded for each
// user and in time. Numbers are given out in turn, so that one that was just freed is not used again at once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/id_owners.h"
#include "daemon/jails/jail.h"
#include "daemon/jails/shares.h"

namespace sandboxd::jails {

inline constexpr std::size_t kEndedKept = 64;  // for each user
inline constexpr std::uint64_t kEndedKeptUsec = 3'600'000'000;

// Who may see a jail: its user, and whoever came by admin.sock.
// Whose a jail is, and who is charged for it: a uid, or (uid_t)-1, which nobody has, for all that came by admin.sock. Uid 0 of the
// public socket is another account: a container's root has it too.
[[nodiscard]] uid_t account_of(const Client& client);
[[nodiscard]] bool is_own(const Client& client, const Jail& jail);
[[nodiscard]] bool may_see(const Client& client, const Jail& jail);

class Numbers {
 public:
  explicit Numbers(std::uint32_t count) : taken_(count, false) {}  // 0 is never given out
  [[nodiscard]] std::uint32_t take();                              // 0: none is free
  bool mark(std::uint32_t number);                                 // false: out of range, or taken already
  void free(std::uint32_t number);
  [[nodiscard]] std::size_t in_use() const { return in_use_; }
  [[nodiscard]] std::size_t size() const { return taken_.size(); }

 private:
  std::vector<bool> taken_;
  std::uint32_t next_ = 1;
  std::size_t in_use_ = 0;
};

class Table {
 public:
  // Subordinate ids count as their owner in what follows "of a user": how many, and what they hold.
  void charge_to(std::vector<OwnedIds> owners) { owners_ = std::move(owners); }
  [[nodiscard]] uid_t charged(uid_t uid) const { return owner_of(owners_, uid); }

  void add(std::shared_ptr<Jail> jail);
  void erase(const std::string& id);
  // Forgets what has ended and is too much, too old, or never ran; `now` is CLOCK_MONOTONIC.
  void trim(std::uint64_t now);

  // By id or name, of those that the client may see.
  [[nodiscard]] std::shared_ptr<Jail> find(const Client& client, const std::string& id_or_name) const;
  [[nodiscard]] std::shared_ptr<Jail> by_id(const std::string& id) const;
  [[nodiscard]] bool name_in_use(uid_t uid, const std::string& name) const;  // by a jail that has not ended
  [[nodiscard]] bool has_number(std::uint32_t number) const;
  [[nodiscard]] std::size_t alive(uid_t uid) const;     // of a user
  [[nodiscard]] std::size_t starting(uid_t uid) const;  // of them, those that the launcher has not answered for
  [[nodiscard]] Holding descriptors(uid_t uid) const;   // of jails that have not ended, by that user and by others
  [[nodiscard]] Holding terminals(uid_t uid) const;
  [[nodiscard]] std::vector<std::shared_ptr<Jail>> visible(const Client& client) const;
  [[nodiscard]] std::vector<std::shared_ptr<Jail>> of_connection(std::uint64_t connection) const;
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }

 private:
  template <class Counts> [[nodiscard]] std::size_t count(uid_t uid, Counts counts) const;
  template <class Number> [[nodiscard]] Holding held(uid_t uid, Number number) const;

  std::map<std::string, std::shared_ptr<Jail>> by_id_;
  std::map<uid_t, std::map<std::string, std::shared_ptr<Jail>>> by_user_;
  std::vector<OwnedIds> owners_;
};

}  // namespace sandboxd::jails
