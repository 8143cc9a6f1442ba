// A profile file as a value: the most that a jail of that kind may have. A profile may inherit another: what it says
// replaces what it inherits, key by key (and name by name in `env` and `limits`). Sizes are bytes, times microseconds; 0 is
// no limit where a file says "infinity".
// Who may use it (`users`, `groups`) is one thing: a file that gives either says all of it anew.
// Pure: files come through a ProfileSource.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "seccomp-profiles/model/filter.h"

namespace sandboxd::filters {

struct ProfileTmpfs {
  std::string path{};
  std::uint64_t size = 0;
  std::uint64_t inodes = 0;
  std::uint32_t mode = 01777;

  bool operator==(const ProfileTmpfs&) const = default;
};

// Why a profile says something, and what that is worth: `boundary` is held by the kernel whatever the job does; `lint` is obeyed
// by honest programs in their own process, and a hostile one walks around it.
struct Reason {
  bool boundary = false;
  std::string text{};

  bool operator==(const Reason&) const = default;
};

// What Landlock holds beyond what follows from the mounts. A list that is not there says nothing; an empty one refuses all. Paths
// are the jail's; "@workspace", "@binds" and "@scratch" stand for those of the jail that is made.
struct ProfileLandlock {
  std::optional<std::vector<std::string>> read{};
  std::optional<std::vector<std::string>> write{};
  std::optional<std::vector<std::string>> execute{};
  std::optional<std::vector<std::string>> truncate{};
  std::optional<std::vector<std::string>> ioctl{};          // devices
  std::optional<std::vector<std::uint16_t>> tcp_connect{};  // ports
  std::optional<std::vector<std::uint16_t>> tcp_bind{};
  std::vector<std::string> scopes{};    // abstract_unix, signal: which the profile can't do without
  std::vector<std::string> optional{};  // truncate, tcp, ioctl, scopes: which it can, on a kernel without them

  bool operator==(const ProfileLandlock&) const = default;
};

// Who may use the profile: names, or ids in digits. A list that is not there names nobody; without either it is everybody.
struct ProfileUsers {
  std::optional<std::vector<std::string>> users{};
  std::optional<std::vector<std::string>> groups{};

  bool operator==(const ProfileUsers&) const = default;
};

// Every key has been given, by the file or what it inherits. The lists of words hold those that the schema names.
struct Profile {
  std::string name{};
  std::string description{};
  std::string file{};
  std::vector<std::string> lineage{};  // files, this one's first
  ProfileUsers who{};
  std::string filter{};
  std::vector<std::string> roots{};      // usr, directory, host
  std::vector<std::string> networks{};   // none, host
  std::vector<std::string> workspace{};  // ro, rw
  std::vector<std::string> binds{};      // ro, rw
  std::string proc{};                    // full, pid
  std::string unix_sockets{};            // none, any
  bool user_root = false;
  bool nested = false;  // jobs may make namespaces and mounts of their own
  bool learn = false;   // what its jobs do is recorded, for a profile to be made of
  bool tmpfs_free = false;
  std::vector<ProfileTmpfs> tmpfs{};
  std::vector<std::string> etc{};
  std::map<std::string, std::string> env{};
  std::map<std::string, std::string> files{};  // name below /etc/sandboxd in the jail -> name in the folder of files
  std::map<std::string, Reason> reasons{};     // by key: "filter", "env.PATH", "limits.pids_max", "files.NAME"
  ProfileLandlock landlock{};
  std::vector<std::string> hidden_names{};  // redaction.names: patterns of names whose values are not shown
  std::uint32_t terminals = 16;             // the most that can be open in a jail at a time
  Limits limits = no_limits();              // caps

  bool operator==(const Profile&) const = default;
};

// The profile files of one name, lowest first: a later one overrides an earlier, and may inherit it by its own name.
using ProfileSource = std::function<Result<std::vector<SourceText>>(std::string_view name)>;

Result<Profile> load_profile(std::string_view name, const ProfileSource& source);

// "infinity" (0), "90s", "5min", or whole seconds; "1G", "64K", or bytes. Used for sandboxd.json too.
class Cursor;
Result<std::uint64_t> size_at(const Cursor& at);
Result<std::uint64_t> time_at(const Cursor& at);

}  // namespace sandboxd::filters
