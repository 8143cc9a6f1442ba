// What sandboxd-profilec makes of the root-owned configuration and profiles: one flat value in a sealed memfd, held by the
// launcher and, read-only, by sandboxd. `hash` is the SHA-256 of the encoding of everything else; a plan cites the hash
// of its own profile.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/id_owners.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "daemon/wire/plan.h"

namespace sandboxd::wire {

struct ProfileEnv {
  std::string name{};
  std::string value{};

  template <class A> void fields(A& a) {
    a(name);
    a(value);
  }
  bool operator==(const ProfileEnv&) const = default;
};

// A small read-only file of the profile's own, at /etc/sandboxd/NAME in a jail whose root is the host's /usr.
struct ProfileFile {
  std::string name{};  // may have '/'
  std::string text{};

  template <class A> void fields(A& a) {
    a(name);
    a(text);
  }
  bool operator==(const ProfileFile&) const = default;
};

// A list that counts only where the flag is set. "@workspace", "@binds" and "@scratch" stand for the plan's.
struct LandlockPaths {
  bool limited = false;
  std::vector<std::string> paths{};

  template <class A> void fields(A& a) {
    a(limited);
    a(paths);
  }
  bool operator==(const LandlockPaths&) const = default;
};

enum class LandlockScope : std::uint8_t { kAbstractUnix = 0, kSignal = 1 };
enum class LandlockOptional : std::uint8_t { kTruncate = 0, kTcp = 1, kIoctl = 2, kScopes = 3 };

// What Landlock holds beyond what follows from the mounts. The lists of ports count only where the flag before them is set.
struct ProfileLandlock {
  LandlockPaths read{}, write{}, execute{}, truncate{}, ioctl{};
  bool limits_connect = false;
  std::vector<std::uint32_t> connect{};
  bool limits_bind = false;
  std::vector<std::uint32_t> bind{};
  std::uint32_t scopes = 0;    // bits of LandlockScope that must be held
  std::uint32_t optional = 0;  // bits of LandlockOptional: a kernel without it doesn't refuse the jail

  template <class A> void fields(A& a) {
    a(read);
    a(write);
    a(execute);
    a(truncate);
    a(ioctl);
    a(limits_connect);
    a(connect);
    a(limits_bind);
    a(bind);
    a(scopes);
    a(optional);
  }
  bool operator==(const ProfileLandlock&) const = default;
};

// A user or a group, as the profile's file calls it.
struct ProfileId {
  std::string name{};  // digits where the file has a number
  std::uint32_t id = 0;

  template <class A> void fields(A& a) {
    a(name);
    a(id);
  }
  bool operator==(const ProfileId&) const = default;
};

// Who may start jails of a profile. The lists count only where the flag is set; who is in one of them may.
struct ProfileUsers {
  bool restricted = false;
  std::vector<ProfileId> users{};
  std::vector<ProfileId> groups{};

  template <class A> void fields(A& a) {
    a(restricted);
    a(users);
    a(groups);
  }
  bool operator==(const ProfileUsers&) const = default;
};

// The most that a jail of this kind may have; the defaults of a request that says nothing are marked.
struct Profile {
  std::string name{};
  std::string description{};
  std::string source{};  // the file it was read from; for messages
  Sha256Digest hash{};   // of this struct's encoding with `hash` zeroed
  std::string filter_name{};
  ProfileUsers who{};
  std::vector<std::uint8_t> filter{};                // sock_filter[] for the host's architecture; never empty
  std::uint32_t roots = bit(RootKind::kUsr);         // bits of RootKind
  std::uint32_t networks = bit(NetworkMode::kNone);  // bits of NetworkMode; kNone is the default
  std::uint32_t workspace = bit(Access::kRo);        // bits of Access for the workspace
  std::uint32_t binds = bit(Access::kRo);            // bits of Access for further binds; 0: none allowed
  ProcKind proc = ProcKind::kFull;
  UnixSockets unix_sockets = UnixSockets::kNone;
  bool user_root = true;           // --user root: the job sees itself as uid 0, without any capability
  bool nested = false;             // jobs may make user namespaces and mounts; Landlock rules nothing about files then
  bool learn = false;              // what its jobs do is recorded
  bool tmpfs_free = true;          // a request may ask for further tmpfs mounts within scratch_max and inodes_max
  std::vector<Tmpfs> tmpfs{};      // always there; sizes are defaults and caps
  std::vector<std::string> etc{};  // names below the host's /etc that are shown (ld.so.cache ...)
  std::vector<ProfileEnv> env{};   // defaults
  std::vector<ProfileFile> files{};
  ProfileLandlock landlock{};
  std::vector<std::string> hidden_names{};      // patterns: values of such arguments and variables are not shown
  std::uint32_t terminals = kDefaultTerminals;  // the most of each jail
  Limits limits{};                              // caps on what preset and request say

  template <class A> void fields(A& a) {
    a(name);
    a(description);
    a(source);
    a(hash);
    a(filter_name);
    a(who);
    a(filter);
    a(roots);
    a(networks);
    a(workspace);
    a(binds);
    a(proc);
    a(unix_sockets);
    a(user_root);
    a(nested);
    a(learn);
    a(tmpfs_free);
    a(tmpfs);
    a(etc);
    a(env);
    a(files);
    a(landlock);
    a(hidden_names);
    a(terminals);
    a(limits);
  }
  bool operator==(const Profile&) const = default;
};

// cgroups/presets/NAME.json: what a request that names it gets where it says nothing itself. "default" is always there, and
// gives what another preset doesn't name. Parts of the host ("half") are worked out by profilec.
struct Preset {
  std::string name{};
  std::string description{};
  Limits limits{};

  template <class A> void fields(A& a) {
    a(name);
    a(description);
    a(limits);
  }
  bool operator==(const Preset&) const = default;
};

// sandboxd.json
struct Config {
  std::uint32_t id_pool_first = 0;  // 0: the first free slice
  std::uint32_t id_pool_count = kIdsPerSlice;
  std::string cgroup_root{};  // empty: found (systemd's delegated subtree, else the cgroup2 mount)
  std::vector<std::string> profile_dirs{};
  std::string default_profile = "default";
  std::vector<std::uint32_t> allowed_ids{};  // ids below UID_MIN whose files may be mapped
  std::uint32_t uid_min = 1000;              // login.defs UID_MIN
  std::uint32_t user_jails = 256;            // per user: jails alive
  std::uint32_t user_connections = 64;
  std::uint32_t user_calls_per_second = 500;
  std::uint64_t user_pending_bytes = 16U << 20;
  std::uint32_t user_terminals = 1024;
  std::vector<std::string> unenforced_limits{};

  template <class A> void fields(A& a) {
    a(id_pool_first);
    a(id_pool_count);
    a(cgroup_root);
    a(profile_dirs);
    a(default_profile);
    a(allowed_ids);
    a(uid_min);
    a(user_jails);
    a(user_connections);
    a(user_calls_per_second);
    a(user_pending_bytes);
    a(user_terminals);
    a(unenforced_limits);
  }
  bool operator==(const Config&) const = default;
};

// Why a filter refuses a call, for people; nothing is decided by it.
struct FilterRule {
  std::string place{};  // "refusals.json line 41"
  std::string why{};

  template <class A> void fields(A& a) {
    a(place);
    a(why);
  }
  bool operator==(const FilterRule&) const = default;
};
// Of one filter under one profile's words: a program like the filter's, whose answers are indices into `rules`, so that which rule
// decides a call is found as the kernel finds its answer. Empty where it would be too long.
struct FilterNotes {
  std::string filter{};
  UnixSockets unix_sockets = UnixSockets::kNone;
  std::vector<std::uint8_t> program{};  // sock_filter[]
  std::vector<FilterRule> rules{};

  template <class A> void fields(A& a) {
    a(filter);
    a(unix_sockets);
    a(program);
    a(rules);
  }
  bool operator==(const FilterNotes&) const = default;
};
struct CallName {
  std::uint32_t number = 0;
  std::string name{};

  template <class A> void fields(A& a) {
    a(number);
    a(name);
  }
  bool operator==(const CallName&) const = default;
};

struct ProfileSet {
  Sha256Digest hash{};
  Config config{};
  std::vector<Profile> profiles{};
  std::vector<Preset> presets{};
  std::vector<OwnedIds> owners{};    // whose subordinate ids are
  std::uint64_t nofile_most = 0;     // the hard RLIMIT_NOFILE of the launcher, which jails inherit; 0: not known
  std::vector<FilterNotes> notes{};  // for sandboxd; the launcher drops them
  std::vector<CallName> calls{};     // of the host's architecture, by number; likewise

  template <class A> void fields(A& a) {
    a(hash);
    a(config);
    a(profiles);
    a(presets);
    a(owners);
    a(nofile_most);
    a(notes);
    a(calls);
  }
  bool operator==(const ProfileSet&) const = default;

  [[nodiscard]] const Profile* find(std::string_view name) const {
    for (const Profile& profile : profiles) {
      if (profile.name == name) return &profile;
    }
    return nullptr;
  }
  // What only sandboxd reads; `hash` is of what was there before.
  void drop_notes() {
    owners = {};
    notes = {};
    calls = {};
  }
  [[nodiscard]] const FilterNotes* notes_of(const Profile& profile) const {
    for (const FilterNotes& one : notes) {
      if (one.filter == profile.filter_name && one.unix_sockets == profile.unix_sockets) return &one;
    }
    return nullptr;
  }
};

// Of somebody who is no admin, by what the kernel says of them; `groups` are the supplementary ones.
[[nodiscard]] bool may_use(const ProfileUsers& who, std::uint32_t uid, std::uint32_t gid,
                           std::span<const std::uint32_t> groups);
// For messages: "users alice, 1001 and groups devs", "everybody".
[[nodiscard]] std::string to_text(const ProfileUsers& who);

// What `hash` must be. Of a profile: its encoding with `hash` zeroed. Of a set: the encoding of all that follows `hash`.
[[nodiscard]] Sha256Digest hash_of(const Profile& profile);
[[nodiscard]] Sha256Digest hash_of(const ProfileSet& set);

}  // namespace sandboxd::wire
