// From files to one Profile: keys, inheritance, and the checks that need more than one key.
#include "seccomp-profiles/model/profile.h"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

#include "base/path.h"
#include "base/text.h"
#include "seccomp-profiles/model/json_tree.h"
#include "seccomp-profiles/model/limits.h"
#include "seccomp-profiles/model/profile_landlock.h"

namespace sandboxd::filters {
namespace {

constexpr std::size_t kMaxLineage = 8;
constexpr std::size_t kMaxIds = 64;
constexpr std::size_t kMaxHiddenNames = 64;
constexpr std::uint64_t kMaxTerminals = 256;
constexpr std::uint64_t kMaxCount = 1ULL << 30;

constexpr std::array<std::string_view, 3> kRoots = {"usr", "directory", "host"};
constexpr std::array<std::string_view, 2> kNetworks = {"none", "host"};
constexpr std::array<std::string_view, 2> kAccess = {"ro", "rw"};
constexpr std::array<std::string_view, 2> kProcs = {"full", "pid"};
constexpr std::array<std::string_view, 2> kUnixSockets = {"none", "any"};
constexpr std::array<std::string_view, 4> kTmpfsKeys = {"path", "size", "inodes", "mode"};
// What the jail has of its own there, or must never see of the host's.
constexpr std::array<std::string_view, 9> kOwnEtc = {"passwd",      "group",  "hosts",   "hostname",  "nsswitch.conf",
                                                     "resolv.conf", "shadow", "gshadow", "machine-id"};

Result<std::string> word_at(const Cursor& at, std::span<const std::string_view> known) {
  TRY_ASSIGN(std::string word, at.text());
  if (std::ranges::find(known, word) == known.end())
    return at.unexpected(fmt::format("one of {}", fmt::join(known, ", ")));
  return word;
}

Result<std::vector<std::string>> words_at(const Cursor& at, std::span<const std::string_view> known) {
  TRY_ASSIGN(std::vector<std::string> words, at.texts());
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  for (const Cursor& item : items) {
    TRY_ASSIGN(const std::string word, word_at(item, known));
  }
  return words;
}

bool is_env_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || name.size() > 255 || !letter(name.front())) return false;
  return std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

bool is_account_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || name.size() > 32 || !letter(name.front())) return false;
  const auto plain = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '$'; };
  return std::ranges::all_of(name, plain);
}

Status read_filter(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.filter, at.text());
  if (!is_name(profile.filter)) return at.unexpected("the name of a filter file, without '.json'");
  return {};
}
Status read_inherits(const Cursor& at, Profile& /*profile*/) {
  TRY_ASSIGN(const std::string name, at.text());
  if (!is_name(name)) return at.unexpected("the name of a profile, without '.json'");
  return {};
}
Status read_name(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(const std::string name, at.text());
  if (name != profile.name) return at.unexpected(fmt::format("'{}', the file's own name", profile.name));
  return {};
}
Status read_description(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.description, at.filled_text());
  return {};
}
Status read_roots(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.roots, words_at(at, kRoots));
  if (profile.roots.empty()) return at.error("is empty: no jail could be made; allow one root at least");
  return {};
}
Status read_networks(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.networks, words_at(at, kNetworks));
  if (profile.networks.empty()) return at.error("is empty: no jail could be made; allow one network at least");
  return {};
}
Status read_workspace(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.workspace, words_at(at, kAccess));
  return {};
}
Status read_binds(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.binds, words_at(at, kAccess));
  return {};
}
Status read_proc(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.proc, word_at(at, kProcs));
  return {};
}
Status read_unix_sockets(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.unix_sockets, word_at(at, kUnixSockets));
  return {};
}
Status read_nested(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.nested, at.boolean());
  return {};
}

Status read_learn(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.learn, at.boolean());
  return {};
}
Status read_user_root(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.user_root, at.boolean());
  return {};
}
Status read_tmpfs_free(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.tmpfs_free, at.boolean());
  return {};
}

Result<ProfileTmpfs> tmpfs_at(const Cursor& at) {
  TRY(at.only_keys(kTmpfsKeys));
  ProfileTmpfs tmpfs;
  TRY_ASSIGN(const Cursor path_at, at.member("path"));
  TRY_ASSIGN(tmpfs.path, path_at.text());
  if (!is_canonical_path(tmpfs.path) || tmpfs.path == "/")
    return path_at.unexpected("an absolute path without '.', '..' or '//'");
  TRY_ASSIGN(const Cursor size_cursor, at.member("size"));
  TRY_ASSIGN(tmpfs.size, size_at(size_cursor));
  if (tmpfs.size == 0) return size_cursor.unexpected("a size above 0");
  TRY_ASSIGN(const Cursor inodes_at, at.member("inodes"));
  TRY_ASSIGN(tmpfs.inodes, inodes_at.number(1, kMaxCount));
  if (!at.has("mode")) return tmpfs;
  TRY_ASSIGN(const Cursor mode_at, at.member("mode"));
  TRY_ASSIGN(const std::string mode, mode_at.text());
  const bool octal = mode.size() == 4 && std::ranges::all_of(mode, [](char c) { return c >= '0' && c <= '7'; });
  // Setuid and setgid bits have no place on a scratch directory.
  if (!octal || (mode[0] != '0' && mode[0] != '1'))
    return mode_at.unexpected("four octal digits, '0000' to '1777', as '1777'");
  tmpfs.mode = static_cast<std::uint32_t>(std::stoul(mode, nullptr, 8));
  return tmpfs;
}

Status read_tmpfs(const Cursor& at, Profile& profile) {
  profile.tmpfs.clear();
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  for (const Cursor& item : items) {
    TRY_ASSIGN(ProfileTmpfs tmpfs, tmpfs_at(item));
    const auto same = [&](const ProfileTmpfs& other) { return other.path == tmpfs.path; };
    if (std::ranges::any_of(profile.tmpfs, same))
      return item.error(fmt::format("{} is listed twice", sandboxd::quoted(tmpfs.path)));
    profile.tmpfs.push_back(std::move(tmpfs));
  }
  // A mount on the parent hides what was mounted below it before.
  std::ranges::sort(profile.tmpfs, {}, &ProfileTmpfs::path);
  return {};
}

Status read_etc(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(profile.etc, at.texts());
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string& name = profile.etc[i];
    if (name.starts_with('/') || !is_canonical_path("/" + name))
      return items[i].unexpected("a name below /etc, as 'ssl/certs'");
    if (std::ranges::find(kOwnEtc, name) != kOwnEtc.end()) {
      return items[i].error(
          fmt::format("{} is the jail's own, or the host's alone; remove it", sandboxd::quoted(name)));
    }
  }
  return {};
}

Status read_env(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(const auto members, at.members());
  for (const auto& [name, value_at] : members) {
    if (!is_env_name(name)) return value_at.error("is no variable's name: letters, digits and '_', no digit first");
    if (value_at.node().kind == JsonNode::Kind::kNull) {
      profile.env.erase(name);
      continue;
    }
    TRY_ASSIGN(profile.env[name], value_at.text());
  }
  return {};
}

// A name's parts: what a shell and every file system take as they are.
bool is_file_part(std::string_view part) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !part.empty() && part.size() <= 64 && part.front() != '.' && std::ranges::all_of(part, plain);
}

bool is_file_name(std::string_view name) {
  for (std::size_t slash = 0; (slash = name.find('/')) != std::string_view::npos; name.remove_prefix(slash + 1)) {
    if (!is_file_part(name.substr(0, slash))) return false;
  }
  return is_file_part(name);
}

Status read_files(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(const auto members, at.members());
  for (const auto& [name, value_at] : members) {
    if (!is_file_name(name))
      return value_at.error(
          "is no name below /etc/sandboxd: letters, digits, '-', '_', '.' and '/', as 'ruby/lint.rb'");
    if (value_at.node().kind == JsonNode::Kind::kNull) {
      profile.files.erase(name);
      continue;
    }
    TRY_ASSIGN(const std::string from, value_at.text());
    if (!is_file_part(from)) return value_at.unexpected("the name of a file in the folder 'files' beside 'profiles'");
    profile.files[name] = from;
  }
  return {};
}

Status read_terminals(const Cursor& at, Profile& profile) {
  TRY_ASSIGN(const std::uint64_t most, at.number(0, kMaxTerminals));
  profile.terminals = static_cast<std::uint32_t>(most);
  return {};
}

bool is_name_pattern(std::string_view pattern) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == '*';
  };
  return !pattern.empty() && pattern.size() <= 64 && std::ranges::all_of(pattern, plain);
}

Status read_redaction(const Cursor& at, Profile& profile) {
  constexpr std::array<std::string_view, 1> kKeys = {"names"};
  TRY(at.only_keys(kKeys));
  TRY_ASSIGN(const Cursor names_at, at.member("names"));
  TRY_ASSIGN(profile.hidden_names, names_at.texts());
  TRY_ASSIGN(const std::vector<Cursor> items, names_at.items());
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!is_name_pattern(profile.hidden_names[i])) {
      return items[i].unexpected(
          "a pattern of names: 1 to 64 letters, digits, '_', '-', '.', and '*' for any text, as '*TOKEN*'");
    }
  }
  if (items.size() > kMaxHiddenNames)
    return names_at.error(fmt::format("has more than {} patterns; join some with '*'", kMaxHiddenNames));
  return {};
}

Status read_landlock_key(const Cursor& at, Profile& profile) { return read_landlock(at, profile.landlock); }

// Names are what passwd(5) and group(5) have; which id is meant, and whether there is one, is for who knows the host.
Result<std::vector<std::string>> ids_at(const Cursor& at, std::string_view kind) {
  constexpr std::uint64_t kMaxId = 4294967294;  // 4294967295 is no id (chown(2))
  TRY_ASSIGN(const std::vector<Cursor> items, at.items());
  std::vector<std::string> ids;
  for (const Cursor& item : items) {
    std::string id;
    if (item.node().kind == JsonNode::Kind::kUnsigned) {
      TRY_ASSIGN(const std::uint64_t number, item.number(0, kMaxId));
      id = fmt::format("{}", number);
    } else {
      TRY_ASSIGN(id, item.text());
      if (!is_account_name(id)) return item.unexpected(fmt::format("a {}'s name, or its id as a number", kind));
    }
    if (std::ranges::find(ids, id) != ids.end())
      return item.error(fmt::format("{} is listed twice", sandboxd::quoted(id)));
    ids.push_back(std::move(id));
  }
  if (ids.size() > kMaxIds)
    return at.error(fmt::format("has more than {} entries; make a group of them in /etc/group", kMaxIds));
  return ids;
}

// null: no such list, as if it had been left out.
Status read_users(const Cursor& at, Profile& profile) {
  if (at.node().kind == JsonNode::Kind::kNull) return {};
  TRY_ASSIGN(profile.who.users, ids_at(at, "user"));
  return {};
}
Status read_groups(const Cursor& at, Profile& profile) {
  if (at.node().kind == JsonNode::Kind::kNull) return {};
  TRY_ASSIGN(profile.who.groups, ids_at(at, "group"));
  return {};
}

Status read_reasons(const Cursor& at, Profile& profile) {
  constexpr std::array<std::string_view, 2> kKinds = {"boundary", "lint"};
  TRY_ASSIGN(const auto members, at.members());
  for (const auto& [key, reason_at] : members) {
    TRY(reason_at.only_keys(kKinds));
    if (reason_at.has("boundary") == reason_at.has("lint"))
      return reason_at.error(fmt::format(
          "must say one of 'boundary' (the kernel holds it) and 'lint' (a hostile job walks around it) of '{}'", key));
    const bool boundary = reason_at.has("boundary");
    TRY_ASSIGN(const Cursor text_at, reason_at.member(boundary ? "boundary" : "lint"));
    TRY_ASSIGN(std::string text, text_at.filled_text());
    profile.reasons[key] = {boundary, std::move(text)};
  }
  return {};
}

Status read_limits(const Cursor& at, Profile& profile) { return read_caps(at, profile.limits); }

Status check_nested(const Cursor& file, const Profile& profile) {
  const ProfileLandlock& landlock = profile.landlock;
  const bool files = landlock.read || landlock.write || landlock.execute || landlock.truncate || landlock.ioctl;
  if (!profile.nested || !files) return {};
  return file.error(
      "\"nested\": true can't be had beside rules of Landlock about files, which refuses every mount then; take out "
      "'read', "
      "'write', 'execute', 'truncate' and 'ioctl' of 'landlock'");
}

// What every jail has a bound of.
constexpr std::array<std::string_view, 4> kBounds = {"nofile", "pids_max", "scratch_max", "inodes_max"};

// `required`: some file of the lineage must give it, since a default nobody wrote down is a grant nobody decided.
struct ProfileKey {
  std::string_view name;
  Status (*read)(const Cursor&, Profile&);
  bool required;
};
constexpr std::array kProfileKeys = {
    ProfileKey{"name", read_name, true},
    ProfileKey{"description", read_description, true},
    ProfileKey{"inherits", read_inherits, false},
    ProfileKey{"filter", read_filter, true},
    ProfileKey{"roots", read_roots, true},
    ProfileKey{"networks", read_networks, true},
    ProfileKey{"workspace", read_workspace, true},
    ProfileKey{"binds", read_binds, true},
    ProfileKey{"proc", read_proc, true},
    ProfileKey{"unix_sockets", read_unix_sockets, true},
    ProfileKey{"user_root", read_user_root, true},
    ProfileKey{"tmpfs", read_tmpfs, true},
    ProfileKey{"tmpfs_free", read_tmpfs_free, true},
    ProfileKey{"etc", read_etc, true},
    ProfileKey{"env", read_env, true},
    ProfileKey{"limits", read_limits, true},
    ProfileKey{"files", read_files, false},
    ProfileKey{"users", read_users, false},
    ProfileKey{"groups", read_groups, false},
    ProfileKey{"terminals", read_terminals, false},
    ProfileKey{"landlock", read_landlock_key, false},
    ProfileKey{"redaction", read_redaction, false},
    ProfileKey{"nested", read_nested, false},
    ProfileKey{"learn", read_learn, false},
    ProfileKey{"reasons", read_reasons, false},
};

class ProfileLoader {
 public:
  explicit ProfileLoader(const ProfileSource& source) : source_(source) {}

  Result<Profile> load(std::string_view name) {
    TRY_ASSIGN(const std::vector<SourceText> files, source_(name));
    if (files.empty()) return make_error("no profile is named {}", sandboxd::quoted(name));
    return load_layer(name, files, files.size() - 1);
  }

 private:
  // `files` are those of the name, lowest first; `layer` the one to read.
  Result<Profile> load_layer(std::string_view name, const std::vector<SourceText>& files, std::size_t layer) {
    const SourceText& source = files[layer];
    TRY_ASSIGN(const JsonNode root, parse_json(source.text, source.file));
    const Cursor file(root, source.file);
    std::array<std::string_view, kProfileKeys.size()> names{};
    std::ranges::transform(kProfileKeys, names.begin(), &ProfileKey::name);
    TRY(file.only_keys(names));
    if (std::ranges::find(lineage_, source.file) != lineage_.end()) {
      return file.error(fmt::format("inherits itself: {}", fmt::join(lineage_, " inherits ")));
    }
    lineage_.push_back(source.file);
    if (lineage_.size() > kMaxLineage)
      return file.error(fmt::format("inherits through more than {} files", kMaxLineage));
    Profile profile;
    if (file.has("inherits")) {
      TRY_ASSIGN(profile, parent_of(file, name, files, layer));
    }
    profile.name = name;
    profile.file = source.file;
    if (file.has("users") || file.has("groups")) profile.who = {};
    for (const ProfileKey& key : kProfileKeys) {
      if (file.has(key.name)) {
        TRY_ASSIGN(const Cursor at, file.member(key.name));
        TRY(key.read(at, profile));
      } else if (key.required && (!file.has("inherits") || key.name == "name" || key.name == "description")) {
        return file.error(
            fmt::format("key '{}' is missing; add it{}", key.name, file.has("inherits") ? "" : ", or \"inherits\""));
      }
    }
    profile.lineage = lineage_;
    TRY(check_nested(file, profile));
    TRY(check_limits(file, profile));
    TRY(check_files(file, profile));
    TRY(check_reasons(file, profile));
    return profile;
  }

  // A file that inherits its own name means the file that it overrides.
  Result<Profile> parent_of(const Cursor& file, std::string_view name, const std::vector<SourceText>& files,
                            std::size_t layer) {
    TRY_ASSIGN(const Cursor at, file.member("inherits"));
    TRY_ASSIGN(const std::string parent, at.text());
    if (!is_name(parent)) return at.unexpected("the name of a profile, without '.json'");
    if (parent == name) {
      if (layer == 0) return at.error("inherits its own name, but overrides no file of that name");
      return load_layer(name, files, layer - 1);
    }
    const Result<std::vector<SourceText>> others = source_(parent);
    if (!others.ok()) return others.error();
    if (others->empty()) return at.unexpected("the name of a profile that exists");
    return load_layer(parent, *others, others->size() - 1);
  }

  static Status check_files(const Cursor& file, const Profile& profile) {
    if (profile.files.empty() || profile.roots == std::vector<std::string>{"usr"}) return {};
    return file.error("has 'files', which only the root 'usr' shows; give \"roots\": [\"usr\"], or remove 'files'");
  }

  // A reason for what the profile doesn't say is a mistake in a name, or what is left of something.
  static Status check_reasons(const Cursor& file, Profile& profile) {
    for (auto reason = profile.reasons.begin(); reason != profile.reasons.end();) {
      const auto& key = reason->first;
      const std::string_view name = std::string_view(key).substr(key.find('.') + 1);
      const auto below = [&](std::string_view folder) { return key.size() > folder.size() && key.starts_with(folder); };
      const auto taken_away = [&] {
        return (below("env.") && !profile.env.contains(std::string(name))) ||
               (below("files.") && !profile.files.contains(std::string(name)));
      };
      const bool known = below("env.") || below("files.") || below("limits.") || below("landlock.") ||
                         std::ranges::find(kProfileKeys, key, &ProfileKey::name) != kProfileKeys.end();
      const bool here = file.has("reasons") && file.member("reasons")->has(key);
      if (!known || (here && taken_away())) {
        return file.error(
            fmt::format("'reasons' has {}, which the profile doesn't say; expected a key of it, as 'filter', "
                        "'env.PATH' or 'limits.pids_max'",
                        sandboxd::quoted(key)));
      }
      reason = taken_away() ? profile.reasons.erase(reason) : std::next(reason);
    }
    return {};
  }

  static Status check_limits(const Cursor& file, const Profile& profile) {
    const Limits& limits = profile.limits;
    for (const std::string_view name : kBounds) {
      if (limits.*find_limit(name)->member == 0)
        return file.error(fmt::format("limit '{}' is missing; add it to 'limits'", name));
    }
    std::uint64_t size = 0;
    std::uint64_t inodes = 0;
    for (const ProfileTmpfs& tmpfs : profile.tmpfs) {
      if (__builtin_add_overflow(size, tmpfs.size, &size)) return file.error("the sizes of 'tmpfs' overflow");
      inodes += tmpfs.inodes;
    }
    if (size > limits.scratch_max) {
      return file.error(fmt::format(
          "the sizes of 'tmpfs' sum up to {} bytes, more than limits.scratch_max ({}); lower them or raise it", size,
          limits.scratch_max));
    }
    if (inodes > limits.inodes_max) {
      return file.error(
          fmt::format("the inodes of 'tmpfs' sum up to {}, more than limits.inodes_max ({}); lower them or raise it",
                      inodes, limits.inodes_max));
    }
    return {};
  }

  const ProfileSource& source_;
  std::vector<std::string> lineage_{};
};

}  // namespace

Result<std::uint64_t> size_at(const Cursor& at) {
  if (at.node().kind == JsonNode::Kind::kUnsigned) return at.number(0, INT64_MAX);
  const auto size = at.node().kind == JsonNode::Kind::kText ? parse_size(at.node().text) : std::nullopt;
  if (!size) return at.unexpected("bytes, or a text as '512M' (K, M, G, T of 1024)");
  return *size;
}

Result<std::uint64_t> time_at(const Cursor& at) {
  constexpr std::uint64_t kUsec = 1'000'000;
  if (at.node().kind == JsonNode::Kind::kUnsigned) {
    TRY_ASSIGN(const std::uint64_t seconds, at.number(0, INT64_MAX / kUsec));
    return seconds * kUsec;
  }
  const auto time = at.node().kind == JsonNode::Kind::kText ? parse_timespan_usec(at.node().text) : std::nullopt;
  if (!time) return at.unexpected("seconds, or a text as '90s', '5min', '2h' (ms, s, min, h, d)");
  return *time;
}

Result<Profile> load_profile(std::string_view name, const ProfileSource& source) {
  if (!is_name(name)) return make_error("{} is not a profile's name", sandboxd::quoted(name));
  return ProfileLoader(source).load(name);
}

}  // namespace sandboxd::filters
