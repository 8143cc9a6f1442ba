#include "daemon/profilec/config.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/path.h"
#include "base/text.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/json_tree.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::profilec {
namespace {

using filters::Cursor;

constexpr std::uint64_t kMaxId = 4294967294;  // 4294967295 is no id (chown(2))
constexpr std::array<std::string_view, 2> kPoolKeys = {"first", "count"};
constexpr std::array<std::string_view, 5> kUserKeys = {"jails", "connections", "calls_per_second", "terminals",
                                                       "pending_bytes"};
// What a host may lack and the admin may decide to go without.
// What a host may be unable to enforce, each name once.
std::vector<std::string_view> limit_groups() {
  std::vector<std::string_view> names;
  for (const LimitRow& row : kLimitRows) {
    if (!row.group.empty() && std::ranges::find(names, row.group) == names.end()) names.push_back(row.group);
  }
  return names;
}

template <class Number> Status read_number(const Cursor& at, std::uint64_t least, std::uint64_t most, Number& number) {
  TRY_ASSIGN(const std::uint64_t value, at.number(least, most));
  number = static_cast<Number>(value);
  return {};
}

Status read_id_pool(const Cursor& at, wire::Config& config) {
  TRY(at.only_keys(kPoolKeys));
  TRY_ASSIGN(const Cursor first, at.member("first"));
  TRY(read_number(first, kPoolFirst, kPoolLast, config.id_pool_first));
  if ((config.id_pool_first - kPoolFirst) % kIdsPerJail != 0) {
    return first.unexpected(fmt::format("{} and a multiple of {}", kPoolFirst, kIdsPerJail));
  }
  if (at.has("count")) {
    TRY_ASSIGN(const Cursor count, at.member("count"));
    TRY(read_number(count, 2 * kIdsPerJail, kIdsPerSlice, config.id_pool_count));
    if (config.id_pool_count % kIdsPerJail != 0) return count.unexpected(fmt::format("a multiple of {}", kIdsPerJail));
  }
  if (std::uint64_t{config.id_pool_first} + config.id_pool_count - 1 > kPoolLast)
    return at.error(fmt::format("ends above {}, the pool's last id", kPoolLast));
  return {};
}

Status read_path(const Cursor& at, std::string& path) {
  TRY_ASSIGN(path, at.text());
  if (!is_canonical_path(path)) return at.unexpected("an absolute path without '.', '..' or '//'");
  return {};
}

Status read_cgroup_root(const Cursor& at, wire::Config& config) { return read_path(at, config.cgroup_root); }

Status read_profile_dirs(const Cursor& at, wire::Config& config) {
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  config.profile_dirs.clear();
  for (const Cursor& item : items) TRY(read_path(item, config.profile_dirs.emplace_back()));
  return {};
}

Status read_default_profile(const Cursor& at, wire::Config& config) {
  TRY_ASSIGN(config.default_profile, at.text());
  if (!filters::is_name(config.default_profile)) return at.unexpected("a profile's name");
  return {};
}

Status read_allowed_ids(const Cursor& at, wire::Config& config) {
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  for (const Cursor& item : items) {
    TRY(read_number(item, 1, kMaxId, config.allowed_ids.emplace_back()));
    // Root's files are for clients of broker-admin.sock; the pool's ids belong to jails.
    if (is_pool_id(config.allowed_ids.back())) return item.unexpected("an id outside the pool");
  }
  return {};
}

Status read_uid_min(const Cursor& at, wire::Config& config) { return read_number(at, 1, kMaxId, config.uid_min); }

Status read_user_limits(const Cursor& at, wire::Config& config) {
  TRY(at.only_keys(kUserKeys));
  const std::array numbers = {&config.user_jails, &config.user_connections, &config.user_calls_per_second,
                              &config.user_terminals};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (!at.has(kUserKeys[i])) continue;
    TRY_ASSIGN(const Cursor value, at.member(kUserKeys[i]));
    TRY(read_number(value, 1, 1U << 20, *numbers[i]));
  }
  if (!at.has("pending_bytes")) return {};
  TRY_ASSIGN(const Cursor bytes, at.member("pending_bytes"));
  TRY_ASSIGN(config.user_pending_bytes, filters::size_at(bytes));
  // One frame of the protocol must fit.
  if (config.user_pending_bytes < (1U << 20)) return bytes.unexpected("1M or more");
  return {};
}

Status read_unenforced_limits(const Cursor& at, wire::Config& config) {
  TRY_ASSIGN(config.unenforced_limits, at.texts());
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  const std::vector<std::string_view> names = limit_groups();
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (std::ranges::find(names, config.unenforced_limits[i]) != names.end()) continue;
    return items[i].unexpected(fmt::format("one of {}", fmt::join(names, ", ")));
  }
  return {};
}

struct ConfigKey {
  std::string_view name;
  Status (*read)(const Cursor&, wire::Config&);
};
constexpr std::array kConfigKeys = {
    ConfigKey{"id_pool", read_id_pool},           ConfigKey{"cgroup_root", read_cgroup_root},
    ConfigKey{"profile_dirs", read_profile_dirs}, ConfigKey{"default_profile", read_default_profile},
    ConfigKey{"allowed_ids", read_allowed_ids},   ConfigKey{"uid_min", read_uid_min},
    ConfigKey{"user_limits", read_user_limits},   ConfigKey{"unenforced_limits", read_unenforced_limits},
};

}  // namespace

Result<wire::Config> parse_config(std::string_view text, std::string_view file) {
  TRY_ASSIGN(const filters::JsonNode root, filters::parse_json(text, file));
  const Cursor at(root, file);
  std::array<std::string_view, kConfigKeys.size()> names{};
  std::ranges::transform(kConfigKeys, names.begin(), &ConfigKey::name);
  TRY(at.only_keys(names));
  wire::Config config;
  for (const ConfigKey& key : kConfigKeys) {
    if (!at.has(key.name)) continue;
    TRY_ASSIGN(const Cursor value, at.member(key.name));
    TRY(key.read(value, config));
  }
  return config;
}

}  // namespace sandboxd::profilec
