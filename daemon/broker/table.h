// Who holds which token, and how many children each user has: the broker's memory, without system calls. Bounded: kPerUid
// children a user (a uid, or the owner of subordinate ones), kInAll in all; a child counts until it is reaped, also one that hangs on a descriptor of its client.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/broker_message.h"
#include "base/id_owners.h"

namespace sandboxd::broker {

using Token = std::array<std::uint8_t, 16>;
using ChildId = std::uint64_t;

inline constexpr std::size_t kPerUid = 64;
inline constexpr std::size_t kInAll = 1024;

class Table {
 public:
  explicit Table(std::vector<OwnedIds> owners = {}) : owners_(std::move(owners)) {}

  // Why a peer of this uid gets no child; nothing when it may have one. The ids of jails and of our own programs have no
  // files of their own; uid 0 on the public socket may be a container's root, and is refused.
  [[nodiscard]] std::optional<BrokerRefusal> refusal(std::uint32_t uid, bool admin) const;
  // Ids grow: a child that was added later has a greater one.
  ChildId add(std::uint32_t uid);
  void remove(ChildId child);

  // False when the token is another's, who keeps it, or this child has one.
  [[nodiscard]] bool hold(ChildId child, const Token& token);
  // The holder; the token is free after it (tokens are for one launch).
  [[nodiscard]] std::optional<ChildId> take(const Token& token);
  void drop_token(ChildId child);

  [[nodiscard]] std::size_t size() const { return children_.size(); }

 private:
  struct Entry {
    std::uint32_t charged = 0;
    std::optional<Token> token{};
  };
  std::vector<OwnedIds> owners_;
  std::map<ChildId, Entry> children_;
  std::map<Token, ChildId> holders_;
  std::map<std::uint32_t, std::size_t> per_uid_;
  ChildId next_ = 1;
};

}  // namespace sandboxd::broker
