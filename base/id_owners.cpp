#include "base/id_owners.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <optional>

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "base/user_names.h"

namespace sandboxd {
namespace {

constexpr std::size_t kMaxFile = 16U << 20;
constexpr std::uint32_t kLastId = UINT32_MAX - 1;  // UINT32_MAX is no id (chown(2))

using Names = std::map<std::string, std::uint32_t, std::less<>>;
using Ids = std::map<std::uint32_t, OwnedIds>;  // by first

std::string_view next_part(std::string_view& text, char at) {
  const std::size_t end = std::min(text.find(at), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

// "name or uid:first:count"
std::optional<OwnedIds> parse_line(std::string_view line, const Names& names) {
  const std::string_view name = next_part(line, ':');
  const auto first = parse_uint(next_part(line, ':'), kLastId);
  const auto count = parse_uint(line, UINT32_MAX);
  if (name.empty() || !first || !count || *count == 0) return {};
  OwnedIds ids{static_cast<std::uint32_t>(*first), 0, static_cast<std::uint32_t>(*first)};
  ids.last = static_cast<std::uint32_t>(std::min<std::uint64_t>(*first + *count - 1, kLastId));
  const auto known = names.find(name);
  const auto number = known == names.end() ? parse_uint(name, kLastId) : std::optional<std::uint64_t>(known->second);
  if (number && *number != 0) ids.owner = static_cast<std::uint32_t>(*number);
  return ids;
}

// What of it nobody has yet.
void add(const OwnedIds& ids, Ids& all) {
  std::uint64_t next = ids.first;
  auto row = all.upper_bound(ids.first);
  if (row != all.begin()) --row;
  for (; row != all.end() && row->first <= ids.last; ++row) {
    if (row->second.last < next) continue;
    if (row->first > next) {
      all.emplace(next, OwnedIds{static_cast<std::uint32_t>(next), row->first - 1, ids.owner});
    }
    next = std::uint64_t{row->second.last} + 1;
  }
  if (next <= ids.last) all.emplace(next, OwnedIds{static_cast<std::uint32_t>(next), ids.last, ids.owner});
}

Result<std::string> read_roots(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd && errno == ENOENT) return std::string();
  if (!fd) return sys_error("open {}", quoted(path));
  TRY(check_root_owned(fd.get(), path));
  return read_fd(fd.get(), kMaxFile).context("{}", quoted(path));
}

}  // namespace

std::vector<OwnedIds> parse_id_owners(std::string_view subuid, std::string_view passwd) {
  Names names;
  Ids all;
  for (const auto& [uid, name] : parse_passwd(passwd)) {
    names.emplace(name, uid);
    add({uid, uid, uid}, all);
  }
  while (!subuid.empty()) {
    if (const auto ids = parse_line(next_part(subuid, '\n'), names)) add(*ids, all);
  }
  std::vector<OwnedIds> owners;
  for (const auto& [first, ids] : all) {
    if (ids.first != ids.last || ids.owner != ids.first) owners.push_back(ids);
  }
  return owners;
}

std::uint32_t owner_of(std::span<const OwnedIds> owners, std::uint32_t uid) {
  const auto above = std::ranges::upper_bound(owners, uid, {}, &OwnedIds::first);
  if (above == owners.begin()) return uid;
  const OwnedIds& ids = *std::prev(above);
  return uid <= ids.last ? ids.owner : uid;
}

Result<std::vector<OwnedIds>> load_id_owners(const IdOwnerFiles& files) {
  TRY_ASSIGN(const std::string subuid, read_roots(files.subuid));
  if (subuid.empty()) return std::vector<OwnedIds>();
  TRY_ASSIGN(const std::string passwd, read_roots(files.passwd));
  return parse_id_owners(subuid, passwd);
}

}  // namespace sandboxd
