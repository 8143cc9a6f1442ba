// What a verb of sandboxd-profile is about: a profile or a filter, named or as a file outside the daemon's folders, with all that
// it inherits and includes. Reads files with the caller's rights.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/profilec/source_files.h"
#include "daemon/wire/profile_set.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::tools {

struct Sources {
  wire::Config config{};
  profilec::SourceFiles files{};
};

// `config`: a sandboxd.json to take the folders from; empty for the installed one.
Result<Sources> open_sources(const std::string& config);

struct Subject {
  std::optional<filters::Profile> profile{};  // none: a filter by itself
  filters::Filter filter{};
  filters::Parameters parameters{};

  [[nodiscard]] const std::string& name() const { return profile ? profile->name : filter.name; }
};

// kIncluded: a file of rules without a default, which filters include. kPreset: limits, and nothing else.
enum class FileKind { kProfile, kFilter, kIncluded, kPreset };
Result<FileKind> kind_of(const std::string& path);
// Has a '/' or ends with ".json".
[[nodiscard]] bool is_file_name(const std::string& text);

// `what`: a profile's name, or a file of either kind; empty for the configured default profile. `unix_sockets` settles a filter
// that comes without a profile.
Result<Subject> find_subject(Sources& sources, const std::string& what, const std::string& unix_sockets);
// A filter file that is for other filters to include, by itself: loaded through the smallest filter that includes it.
Result<filters::Filter> load_filter_file(Sources& sources, const std::string& path, FileKind kind);

}  // namespace sandboxd::tools
