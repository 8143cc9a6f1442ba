#include "daemon/wire/narrow.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <vector>

#include <fmt/format.h>

#include "base/broker_message.h"
#include "base/ids.h"
#include "base/limit_text.h"
#include "base/path.h"
#include "base/text.h"

namespace sandboxd::wire {
namespace {

constexpr std::uint32_t kNoId = 4294967295;  // (uid_t)-1: "leave as it is" to setresuid(2)

struct Found {
  std::string value{};
  std::string allowed{};
  std::string rule{};  // when it is not the table's name
};
using Check = std::optional<Found> (*)(const JailPlan&, const Profile&);

enum class Kind : bool { kWide, kMalformed };

struct Rule {
  std::string_view name;
  Kind kind;
  Check check;
};

// Mounted by the launcher itself over whatever the root holds: a mount there would hide a mask or a device node.
constexpr std::array<std::string_view, 3> kReserved = {"/proc", "/sys", "/dev"};
// A mount at one of these, or above it, would replace what every program and the synthetic /etc stand on.
constexpr std::array<std::string_view, 8> kFoundations = {"/usr", "/etc",   "/bin",   "/sbin",
                                                          "/lib", "/lib32", "/lib64", "/libx32"};

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

bool has_bit(std::uint32_t mask, auto value) {
  return static_cast<std::uint32_t>(value) < 32 && (mask & bit(value)) != 0;
}

bool is_record_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string names_of(std::uint32_t mask, std::initializer_list<std::string_view> names) {
  std::string text;
  std::uint32_t at = 0;
  for (const std::string_view name : names) {
    if ((mask & (1U << at++)) == 0) continue;
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text.empty() ? "none at all" : text;
}

std::string name_in(auto value, std::initializer_list<std::string_view> names) {
  const auto at = static_cast<std::size_t>(value);
  return at < names.size() ? std::string(*(names.begin() + at)) : fmt::format("number {}", at);
}

std::string access_name(Access value) { return name_in(value, {"ro", "rw"}); }

const Tmpfs* own_tmpfs(const Profile& profile, std::string_view path) {
  const auto found = std::ranges::find(profile.tmpfs, path, &Tmpfs::path);
  return found == profile.tmpfs.end() ? nullptr : &*found;
}

// ---- identity

std::optional<Found> check_profile(const JailPlan& plan, const Profile& profile) {
  if (plan.profile == profile.name) return {};
  return Found{quoted(plan.profile), quoted(profile.name)};
}

std::optional<Found> check_profile_hash(const JailPlan& plan, const Profile& profile) {
  if (plan.profile_hash == profile.hash) return {};
  return Found{hex(plan.profile_hash), fmt::format("{} (the profiles were reloaded meanwhile)", hex(profile.hash))};
}

std::optional<Found> check_number(const JailPlan& plan, const Profile&) {
  if (plan.number >= 1 && plan.number < kNumbersPerSlice) return {};
  return Found{fmt::format("{}", plan.number), fmt::format("1 to {}", kNumbersPerSlice - 1)};
}

std::optional<Found> check_record_ids(const JailPlan& plan, const Profile&) {
  for (const std::string* text : {&plan.jail, &plan.request}) {
    if (!is_record_id(*text)) return Found{quoted(*text), "1 to 64 of a-z, 0-9 and -"};
  }
  return {};
}

// ---- who the job is

std::optional<Found> check_ids(const JailPlan& plan, const Profile&) {
  for (const std::uint32_t id : {plan.inside_uid, plan.inside_gid}) {
    if (id == kNoId || is_pool_id(id))
      return Found{fmt::format("id {}", id), "ids outside the pool, and not 4294967295"};
  }
  return {};
}

std::optional<Found> check_user(const JailPlan& plan, const Profile& profile) {
  if (profile.user_root || (plan.inside_uid != 0 && plan.inside_gid != 0)) return {};
  return Found{"root", "the caller's own ids, not 0"};
}

std::optional<Found> check_user_name(const JailPlan& plan, const Profile&) {
  if (is_user_name(plan.user_name)) return {};
  return Found{quoted(plan.user_name), "1 to 32 of letters, digits, '_', '.' and '-', beginning with a letter or '_'"};
}

std::optional<Found> check_home(const JailPlan& plan, const Profile&) {
  // A ':' or a newline would add a field or a line to the synthetic passwd.
  const bool clean =
      std::ranges::none_of(plan.home, [](char c) { return c == ':' || static_cast<unsigned char>(c) < 0x20; });
  if (clean && is_canonical_path(plan.home)) return {};
  return Found{quoted(plan.home), "a canonical absolute path without ':' and control characters"};
}

// ---- what the jail sees

std::optional<Found> check_root(const JailPlan& plan, const Profile& profile) {
  if (plan.root <= RootKind::kHost && has_bit(profile.roots, plan.root)) return {};
  return Found{name_in(plan.root, {"usr", "directory", "host"}), names_of(profile.roots, {"usr", "directory", "host"})};
}

std::optional<Found> check_proc(const JailPlan& plan, const Profile& profile) {
  if (plan.proc == ProcKind::kPid || (plan.proc == ProcKind::kFull && profile.proc == ProcKind::kFull)) return {};
  return Found{name_in(plan.proc, {"full", "pid"}), "pid"};
}

std::optional<Found> check_network(const JailPlan& plan, const Profile& profile) {
  if (plan.network <= NetworkMode::kHost && has_bit(profile.networks, plan.network)) return {};
  return Found{name_in(plan.network, {"none", "host"}), names_of(profile.networks, {"none", "host"})};
}

// Not "at most": the filter is the profile's own, so that a plan can't say anything else and be true.
std::optional<Found> check_learn(const JailPlan& plan, const Profile& profile) {
  if (plan.learn == profile.learn) return {};
  return Found{name_in(plan.learn, {"false", "true"}), name_in(profile.learn, {"false", "true"})};
}

std::optional<Found> check_unix_sockets(const JailPlan& plan, const Profile& profile) {
  if (plan.unix_sockets == profile.unix_sockets) return {};
  return Found{name_in(plan.unix_sockets, {"none", "any"}), name_in(profile.unix_sockets, {"none", "any"})};
}

std::optional<Found> check_workspace(const JailPlan& plan, const Profile& profile) {
  std::size_t seen = 0;
  for (const Bind& bind : plan.binds) {
    if (!bind.workspace) continue;
    if (++seen > 1) return Found{"a second workspace", "one"};
    if (bind.access > Access::kRw || !has_bit(profile.workspace, bind.access)) {
      return Found{access_name(bind.access), names_of(profile.workspace, {"ro", "rw"})};
    }
  }
  return {};
}

std::optional<Found> check_binds(const JailPlan& plan, const Profile& profile) {
  for (const Bind& bind : plan.binds) {
    if (bind.workspace) continue;
    if (bind.access > Access::kRw || !has_bit(profile.binds, bind.access)) {
      return Found{access_name(bind.access), names_of(profile.binds, {"ro", "rw"})};
    }
  }
  return {};
}

// Every index must be one that a broker message can have, and nothing may cite descriptors without a token.
std::optional<Found> check_descriptors(const JailPlan& plan, const Profile&) {
  std::vector<std::uint32_t> cited;
  for (const Bind& bind : plan.binds) cited.push_back(bind.fd);
  if (plan.root == RootKind::kDirectory) cited.push_back(plan.root_fd);
  if (plan.job.stdio == StdioMode::kInherit)
    cited.insert(cited.end(), plan.job.stdio_fds.begin(), plan.job.stdio_fds.end());
  if (!plan.has_token && !cited.empty()) return Found{"a descriptor without a token", "a token that the broker holds"};
  for (const std::uint32_t fd : cited) {
    if (fd >= kBrokerMaxFds) return Found{fmt::format("descriptor {}", fd), fmt::format("0 to {}", kBrokerMaxFds - 1)};
  }
  return {};
}

// Whom sandboxd calls the caller is sandboxd's word alone; with a token the broker says it to the launcher.
std::optional<Found> check_token(const JailPlan& plan, const Profile& profile) {
  if (plan.has_token || !profile.who.restricted) return {};
  return Found{"missing",
               fmt::format("a token that the broker holds, since the profile is for {}: with the profile's name "
                           "in the request, sandboxctl and the libraries send one",
                           to_text(profile.who))};
}

// ---- where things are mounted

std::optional<Found> check_target(std::string_view path) {
  if (!is_canonical_path(path)) return Found{quoted(path), "a canonical absolute path"};
  if (path == "/") return Found{"'/'", "a path below /"};
  for (const std::string_view top : kReserved) {
    if (is_beneath(path, top)) return Found{quoted(path), "a path outside /proc, /sys and /dev"};
  }
  for (const std::string_view top : kFoundations) {
    if (is_beneath(top, path)) return Found{quoted(path), fmt::format("a path that does not replace {}", top)};
  }
  return {};
}

std::optional<Found> check_targets(const JailPlan& plan, const Profile& profile) {
  for (const Bind& bind : plan.binds) {
    if (auto found = check_target(bind.target)) return found;
  }
  for (const Tmpfs& tmpfs : plan.tmpfs) {
    if (own_tmpfs(profile, tmpfs.path) != nullptr) continue;  // an admin put it there: /dev/shm
    if (auto found = check_target(tmpfs.path)) return found;
  }
  for (const std::string& dir : plan.dirs) {
    if (auto found = check_target(dir)) return found;
  }
  return {};
}

std::optional<Found> check_duplicates(const JailPlan& plan, const Profile&) {
  std::set<std::string_view> seen;
  for (const Tmpfs& tmpfs : plan.tmpfs) {
    if (!seen.insert(tmpfs.path).second) return Found{quoted(tmpfs.path), "one mount at a path"};
  }
  for (const Bind& bind : plan.binds) {
    if (!seen.insert(bind.target).second) return Found{quoted(bind.target), "one mount at a path"};
  }
  std::set<std::string_view> dirs;
  for (const std::string& dir : plan.dirs) {
    if (!dirs.insert(dir).second) return Found{quoted(dir), "one directory of a path"};
  }
  return {};
}

// A later mount above an earlier one hides it: a read-only bind below a writable one would silently be writable.
template <class Items, class Path> std::optional<Found> check_order(const Items& items, Path path) {
  for (std::size_t later = 1; later < items.size(); ++later) {
    for (std::size_t earlier = 0; earlier < later; ++earlier) {
      if (!is_beneath(items[earlier].*path, items[later].*path)) continue;
      return Found{quoted(items[earlier].*path),
                   fmt::format("a place after {} in the plan", quoted(items[later].*path))};
    }
  }
  return {};
}

std::optional<Found> check_nesting(const JailPlan& plan, const Profile&) {
  if (auto found = check_order(plan.binds, &Bind::target)) return found;
  if (auto found = check_order(plan.tmpfs, &Tmpfs::path)) return found;
  for (const Bind& bind : plan.binds) {
    for (const Tmpfs& tmpfs : plan.tmpfs) {
      if (is_beneath(tmpfs.path, bind.target)) {
        return Found{quoted(bind.target), fmt::format("a path that does not hide the tmpfs at {}", quoted(tmpfs.path))};
      }
    }
    // Else root would make directories in a client's tree.
    for (const std::string& dir : plan.dirs) {
      if (dir != bind.target && is_beneath(dir, bind.target)) {
        return Found{quoted(dir), fmt::format("a path outside the client's files at {}", quoted(bind.target))};
      }
    }
  }
  return {};
}

// Root would make them on a real file system, in a moment before it is read-only.
std::optional<Found> check_dirs(const JailPlan& plan, const Profile&) {
  for (const std::string& dir : plan.dirs) {
    if (std::ranges::any_of(plan.tmpfs, [&](const Tmpfs& tmpfs) { return is_beneath(dir, tmpfs.path); })) continue;
    if (plan.root != RootKind::kUsr)
      return Found{quoted(dir), "a path below a tmpfs, since the root is not a synthetic one"};
    if (std::ranges::any_of(kFoundations, [&](std::string_view top) { return is_beneath(dir, top); })) {
      return Found{quoted(dir), "a path outside the host's directories"};
    }
  }
  return {};
}

std::optional<Found> check_counts(const JailPlan& plan, const Profile&) {
  if (plan.binds.size() > kBrokerMaxFds)
    return Found{fmt::format("{} binds", plan.binds.size()), fmt::format("{}", kBrokerMaxFds)};
  if (plan.tmpfs.size() > kMaxTmpfs)
    return Found{fmt::format("{} tmpfs", plan.tmpfs.size()), fmt::format("{}", kMaxTmpfs)};
  if (plan.dirs.size() > kMaxDirs) return Found{fmt::format("{} dirs", plan.dirs.size()), fmt::format("{}", kMaxDirs)};
  if (plan.job.argv.size() > kMaxArguments || plan.job.env.size() > kMaxArguments) {
    return Found{fmt::format("{} arguments, {} variables", plan.job.argv.size(), plan.job.env.size()),
                 fmt::format("{}", kMaxArguments)};
  }
  return {};
}

// ---- scratch

std::optional<Found> check_tmpfs_caps(const Tmpfs& tmpfs, const Tmpfs* own) {
  if (tmpfs.size == 0 || tmpfs.inodes == 0)
    return Found{quoted(tmpfs.path) + " without a cap", "a size and a number of inodes"};
  if ((tmpfs.mode & ~01777U) != 0)
    return Found{fmt::format("mode {:04o}", tmpfs.mode), "permission bits and the sticky bit"};
  if (own == nullptr) return {};
  if (own->size != 0 && tmpfs.size > own->size) {
    return Found{fmt::format("{} of {} bytes", quoted(tmpfs.path), tmpfs.size), fmt::format("{}", own->size)};
  }
  if (own->inodes != 0 && tmpfs.inodes > own->inodes) {
    return Found{fmt::format("{} of {} inodes", quoted(tmpfs.path), tmpfs.inodes), fmt::format("{}", own->inodes)};
  }
  if (tmpfs.mode != own->mode) return Found{fmt::format("mode {:04o}", tmpfs.mode), fmt::format("{:04o}", own->mode)};
  return {};
}

std::optional<Found> check_tmpfs(const JailPlan& plan, const Profile& profile) {
  for (const Tmpfs& tmpfs : plan.tmpfs) {
    const Tmpfs* own = own_tmpfs(profile, tmpfs.path);
    if (own == nullptr && !profile.tmpfs_free) return Found{quoted(tmpfs.path), "the profile's own tmpfs mounts only"};
    if (auto found = check_tmpfs_caps(tmpfs, own)) return found;
  }
  // Without its tmpfs a path could show the host's.
  for (const Tmpfs& own : profile.tmpfs) {
    if (std::ranges::find(plan.tmpfs, own.path, &Tmpfs::path) == plan.tmpfs.end()) {
      return Found{fmt::format("no tmpfs at {}", quoted(own.path)), "all of the profile's tmpfs mounts"};
    }
  }
  return {};
}

std::optional<Found> check_sum(const JailPlan& plan, std::uint64_t Tmpfs::*member, std::uint64_t most,
                               std::string_view unit) {
  if (most == 0) return {};
  std::uint64_t left = most;
  for (const Tmpfs& tmpfs : plan.tmpfs) {
    if (tmpfs.*member > left)
      return Found{fmt::format("more than {} {} in all", most, unit), fmt::format("{} {}", most, unit)};
    left -= tmpfs.*member;
  }
  return {};
}

std::optional<Found> check_scratch(const JailPlan& plan, const Profile&) {
  if (auto found = check_sum(plan, &Tmpfs::size, plan.limits.scratch_max, "bytes of tmpfs")) return found;
  return check_sum(plan, &Tmpfs::inodes, plan.limits.inodes_max, "inodes of tmpfs");
}

// ---- limits

std::optional<Found> check_limit_rows(const Limits& asked, const Limits& most) {
  for (const LimitRow& row : kLimitRows) {
    if (!is_wider(row, asked.*row.member, most.*row.member)) continue;
    return Found{limit_text(row, asked.*row.member), fmt::format("at most {}", limit_text(row, most.*row.member)),
                 fmt::format("limits.{}", row.name)};
  }
  return {};
}

std::optional<Found> check_limits(const JailPlan& plan, const Profile& profile) {
  return check_limit_rows(plan.limits, profile.limits);
}

// Where 0 is no "none" but a jail that can't run, or one without a bound that every jail has.
std::optional<Found> check_bounds(const Limits& limits) {
  if (limits.nofile == 0) return Found{"nofile 0", "at least 1"};
  if (limits.pids_max == 0) return Found{"pids_max 0", "at least 1"};
  if (limits.cpu_weight < 1 || limits.cpu_weight > 10'000)
    return Found{fmt::format("cpu_weight {}", limits.cpu_weight), "1 to 10000"};
  return {};
}
std::optional<Found> check_bounded(const JailPlan& plan, const Profile&) { return check_bounds(plan.limits); }

std::optional<Found> check_hostname(const JailPlan& plan, const Profile&) {
  if (is_hostname(plan.hostname)) return {};
  return Found{quoted(plan.hostname), fmt::format("an RFC 1123 name of at most {} bytes", kMaxHostname)};
}

// ---- the job

std::optional<Found> check_argv(const JailPlan& plan, const Profile&) {
  if (plan.session) {
    if (plan.job.argv.empty()) return {};
    return Found{"a program", "none: a session's jail starts without a job"};
  }
  if (plan.job.argv.empty() || plan.job.argv.front().empty())
    return Found{"no program", "at least one argument, the program"};
  std::size_t sum = 0;
  for (const std::string& argument : plan.job.argv) {
    if (has_nul(argument)) return Found{"an argument with a NUL byte", "arguments without NUL"};
    if (argument.size() > kMaxArgument)
      return Found{fmt::format("an argument of {} bytes", argument.size()), fmt::format("{}", kMaxArgument)};
    sum += argument.size() + 1;
  }
  if (sum > kMaxArgumentSum)
    return Found{fmt::format("{} bytes of arguments", sum), fmt::format("{}", kMaxArgumentSum)};
  return {};
}

std::optional<Found> check_env(const JailPlan& plan, const Profile&) {
  std::set<std::string_view> names;
  std::size_t sum = 0;
  for (const std::string& entry : plan.job.env) {
    const std::size_t at = entry.find('=');
    if (at == 0 || at == std::string::npos || has_nul(entry))
      return Found{quoted(entry.substr(0, 80)), "NAME=value without NUL"};
    if (entry.size() > kMaxArgument)
      return Found{fmt::format("a variable of {} bytes", entry.size()), fmt::format("{}", kMaxArgument)};
    // getenv(3) gives the first, shells the last: two would let a check and a program disagree.
    if (!names.insert(std::string_view(entry).substr(0, at)).second)
      return Found{quoted(entry.substr(0, at)) + " twice", "each name once"};
    sum += entry.size() + 1;
  }
  if (sum > kMaxArgumentSum)
    return Found{fmt::format("{} bytes of environment", sum), fmt::format("{}", kMaxArgumentSum)};
  return {};
}

std::optional<Found> check_workdir(const JailPlan& plan, const Profile&) {
  // /proc/self/fd/N is a way to a directory outside (CVE-2024-21626).
  if (is_canonical_path(plan.job.workdir) && !is_beneath(plan.job.workdir, "/proc")) return {};
  return Found{quoted(plan.job.workdir), "a canonical absolute path outside /proc"};
}

std::optional<Found> check_stdio(const JailPlan& plan, const Profile&) {
  const JobPlan& job = plan.job;
  if (job.stdio > StdioMode::kTerminal) return Found{name_in(job.stdio, {}), "null, pipes, inherit or terminal"};
  if (plan.session && job.stdio != StdioMode::kNull) return Found{"streams", "none: a session's jail has no first job"};
  if (job.merge_stderr && job.stdio != StdioMode::kPipes) return Found{"merged standard error", "pipes"};
  const bool sized = job.rows != 0 && job.columns != 0;
  if (sized == (job.stdio == StdioMode::kTerminal)) return {};
  return Found{fmt::format("{} rows, {} columns", job.rows, job.columns), "1 to 65535 of both, and a terminal"};
}

std::optional<Found> check_terminals(const JailPlan& plan, const Profile& profile) {
  if (plan.terminals <= profile.terminals) return {};
  return Found{fmt::format("{} terminals", plan.terminals), fmt::format("at most {}", profile.terminals)};
}

// The order is the order of messages: who it is, what it sees, where, how much, what runs.
constexpr std::array kRules = {
    Rule{"profile", Kind::kWide, check_profile},
    Rule{"profile_hash", Kind::kWide, check_profile_hash},
    Rule{"number", Kind::kMalformed, check_number},
    Rule{"record_id", Kind::kMalformed, check_record_ids},
    Rule{"counts", Kind::kMalformed, check_counts},
    Rule{"ids", Kind::kMalformed, check_ids},
    Rule{"user", Kind::kWide, check_user},
    Rule{"user_name", Kind::kMalformed, check_user_name},
    Rule{"home", Kind::kMalformed, check_home},
    Rule{"root", Kind::kWide, check_root},
    Rule{"proc", Kind::kWide, check_proc},
    Rule{"network", Kind::kWide, check_network},
    Rule{"unix_sockets", Kind::kWide, check_unix_sockets},
    Rule{"learn", Kind::kWide, check_learn},
    Rule{"stdio", Kind::kMalformed, check_stdio},
    Rule{"terminals", Kind::kWide, check_terminals},
    Rule{"workspace", Kind::kWide, check_workspace},
    Rule{"binds", Kind::kWide, check_binds},
    Rule{"descriptors", Kind::kMalformed, check_descriptors},
    Rule{"token", Kind::kMalformed, check_token},
    Rule{"target", Kind::kMalformed, check_targets},
    Rule{"duplicate", Kind::kMalformed, check_duplicates},
    Rule{"nesting", Kind::kMalformed, check_nesting},
    Rule{"dirs", Kind::kMalformed, check_dirs},
    Rule{"tmpfs", Kind::kWide, check_tmpfs},
    Rule{"limits", Kind::kWide, check_limits},
    Rule{"limits", Kind::kMalformed, check_bounded},
    Rule{"scratch", Kind::kWide, check_scratch},
    Rule{"hostname", Kind::kMalformed, check_hostname},
    Rule{"argv", Kind::kMalformed, check_argv},
    Rule{"env", Kind::kMalformed, check_env},
    Rule{"workdir", Kind::kMalformed, check_workdir},
};
// Left out knowingly: the filter, Landlock, the /etc names and the environment's defaults, which the launcher takes from the
// profile itself and a plan can't name; who the client is, which only the broker can say.

}  // namespace

bool is_hostname(std::string_view text) {
  if (text.empty() || text.size() > kMaxHostname) return false;
  char before = '.';
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && c != '-' && c != '.') return false;
    if (!letter && before == '.') return false;  // an empty label, or one that begins with '-'
    if (c == '.' && before == '-') return false;
    before = c;
  }
  return before != '.' && before != '-';
}

bool is_user_name(std::string_view text) {
  if (text.empty() || text.size() > 32) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!letter(text.front())) return false;
  return std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

std::optional<Breach> find_breach(const JailPlan& plan, const Profile& profile) {
  for (const Rule& rule : kRules) {
    if (auto found = rule.check(plan, profile)) {
      return Breach{found->rule.empty() ? std::string(rule.name) : std::move(found->rule), std::move(found->value),
                    std::move(found->allowed), rule.kind == Kind::kMalformed};
    }
  }
  return {};
}

std::optional<Breach> find_limits_breach(const Limits& limits, const Profile& profile) {
  auto found = check_limit_rows(limits, profile.limits);
  const bool wide = found.has_value();
  if (!wide) found = check_bounds(limits);
  if (!found) return {};
  return Breach{found->rule.empty() ? "limits" : std::move(found->rule), std::move(found->value),
                std::move(found->allowed), !wide};
}

std::optional<Breach> find_job_breach(const JobPlan& job) {
  JailPlan plan;
  plan.job = job;
  const Profile none;
  for (const Rule& rule : kRules) {
    const bool of_job = rule.name == "argv" || rule.name == "env" || rule.name == "workdir" || rule.name == "stdio";
    if (!of_job) continue;
    if (auto found = rule.check(plan, none))
      return Breach{std::string(rule.name), std::move(found->value), std::move(found->allowed), true};
  }
  return {};
}

std::optional<Failed> check_narrows(const JailPlan& plan, const Profile& profile) {
  const auto breach = find_breach(plan, profile);
  if (!breach) return {};
  return Failed{"narrow", EPERM,
                fmt::format("{}: {} is not allowed ({})", breach->rule, breach->value, breach->allowed), true};
}

}  // namespace sandboxd::wire
