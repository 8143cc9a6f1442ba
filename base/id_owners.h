// Whose a uid is, for what a user is charged with: the subordinate ids of /etc/subuid (subuid(5)) are their owner's, who may become
// any of them with newuidmap(1). For shares and rates alone: no right follows from it. Pure, but for load_id_owners.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sandboxd {

struct OwnedIds {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint32_t owner = 0;

  template <class A> void fields(A& a) {
    a(first);
    a(last);
    a(owner);
  }
  bool operator==(const OwnedIds&) const = default;
};

// In order, none of them meeting another: where two lines do, the first counts. An id that has an account of its own is nobody
// else's. The ranges of root (whose are the containers that it starts) and of names that have no account are one user each,
// charged as their first id. Lines that newuidmap does not understand give nothing.
[[nodiscard]] std::vector<OwnedIds> parse_id_owners(std::string_view subuid, std::string_view passwd);

// The uid that is charged for what this one takes.
[[nodiscard]] std::uint32_t owner_of(std::span<const OwnedIds> owners, std::uint32_t uid);

struct IdOwnerFiles {
  std::string subuid = "/etc/subuid";
  std::string passwd = "/etc/passwd";
};
// A host without subuid has none. EPERM when somebody else than root may write them.
Result<std::vector<OwnedIds>> load_id_owners(const IdOwnerFiles& files = {});

}  // namespace sandboxd
