#include "daemon/wire/profile_set.h"

#include <algorithm>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "daemon/wire/codec.h"

namespace sandboxd::wire {

namespace {

std::string names_of(std::string_view kind, const std::vector<ProfileId>& ids) {
  std::string text;
  for (const ProfileId& one : ids) text += fmt::format("{}{}", text.empty() ? "" : ", ", one.name);
  return text.empty() ? text : fmt::format("{} {}", kind, text);
}

}  // namespace

bool may_use(const ProfileUsers& who, std::uint32_t uid, std::uint32_t gid, std::span<const std::uint32_t> groups) {
  const auto is_member = [&](const ProfileId& one) {
    return one.id == gid || std::ranges::find(groups, one.id) != groups.end();
  };
  return !who.restricted || std::ranges::find(who.users, uid, &ProfileId::id) != who.users.end() ||
         std::ranges::any_of(who.groups, is_member);
}

std::string to_text(const ProfileUsers& who) {
  if (!who.restricted) return "everybody";
  const std::string users = names_of("users", who.users);
  const std::string groups = names_of("groups", who.groups);
  if (users.empty() && groups.empty()) return "nobody but the administrator";
  return fmt::format("{}{}{}", users, users.empty() || groups.empty() ? "" : " and ", groups);
}

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
