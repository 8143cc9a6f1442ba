#include "daemon/wire/profile_set.h"

#include <span>

#include "daemon/wire/codec.h"

namespace sandboxd::wire {

Sha256Digest hash_of(const Profile& profile) {
  Profile copy = profile;
  copy.hash = {};
  return sha256(encode(copy));
}

Sha256Digest hash_of(const ProfileSet& set) {
  const std::vector<std::uint8_t> bytes = encode(set);
  return sha256(std::span(bytes).subspan(sizeof(Sha256Digest)));
}

}  // namespace sandboxd::wire
