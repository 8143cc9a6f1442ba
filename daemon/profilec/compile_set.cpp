#include "daemon/profilec/compile_set.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "base/file.h"
#include "base/id_owners.h"
#include "base/text.h"
#include "base/user_names.h"
#include "daemon/profilec/config.h"
#include "seccomp-profiles/compiler/emit.h"
#include "seccomp-profiles/compiler/syscalls.h"
#include "seccomp-profiles/model/limits.h"

namespace sandboxd::profilec {
namespace {

// The loader has checked every word against these names; they are in the order of the enums of wire/plan.h and wire/profile_set.h.
constexpr std::array<std::string_view, 3> kRoots = {"usr", "directory", "host"};
constexpr std::array<std::string_view, 2> kAccess = {"ro", "rw"};
constexpr std::array<std::string_view, 2> kNetworks = {"none", "host"};
constexpr std::array<std::string_view, 2> kScopes = {"abstract_unix", "signal"};
constexpr std::array<std::string_view, 4> kOptional = {"truncate", "tcp", "ioctl", "scopes"};

constexpr std::size_t kMaxAccounts = 16U << 20;

std::uint32_t bits_of(const std::vector<std::string>& words, std::span<const std::string_view> names) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (std::ranges::find(words, names[i]) != words.end()) bits |= 1U << i;
  }
  return bits;
}

Result<std::vector<wire::ProfileId>> resolve(const std::vector<std::string>& words, std::string_view kind,
                                             const std::string& file) {
  std::vector<wire::ProfileId> ids;
  std::optional<std::string> text;
  for (const std::string& word : words) {
    auto id = parse_uint(word, UINT32_MAX - 1);
    if (!id && !text) {
      TRY_ASSIGN(text, read_file(AT_FDCWD, file, kMaxAccounts).context("look up {} {}", kind, quoted(word)));
    }
    if (!id) id = id_of_name(*text, word);
    if (!id)
      return make_error("no {} {} in {}; correct the name, or give the id as a number", kind, quoted(word),
                        quoted(file));
    ids.push_back({word, static_cast<std::uint32_t>(*id)});
  }
  return ids;
}

// By the files alone: a name that only a name service knows is given as a number.
Result<wire::ProfileUsers> resolve_users(const filters::ProfileUsers& from, const Accounts& accounts) {
  wire::ProfileUsers who;
  who.restricted = from.users || from.groups;
  TRY_ASSIGN(who.users, resolve(from.users.value_or(std::vector<std::string>()), "user", accounts.passwd));
  TRY_ASSIGN(who.groups, resolve(from.groups.value_or(std::vector<std::string>()), "group", accounts.group));
  return who;
}

wire::LandlockPaths to_wire(const std::optional<std::vector<std::string>>& from) {
  return {from.has_value(), from.value_or(std::vector<std::string>())};
}

wire::ProfileLandlock to_wire(const filters::ProfileLandlock& from) {
  wire::ProfileLandlock landlock;
  landlock.read = to_wire(from.read);
  landlock.write = to_wire(from.write);
  landlock.execute = to_wire(from.execute);
  landlock.truncate = to_wire(from.truncate);
  landlock.ioctl = to_wire(from.ioctl);
  landlock.limits_connect = from.tcp_connect.has_value();
  landlock.limits_bind = from.tcp_bind.has_value();
  if (from.tcp_connect) landlock.connect.assign(from.tcp_connect->begin(), from.tcp_connect->end());
  if (from.tcp_bind) landlock.bind.assign(from.tcp_bind->begin(), from.tcp_bind->end());
  landlock.scopes = bits_of(from.scopes, kScopes);
  landlock.optional = bits_of(from.optional, kOptional);
  return landlock;
}

wire::Profile to_wire(const filters::Profile& from) {
  wire::Profile profile;
  profile.name = from.name;
  profile.description = from.description;
  profile.source = from.file;
  profile.filter_name = from.filter;
  profile.roots = bits_of(from.roots, kRoots);
  profile.networks = bits_of(from.networks, kNetworks);
  profile.workspace = bits_of(from.workspace, kAccess);
  profile.binds = bits_of(from.binds, kAccess);
  profile.proc = from.proc == "full" ? wire::ProcKind::kFull : wire::ProcKind::kPid;
  profile.unix_sockets = from.unix_sockets == "any" ? wire::UnixSockets::kAny : wire::UnixSockets::kNone;
  profile.user_root = from.user_root;
  profile.nested = from.nested;
  profile.learn = from.learn;
  profile.tmpfs_free = from.tmpfs_free;
  for (const filters::ProfileTmpfs& tmpfs : from.tmpfs)
    profile.tmpfs.push_back({tmpfs.path, tmpfs.size, tmpfs.inodes, tmpfs.mode});
  profile.etc = from.etc;
  for (const auto& [name, value] : from.env) profile.env.push_back({name, value});
  profile.landlock = to_wire(from.landlock);
  profile.hidden_names = from.hidden_names;
  profile.terminals = from.terminals;
  profile.limits = from.limits;
  return profile;
}

}  // namespace

filters::Host this_host() {
  struct sysinfo info {};
  if (::sysinfo(&info) < 0) return {};
  filters::Host host{std::uint64_t{info.totalram} * info.mem_unit};
  // The launcher's own, which profilec has of it as the jails have.
  if (rlimit nofile{}; ::getrlimit(RLIMIT_NOFILE, &nofile) == 0) host.nofile = nofile.rlim_max;
  return host;
}

Result<wire::Config> load_config(const SetSources& sources) {
  const bool named = !sources.config_path.empty();
  const std::string path = named ? sources.config_path : std::string(kDefaultConfigPath);
  const Result<std::string> text = read_checked_file(path, sources.owner);
  if (!text.ok() && text.error().code == ENOENT && !named) return wire::Config{};
  if (!text.ok()) return text.error();
  return parse_config(*text, path);
}

Result<SourceFiles> open_sources(const SetSources& sources, const wire::Config& config) {
  std::vector<Folder> folders{{sources.shipped_profiles, false}};
  for (const std::string& folder : config.profile_dirs) folders.push_back({folder, false});
  if (config.profile_dirs.empty()) folders.push_back({std::string(kDefaultProfileFolder), true});
  return SourceFiles::open(folders, sources.owner);
}

namespace {

// The answers of `filter` as numbers of its rules: 0 is its default, 1 its answer to another ABI, then the rules in order.
wire::FilterNotes notes_of(const filters::Filter& filter, const filters::Profile& profile) {
  using Kind = filters::Action::Kind;
  wire::FilterNotes notes;
  notes.filter = filter.name;
  notes.unix_sockets = profile.unix_sockets == "any" ? wire::UnixSockets::kAny : wire::UnixSockets::kNone;
  const auto base_name = [](const std::string& path) { return path.substr(path.rfind('/') + 1); };
  filters::Filter numbered = filter;
  numbered.default_action = {Kind::kErrno, 0};
  numbered.foreign_action = {Kind::kErrno, 1};
  notes.rules = {{base_name(filter.file) + " default", filter.default_why},
                 {base_name(filter.file) + " foreign_abi", filter.foreign_why}};
  for (filters::Rule& rule : numbered.rules) {
    rule.action = {Kind::kErrno, static_cast<std::uint16_t>(notes.rules.size())};
    notes.rules.push_back({fmt::format("{} line {}", base_name(rule.file), rule.line), rule.why});
  }
  const auto program =
      filters::compile_filter(numbered, filters::host_arch(), {{"unix_sockets", profile.unix_sockets}});
  if (program.ok() && notes.rules.size() <= UINT16_MAX) notes.program = filters::to_bytes(*program);
  return notes;
}

Status add_notes(std::string_view name, const SourceFiles& files, wire::ProfileSet& set) {
  TRY_ASSIGN(const filters::Profile model, filters::load_profile(name, files.profile_source()));
  const wire::Profile* profile = set.find(name);
  if (profile == nullptr || set.notes_of(*profile) != nullptr) return {};
  TRY_ASSIGN(const filters::Filter filter, filters::load_filter(model.filter, files.filter_loader()));
  set.notes.push_back(notes_of(filter, model));
  return {};
}

}  // namespace

Result<wire::Profile> compile_profile(std::string_view name, const SourceFiles& files, const Accounts& accounts) {
  TRY_ASSIGN(const filters::Profile model, filters::load_profile(name, files.profile_source()));
  wire::Profile profile = to_wire(model);
  TRY_ASSIGN(profile.who, resolve_users(model.who, accounts).context("profile {}", sandboxd::quoted(name)));
  TRY_ASSIGN(const filters::Filter filter,
             filters::load_filter(model.filter, files.filter_loader())
                 .context("profile {}: filter {}", sandboxd::quoted(name), sandboxd::quoted(model.filter)));
  TRY_ASSIGN(const std::vector<sock_filter> program,
             filters::compile_filter(filter, filters::host_arch(), {{"unix_sockets", model.unix_sockets}})
                 .context("profile {}", sandboxd::quoted(name)));
  profile.filter = filters::to_bytes(program);
  for (const auto& [shown, from] : model.files) {
    TRY_ASSIGN(std::string text,
               files.file(from).context("profile {}: file {}", sandboxd::quoted(name), sandboxd::quoted(shown)));
    profile.files.push_back({shown, std::move(text)});
  }
  profile.hash = wire::hash_of(profile);
  return profile;
}

Result<std::vector<wire::Preset>> load_presets(const SourceFiles& files, const filters::Host& host) {
  constexpr std::string_view kDefault = "default";
  TRY_ASSIGN(std::vector<std::string> names, files.preset_names());
  TRY_ASSIGN(const filters::SourceText source, files.preset(kDefault));
  TRY_ASSIGN(const filters::Preset base, filters::load_preset(kDefault, source, filters::before_default(), host));
  std::vector<wire::Preset> presets{{base.name, base.description, base.limits}};
  std::erase(names, kDefault);
  for (const std::string& name : names) {
    TRY_ASSIGN(const filters::SourceText text, files.preset(name));
    TRY_ASSIGN(const filters::Preset preset, filters::load_preset(name, text, base.limits, host));
    presets.push_back({preset.name, preset.description, preset.limits});
  }
  return presets;
}

Result<wire::ProfileSet> compile_set(const SetSources& sources) {
  wire::ProfileSet set;
  TRY_ASSIGN(set.config, load_config(sources));
  TRY_ASSIGN(const SourceFiles files, open_sources(sources, set.config));
  TRY_ASSIGN(const std::vector<std::string> names, files.profile_names());
  for (const std::string& name : names) {
    TRY_ASSIGN(wire::Profile profile, compile_profile(name, files, sources.accounts));
    set.profiles.push_back(std::move(profile));
    TRY(add_notes(name, files, set));
  }
  for (const filters::SyscallNumber& call : filters::all_syscalls(filters::host_arch()))
    set.calls.push_back({call.number, call.name});
  TRY_ASSIGN(set.presets, load_presets(files, sources.host));
  if (set.find(set.config.default_profile) == nullptr) {
    return make_error("default_profile is {}, but there is no such profile; there are: {}",
                      sandboxd::quoted(set.config.default_profile), fmt::join(names, ", "));
  }
  TRY_ASSIGN(set.owners, load_id_owners({sources.accounts.subuid, sources.accounts.passwd}));
  set.nofile_most = sources.host.nofile;
  set.hash = wire::hash_of(set);
  return set;
}

}  // namespace sandboxd::profilec
