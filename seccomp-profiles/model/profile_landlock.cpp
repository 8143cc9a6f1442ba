#include "seccomp-profiles/model/profile_landlock.h"

#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>

#include "base/path.h"
#include "base/text.h"

namespace sandboxd::filters {
namespace {

constexpr std::size_t kMostEntries = 64;
constexpr std::string_view kDevices = "/dev";

// What stands for paths that are only known when a jail is made.
constexpr std::array<std::string_view, 3> kPlaces = {"@workspace", "@binds", "@scratch"};
constexpr std::array<std::string_view, 2> kScopes = {"abstract_unix", "signal"};
constexpr std::array<std::string_view, 4> kOptional = {"truncate", "tcp", "ioctl", "scopes"};

Result<std::vector<std::uint16_t>> ports_at(const Cursor& at) {
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  std::vector<std::uint16_t> ports;
  for (const Cursor& item : items) {
    TRY_ASSIGN(const std::uint64_t port, item.number(0, UINT16_MAX));
    ports.push_back(static_cast<std::uint16_t>(port));
  }
  if (ports.size() > kMostEntries) return at.error(fmt::format("has more than {} ports; remove some", kMostEntries));
  return ports;
}

Result<std::vector<std::string>> words_at(const Cursor& at, std::span<const std::string_view> known) {
  TRY_ASSIGN(std::vector<std::string> words, at.texts());
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (std::ranges::find(known, words[i]) == known.end())
      return items[i].unexpected(fmt::format("one of {}", fmt::join(known, ", ")));
  }
  return words;
}

Result<std::vector<std::string>> paths_at(const Cursor& at) {
  TRY_ASSIGN(std::vector<std::string> paths, at.texts());
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  if (paths.size() > kMostEntries) return at.error(fmt::format("has more than {} paths; remove some", kMostEntries));
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!is_canonical_path(paths[i]) && std::ranges::find(kPlaces, paths[i]) == kPlaces.end())
      return items[i].unexpected(fmt::format("an absolute path in the jail without '.', '..' or '//', or one of {}",
                                             fmt::join(kPlaces, ", ")));
  }
  return paths;
}

Status check_paths(const Cursor& landlock, const ProfileLandlock& value) {
  if (landlock.has("execute") && value.execute->empty())
    return landlock.member("execute")->error("is empty: no command could run; give a path, as \"/usr\"");
  if (landlock.has("read")) {
    TRY_ASSIGN(const Cursor at, landlock.member("read"));
    if (value.read->empty()) return at.error("is empty: no library could be loaded; give a path, as \"/usr\"");
    if (std::ranges::find(*value.read, "/") != value.read->end())
      return at.error("has '/', which is everything; leave 'read' out instead");
  }
  if (!landlock.has("ioctl")) return {};
  TRY_ASSIGN(const Cursor at, landlock.member("ioctl"));
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!value.ioctl->at(i).starts_with('/') || !is_beneath(value.ioctl->at(i), kDevices))
      return items[i].unexpected("a device of the jail, as '/dev/tty' or '/dev/pts'");
  }
  return {};
}

}  // namespace

Status read_landlock(const Cursor& at, ProfileLandlock& landlock) {
  struct PathsRow {
    std::string_view name;
    std::optional<std::vector<std::string>> ProfileLandlock::*list;
  };
  static constexpr std::array kPathLists = {
      PathsRow{"read", &ProfileLandlock::read}, PathsRow{"write", &ProfileLandlock::write},
      PathsRow{"execute", &ProfileLandlock::execute}, PathsRow{"truncate", &ProfileLandlock::truncate},
      PathsRow{"ioctl", &ProfileLandlock::ioctl}};
  struct PortsRow {
    std::string_view name;
    std::optional<std::vector<std::uint16_t>> ProfileLandlock::*list;
  };
  static constexpr std::array kPortLists = {PortsRow{"tcp_connect", &ProfileLandlock::tcp_connect},
                                            PortsRow{"tcp_bind", &ProfileLandlock::tcp_bind}};
  constexpr std::array<std::string_view, 9> kKeys = {"read",        "write",    "execute", "truncate", "ioctl",
                                                     "tcp_connect", "tcp_bind", "scopes",  "optional"};
  TRY(at.only_keys(kKeys));
  for (const PathsRow& row : kPathLists) {
    if (!at.has(row.name)) continue;
    TRY_ASSIGN(const Cursor paths, at.member(row.name));
    TRY_ASSIGN(landlock.*row.list, paths_at(paths));
  }
  TRY(check_paths(at, landlock));
  for (const PortsRow& row : kPortLists) {
    if (!at.has(row.name)) continue;
    TRY_ASSIGN(const Cursor ports, at.member(row.name));
    TRY_ASSIGN(landlock.*row.list, ports_at(ports));
  }
  if (at.has("scopes")) {
    TRY_ASSIGN(const Cursor scopes, at.member("scopes"));
    TRY_ASSIGN(landlock.scopes, words_at(scopes, kScopes));
  }
  if (at.has("optional")) {
    TRY_ASSIGN(const Cursor optional, at.member("optional"));
    TRY_ASSIGN(landlock.optional, words_at(optional, kOptional));
  }
  return {};
}

}  // namespace sandboxd::filters
