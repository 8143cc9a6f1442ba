// Profile and filter files on disk, found by name in an ordered list of folders: a later folder overrides an earlier one.
// Filters, presets and files lie beside profiles: for ".../profiles" in ".../filters", for ".../profiles.d" in ".../filters.d".
// In a daemon every folder on the way and every file must be root's and writable by nobody else, checked on what was opened,
// never by name twice; symbolic links are refused. EPERM, ELOOP, and what open(2) says.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "seccomp-profiles/model/filter.h"
#include "seccomp-profiles/model/profile.h"

namespace sandboxd::profilec {

// kAnyone: for people who check files of their own; never for a set that jails are made from.
enum class Owner { kRoot, kAnyone };

struct Folder {
  std::string path{};
  bool optional = false;  // may be missing
};

inline constexpr std::size_t kMaxFile = 64U << 10;  // they are copied into every jail

class SourceFiles {
 public:
  static Result<SourceFiles> open(const std::vector<Folder>& profile_folders, Owner owner);

  // One file by its path, whatever its name: it overrides the folders' files of the same name. Returns that name.
  Result<std::string> add_profile(const std::string& path);
  Result<std::string> add_filter(const std::string& path);
  Result<std::string> add_preset(const std::string& path);

  // Lowest first; empty when there is none.
  [[nodiscard]] Result<std::vector<filters::SourceText>> profile(std::string_view name) const;
  [[nodiscard]] Result<filters::SourceText> filter(std::string_view name) const;
  [[nodiscard]] Result<std::string> file(
      std::string_view name) const;  // of the folders of files; at most kMaxFile bytes
  [[nodiscard]] Result<filters::SourceText> preset(std::string_view name) const;
  [[nodiscard]] Result<std::vector<std::string>> profile_names() const;  // sorted, each once
  [[nodiscard]] Result<std::vector<std::string>> preset_names() const;

  [[nodiscard]] filters::ProfileSource profile_source() const;  // refers to this object
  [[nodiscard]] filters::Loader filter_loader() const;

 private:
  struct OpenFolder {
    std::string path{};
    UniqueFd fd{};
  };
  struct Added {
    std::string name{};
    filters::SourceText source{};
  };

  [[nodiscard]] Result<bool> read_from(const OpenFolder& folder, const std::string& file,
                                       filters::SourceText& source) const;
  Status open_folder(const Folder& folder, std::vector<OpenFolder>& into) const;
  Result<std::string> add(const std::string& path, std::vector<Added>& into) const;
  // The highest of that name.
  [[nodiscard]] Result<filters::SourceText> last_of(std::string_view what, std::string_view name,
                                                    const std::vector<OpenFolder>& folders,
                                                    const std::vector<Added>& added) const;
  [[nodiscard]] static Result<std::vector<std::string>> names_in(const std::vector<OpenFolder>& folders,
                                                                 const std::vector<Added>& added);

  Owner owner_ = Owner::kRoot;
  std::vector<OpenFolder> profile_folders_{};
  std::vector<OpenFolder> filter_folders_{};
  std::vector<OpenFolder> file_folders_{};
  std::vector<OpenFolder> preset_folders_{};
  std::vector<Added> added_profiles_{};
  std::vector<Added> added_filters_{};
  std::vector<Added> added_presets_{};
};

// "/usr/share/sandboxd/profiles" -> "/usr/share/sandboxd/filters"; a path without "profiles" in its last part gets "/filters".
// `kind`: "filters", "presets" or "files".
[[nodiscard]] std::string folder_beside(std::string_view profile_folder, std::string_view kind);

// A whole small file, its owner and its way checked as above.
Result<std::string> read_checked_file(const std::string& path, Owner owner);

// The folder of the shipped profiles: $SANDBOXD_PROFILE_DIR, else share/sandboxd/profiles below $SANDBOXD_PREFIX, else below
// the prefix that the running program lies in.
Result<std::string> shipped_profile_folder();

}  // namespace sandboxd::profilec
