// From sandboxd.json, profiles and filters to the one flat value that the launcher and sandboxd hold. All or nothing: the
// first fault is the answer.
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/profilec/source_files.h"
#include "daemon/wire/profile_set.h"
#include "seccomp-profiles/model/limits.h"

namespace sandboxd::profilec {

// sysinfo(2) and getrlimit(2); of the host nothing else is read but Accounts.
[[nodiscard]] filters::Host this_host();

// Where the names of a profile's users and groups are looked up.
struct Accounts {
  std::string passwd = "/etc/passwd";
  std::string group = "/etc/group";
  std::string subuid = "/etc/subuid";
};

struct SetSources {
  std::string config_path{};       // empty: /etc/sandboxd/sandboxd.json if it is there; one that is named must be there
  std::string shipped_profiles{};  // the lowest folder
  Owner owner = Owner::kRoot;
  filters::Host host = this_host();
  Accounts accounts{};
};

// The configuration, with the folders of profiles that it names, or the default one.
Result<wire::Config> load_config(const SetSources& sources);
Result<SourceFiles> open_sources(const SetSources& sources, const wire::Config& config);

Result<wire::Profile> compile_profile(std::string_view name, const SourceFiles& files, const Accounts& accounts = {});
// "default" first; the others start from it.
Result<std::vector<wire::Preset>> load_presets(const SourceFiles& files, const filters::Host& host);
Result<wire::ProfileSet> compile_set(const SetSources& sources);

}  // namespace sandboxd::profilec
