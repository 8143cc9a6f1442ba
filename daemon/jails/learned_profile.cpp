// From what was seen to the files of a profile: calls by name, arguments where the shipped filters look at them too, paths as what
// is there again the next time: the words for what a run brings along, memory file systems as a whole, the rest by name.
#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/path.h"
#include "base/text.h"
#include "daemon/jails/learned.h"

namespace sandboxd::jails {
namespace {

using Json = nlohmann::ordered_json;
using Paths = std::map<std::string, std::uint32_t>;  // with the program that was seen first
using wire::LearnedKind;

constexpr std::size_t kMostPaths = 48;   // of a list; a profile's own bound is 64
constexpr std::size_t kMostValues = 48;  // of a condition; of sockets
constexpr std::size_t kMostName = 200;   // of a program, in what is for people
constexpr int kIndent = 2;

#if defined(__x86_64__)
constexpr std::string_view kArchitecture = "x86_64";
#else
constexpr std::string_view kArchitecture = "aarch64";
#endif

std::string dumped(const Json& value) {
  return value.dump(kIndent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string program_name(const Learned& learned, std::uint32_t program) {
  const std::string_view text = learned.text(program);
  if (text.empty()) return "jail-init, for a job";
  std::string name = escaped(text);
  // Escaped text is UTF-8; what is cut within a character is made good where it is dumped.
  if (name.size() > kMostName) name = name.substr(0, kMostName) + "...";
  return name;
}

std::string seen(const Learned& learned, const Learned::Entry& entry, std::uint64_t times) {
  return fmt::format("seen in {}, {} time{}", program_name(learned, entry.program), times, times == 1 ? "" : "s");
}

// ---- the filter

struct Call {
  std::string name{};
  std::uint64_t times = 0;
  std::vector<const Learned::Entry*> entries{};
};

std::vector<Call> calls_of(const Learned& learned, const wire::ProfileSet& set) {
  std::vector<Call> calls;
  for (const Learned::Entry& entry : learned.entries()) {
    if (entry.kind != LearnedKind::kCall) continue;
    const auto known = std::ranges::find(set.calls, entry.a, &wire::CallName::number);
    if (known == set.calls.end()) continue;
    auto call = std::ranges::find(calls, known->name, &Call::name);
    if (call == calls.end()) call = calls.insert(calls.end(), Call{known->name});
    call->times += entry.count;
    call->entries.push_back(&entry);
  }
  std::ranges::sort(calls, {}, &Call::name);
  return calls;
}

Json rule_for(const std::string& name, Json when, std::string why) {
  Json rule = {{"syscalls", {name}}, {"architectures", {kArchitecture}}};
  if (!when.empty()) rule["when"] = std::move(when);
  rule["action"] = "allow";
  rule["why"] = std::move(why);
  return rule;
}

Json equals(int argument, Json value) {
  return {{"arg", argument}, {"width", 32}, {"op", "equal"}, {"value", std::move(value)}};
}

// More sockets than programs make were made by somebody who counts: those past the bound are not allowed.
void add_socket_rules(Json& rules, const Learned& learned, const Call& call) {
  const std::span<const Learned::Entry* const> all = call.entries;
  for (const Learned::Entry* entry : all.first(std::min(all.size(), kMostValues))) {
    const std::uint64_t family = entry->b >> 32;
    const std::uint64_t type = entry->b >> 16 & 0xF;
    const Json kind = {{"arg", 1}, {"width", 32}, {"op", "masked_equal"}, {"mask", "SOCK_TYPE_MASK"}, {"value", type}};
    Json when = Json::array({equals(0, family), kind, equals(2, entry->b & 0xFFFF)});
    rules.push_back(rule_for(call.name, std::move(when), seen(learned, *entry, entry->count)));
  }
}

void add_call_rules(Json& rules, const Learned& learned, const Call& call) {
  if (call.name == "socket" || call.name == "socketpair") return add_socket_rules(rules, learned, call);
  Json when = Json::array();
  const bool by_value = call.name == "ioctl" || call.name == "prctl";
  if (by_value && call.entries.size() <= kMostValues) {
    Json values = Json::array();
    for (const Learned::Entry* entry : call.entries) values.push_back(entry->b);
    when.push_back(equals(call.name == "ioctl" ? 1 : 0, std::move(values)));
  }
  rules.push_back(rule_for(call.name, std::move(when), seen(learned, *call.entries.front(), call.times)));
}

Json refused(const char* name, const char* error, const char* why) {
  return {{"syscalls", {name}}, {"action", "errno"}, {"errno", error}, {"why", why}};
}

Json filter_of(const std::string& name, const std::string& command, const Learned& learned,
               const wire::ProfileSet& set) {
  Json rules = Json::array({Json{{"include", "refusals"}}, Json{{"include", "jail-init"}}});
  for (const Call& call : calls_of(learned, set)) add_call_rules(rules, learned, call);
  rules.push_back(refused("socket", "EAFNOSUPPORT", "no other was seen; what a kernel without the family says"));
  rules.push_back(refused("socketpair", "EAFNOSUPPORT", "no other was seen"));
  rules.push_back(refused("ioctl", "ENOTTY", "no other was seen; what a file says that doesn't know the number"));
  rules.push_back(refused("prctl", "EINVAL", "no other was seen; what a kernel without the option says"));
  return {{"name", name},
          {"description", fmt::format("Learned of: {}", command)},
          {"default", {{"action", "errno"}, {"errno", "ENOSYS"}, {"why", "the command was not seen to make the call"}}},
          {"foreign_abi", {{"action", "errno"}, {"errno", "ENOSYS"}, {"why", "only the host's own ABI was learned"}}},
          {"rules", std::move(rules)}};
}

// ---- paths

struct Place {
  std::string name{};  // as a profile has it; empty: the path itself
  bool writable = false;
};

Place place_of(const std::string& path, const wire::JailPlan& plan) {
  Place place;
  std::size_t innermost = 0;
  const auto look = [&](const std::string& mount, std::string_view name, bool writable) {
    if (!is_beneath(path, mount) || mount.size() < innermost) return;
    innermost = mount.size();
    place = {std::string(name), writable};
  };
  for (const wire::Tmpfs& row : plan.tmpfs) look(row.path, row.path, true);
  for (const wire::Bind& bind : plan.binds)
    look(bind.target, bind.workspace ? "@workspace" : "@binds", bind.access == wire::Access::kRw);
  return place;
}

struct Lists {
  Paths read{}, write{}, execute{};
  bool everything = false;  // the root directory itself was read
  std::uint64_t strange = 0;
};

Lists lists_of(const Learned& learned, const wire::JailPlan& plan) {
  Lists lists;
  for (const Learned::Entry& entry : learned.entries()) {
    if (entry.kind != LearnedKind::kPath) continue;
    const std::string path(learned.text(entry.b));
    if (!is_canonical_path(path) || escaped(path) != path) {
      ++lists.strange;
      continue;
    }
    const Place place = place_of(path, plan);
    const std::string& name = place.name.empty() ? path : place.name;
    const auto has = [&](wire::LearnedAccess access) { return (entry.a & static_cast<std::uint32_t>(access)) != 0; };
    const bool runs = has(wire::LearnedAccess::kExecute);
    if (runs) lists.execute.try_emplace(name, entry.program);
    const bool reads = has(wire::LearnedAccess::kRead) || runs;
    if (reads && path == "/") lists.everything = true;
    if (reads && path != "/") lists.read.try_emplace(name, entry.program);
    if (has(wire::LearnedAccess::kWrite) && place.writable) lists.write.try_emplace(name, entry.program);
  }
  return lists;
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Directories in place of what is in them, the fullest first, until there are few enough; never "/".
void gather(Paths& paths) {
  const auto below = [](const std::string& path, const std::string& directory) {
    return path.starts_with('/') && is_beneath(path, directory);
  };
  while (paths.size() > kMostPaths) {
    std::map<std::string, std::size_t> parents;
    for (const auto& [path, program] : paths) {
      if (path.starts_with('/') && !parent_of(path).empty()) ++parents[parent_of(path)];
    }
    const auto fullest = std::ranges::max_element(parents, [](const auto& a, const auto& b) {
      return std::pair(a.second, a.first.size()) < std::pair(b.second, b.first.size());
    });
    if (fullest == parents.end()) return;
    const auto gone = [&](const auto& one) { return below(one.first, fullest->first); };
    const std::uint32_t program = std::ranges::find_if(paths, gone)->second;
    std::erase_if(paths, gone);
    paths.emplace(fullest->first, program);
  }
  // What lies below another of the list says nothing more.
  std::erase_if(paths, [&](const auto& one) {
    return std::ranges::any_of(
        paths, [&](const auto& other) { return other.first != one.first && below(one.first, other.first); });
  });
}

std::map<std::uint64_t, std::uint32_t> ports_of(const Learned& learned, wire::LearnedPort use) {
  std::map<std::uint64_t, std::uint32_t> ports;
  for (const Learned::Entry& entry : learned.entries()) {
    if (entry.kind == LearnedKind::kPort && entry.a == static_cast<std::uint32_t>(use) && ports.size() < kMostPaths)
      ports.try_emplace(entry.b & 0xFFFF, entry.program);
  }
  return ports;
}

bool uses_network(const Learned& learned, const wire::ProfileSet& set) {
  const auto makes = [&](const Call& call) {
    return call.name == "socket" && std::ranges::any_of(call.entries, [](const Learned::Entry* entry) {
             const std::uint64_t family = entry->b >> 32;
             return family == 2 || family == 10;
           });
  };
  return std::ranges::any_of(calls_of(learned, set), makes);
}

Json boundary(std::string why) { return {{"boundary", std::move(why)}}; }

// A list of the key 'landlock', and as its reason where each of it was seen.
template <class Entries>
void add_list(Json& profile, const std::string& key, const Entries& entries, const Learned& learned) {
  Json list = Json::array();
  std::vector<std::string> seen;
  for (const auto& [entry, program] : entries) {
    list.push_back(entry);
    seen.push_back(fmt::format("{} in {}", entry, program_name(learned, program)));
  }
  profile["landlock"][key] = std::move(list);
  profile["reasons"]["landlock." + key] =
      boundary(seen.empty() ? "none was seen" : fmt::format("first seen: {}", fmt::join(seen, "; ")));
}

void add_landlock(Json& profile, Lists lists, const Learned& learned, const wire::ProfileSet& set) {
  for (Paths* paths : {&lists.read, &lists.write, &lists.execute}) gather(*paths);
  if (!lists.everything && !lists.read.empty()) add_list(profile, "read", lists.read, learned);
  add_list(profile, "write", lists.write, learned);
  if (!lists.execute.empty()) add_list(profile, "execute", lists.execute, learned);
  if (!uses_network(learned, set)) return;
  add_list(profile, "tcp_connect", ports_of(learned, wire::LearnedPort::kConnect), learned);
  add_list(profile, "tcp_bind", ports_of(learned, wire::LearnedPort::kBind), learned);
}

// ---- the profile

// Of binds of one kind: what of "ro" and "rw" there was; "ro" is the narrower, and always beside "rw".
Json access_of(const wire::JailPlan& plan, bool workspace) {
  Json list = Json::array();
  const auto has = [&](wire::Access access) {
    return std::ranges::any_of(
        plan.binds, [&](const wire::Bind& bind) { return bind.workspace == workspace && bind.access == access; });
  };
  const bool writes = has(wire::Access::kRw);
  if (writes || has(wire::Access::kRo)) list.push_back("ro");
  if (writes) list.push_back("rw");
  return list;
}

std::string command_of(const std::vector<std::string>& argv) {
  constexpr std::size_t kMostCommand = 300;
  std::string text = escaped(fmt::format("{}", fmt::join(argv, " ")));
  if (text.size() > kMostCommand) text.resize(kMostCommand);
  text = is_utf8(text) ? text : escaped(text);
  return text.empty() ? "the jobs of a session" : text;
}

std::string_view root_name(wire::RootKind root) {
  switch (root) {
    case wire::RootKind::kUsr: return "usr";
    case wire::RootKind::kDirectory: return "directory";
    case wire::RootKind::kHost: return "host";
  }
  return "usr";
}

}  // namespace

protocol::LearnedProfile learned_profile(const std::string& name, const Learned& learned,
                                         const std::vector<std::string>& argv, const wire::JailPlan& plan,
                                         const wire::ProfileSet& set) {
  const std::string command = command_of(argv);
  const Lists lists = lists_of(learned, plan);
  const bool host = plan.network == wire::NetworkMode::kHost;
  Json profile = {{"name", name},
                  {"description", fmt::format("Learned of: {}", command)},
                  {"inherits", plan.profile},
                  {"learn", false},
                  {"users", Json::array()},
                  {"filter", name},
                  {"roots", {root_name(plan.root)}},
                  {"networks", host ? Json::array({"none", "host"}) : Json::array({"none"})},
                  {"workspace", access_of(plan, true)},
                  {"binds", access_of(plan, false)},
                  {"proc", plan.proc == wire::ProcKind::kFull ? "full" : "pid"},
                  {"unix_sockets", plan.unix_sockets == wire::UnixSockets::kAny ? "any" : "none"},
                  {"user_root", plan.inside_uid == 0},
                  {"tmpfs_free", false},
                  {"landlock", Json::object()},
                  {"reasons",
                   {{"users", boundary("until an administrator has read it and says who may use it")},
                    {"filter", boundary("the calls that were seen; each rule says where")},
                    {"landlock", boundary("the paths that were seen; each list's reason says where")}}}};
  add_landlock(profile, lists, learned, set);
  return {dumped(profile), dumped(filter_of(name, command, learned, set)), learned.unread() + lists.strange,
          learned.lost()};
}

}  // namespace sandboxd::jails
