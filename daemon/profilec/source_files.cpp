#include "daemon/profilec/source_files.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <set>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/text.h"
#include "seccomp-profiles/model/json_tree.h"

namespace sandboxd::profilec {
namespace {

using filters::SourceText;

constexpr std::string_view kSuffix = ".json";
constexpr std::size_t kMaxProfiles = 256;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

// A folder on the way may be writable by others when it is sticky, as /tmp: nobody else can rename what root has there.
Status check_way(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("fstat {}", sandboxd::quoted(path));
  if (info.st_uid == 0 && (info.st_mode & S_ISVTX) != 0) return {};
  return check_root_owned(fd, path);
}

// Opens a canonical path part by part, so that each part that is checked is the part that is gone through.
Result<UniqueFd> open_way(const std::string& path, int last_flags) {
  if (!is_canonical_path(path))
    return sys_error_code(EINVAL, "path {} must be absolute, without '.', '..', '//' or a '/' at its end",
                          sandboxd::quoted(path));
  UniqueFd at(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!at) return sys_error("open '/'");
  for (std::size_t start = 1; start < path.size();) {
    const std::size_t slash = std::min(path.find('/', start), path.size());
    const std::string way = path.substr(0, slash);
    TRY(check_way(at.get(), path.substr(0, std::max<std::size_t>(start - 1, 1))));
    const int flags = slash == path.size() ? last_flags : O_PATH | O_DIRECTORY;
    UniqueFd next(::openat(at.get(), path.substr(start, slash - start).c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    if (!next)
      return sys_error("open {}{}", sandboxd::quoted(way),
                       errno == ELOOP || errno == ENOTDIR ? " (symbolic links are not followed)" : "");
    at = std::move(next);
    start = slash + 1;
  }
  return at;
}

Result<UniqueFd> open_path(const std::string& path, int flags, Owner owner) {
  if (owner == Owner::kRoot) {
    TRY_ASSIGN(UniqueFd fd, open_way(path, flags));
    TRY(check_root_owned(fd.get(), path));
    return fd;
  }
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return sys_error("open {}", sandboxd::quoted(path));
  return fd;
}

Result<std::string> read_regular(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("fstat {}", sandboxd::quoted(path));
  if (!S_ISREG(info.st_mode)) return sys_error_code(EINVAL, "{} is no regular file", sandboxd::quoted(path));
  return read_fd(fd, filters::kMaxFileBytes).context("{}", sandboxd::quoted(path));
}

std::string json_name(std::string_view name) { return std::string(name) + std::string(kSuffix); }

// O_NONBLOCK: a FIFO of that name must not hold the start.
constexpr int kFileFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY;

}  // namespace

std::string folder_beside(std::string_view profile_folder, std::string_view kind) {
  constexpr std::string_view kWord = "profiles";
  const std::size_t last = profile_folder.rfind('/') + 1;
  const std::size_t word = profile_folder.find(kWord, last);
  if (word == std::string_view::npos) return fmt::format("{}/{}", profile_folder, kind);
  return std::string(profile_folder.substr(0, word)) + std::string(kind) +
         std::string(profile_folder.substr(word + kWord.size()));
}

Result<std::string> read_checked_file(const std::string& path, Owner owner) {
  TRY_ASSIGN(const UniqueFd fd, open_path(path, kFileFlags, owner));
  return read_regular(fd.get(), path);
}

Result<std::string> shipped_profile_folder() {
  if (const char* folder = std::getenv("SANDBOXD_PROFILE_DIR"); folder != nullptr && *folder != '\0')
    return std::string(folder);
  constexpr std::string_view kBelow = "/share/sandboxd/profiles";
  if (const char* prefix = std::getenv("SANDBOXD_PREFIX"); prefix != nullptr && *prefix != '\0')
    return prefix + std::string(kBelow);
  char self[PATH_MAX] = {};
  if (::readlink("/proc/self/exe", self, sizeof self - 1) < 0) return sys_error("readlink '/proc/self/exe'");
  // PREFIX/bin/program in a build tree, PREFIX/libexec/sandboxd/program where it is installed.
  std::string prefix(self);
  for (int up = 0; up < 3; ++up) {
    prefix.resize(std::min(prefix.rfind('/'), prefix.size()));
    if (up > 0 && ::access((prefix + std::string(kBelow)).c_str(), F_OK) == 0) return prefix + std::string(kBelow);
  }
  return sys_error_code(ENOENT, "no share/sandboxd/profiles in the prefix of {}; set SANDBOXD_PREFIX",
                        sandboxd::quoted(self));
}

Result<SourceFiles> SourceFiles::open(const std::vector<Folder>& profile_folders, Owner owner) {
  SourceFiles files;
  files.owner_ = owner;
  for (const Folder& folder : profile_folders) {
    TRY(files.open_folder(folder, files.profile_folders_).context("profiles"));
    TRY(files.open_folder({folder_beside(folder.path, "filters"), true}, files.filter_folders_).context("filters"));
    TRY(files.open_folder({folder_beside(folder.path, "files"), true}, files.file_folders_).context("files"));
    TRY(files.open_folder({folder_beside(folder.path, "presets"), true}, files.preset_folders_).context("presets"));
  }
  return files;
}

Status SourceFiles::open_folder(const Folder& folder, std::vector<OpenFolder>& into) const {
  Result<UniqueFd> fd = open_path(folder.path, O_RDONLY | O_DIRECTORY, owner_);
  if (!fd.ok() && fd.error().code == ENOENT && folder.optional) return {};
  if (!fd.ok()) return fd.error();
  into.push_back({folder.path, std::move(fd).value()});
  return {};
}

Result<bool> SourceFiles::read_from(const OpenFolder& folder, const std::string& file, SourceText& source) const {
  source.file = folder.path + "/" + file;
  const int follow = owner_ == Owner::kRoot ? O_NOFOLLOW : 0;
  const UniqueFd fd(::openat(folder.fd.get(), file.c_str(), kFileFlags | follow | O_CLOEXEC));
  if (!fd && errno == ENOENT) return false;
  if (!fd) return sys_error("open {}", sandboxd::quoted(source.file));
  if (owner_ == Owner::kRoot) TRY(check_root_owned(fd.get(), source.file));
  TRY_ASSIGN(source.text, read_regular(fd.get(), source.file));
  return true;
}

Result<std::string> SourceFiles::add(const std::string& path, std::vector<Added>& into) const {
  const std::size_t slash = path.rfind('/');
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string name = file.ends_with(kSuffix) ? file.substr(0, file.size() - kSuffix.size()) : std::string();
  if (!filters::is_name(name))
    return sys_error_code(EINVAL, "{} must be named as what it defines: NAME.json", sandboxd::quoted(path));
  TRY_ASSIGN(std::string text, read_checked_file(path, owner_));
  into.push_back({name, {path, std::move(text)}});
  return name;
}

Result<std::string> SourceFiles::add_profile(const std::string& path) { return add(path, added_profiles_); }
Result<std::string> SourceFiles::add_filter(const std::string& path) { return add(path, added_filters_); }
Result<std::string> SourceFiles::add_preset(const std::string& path) { return add(path, added_presets_); }

Result<std::vector<SourceText>> SourceFiles::profile(std::string_view name) const {
  std::vector<SourceText> found;
  for (const OpenFolder& folder : profile_folders_) {
    SourceText source;
    TRY_ASSIGN(const bool there, read_from(folder, json_name(name), source));
    if (there) found.push_back(std::move(source));
  }
  for (const Added& added : added_profiles_) {
    if (added.name == name) found.push_back(added.source);
  }
  return found;
}

Result<SourceText> SourceFiles::last_of(std::string_view what, std::string_view name,
                                        const std::vector<OpenFolder>& folders, const std::vector<Added>& added) const {
  for (const Added& one : added) {
    if (one.name == name) return one.source;
  }
  std::string looked_in;
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    SourceText source;
    TRY_ASSIGN(const bool there, read_from(*folder, json_name(name), source));
    if (there) return source;
    looked_in += (looked_in.empty() ? "" : ", ") + folder->path;
  }
  return sys_error_code(ENOENT, "no {} file '{}.json' in {}", what, name, looked_in.empty() ? "any folder" : looked_in);
}

Result<SourceText> SourceFiles::filter(std::string_view name) const {
  return last_of("filter", name, filter_folders_, added_filters_);
}
Result<SourceText> SourceFiles::preset(std::string_view name) const {
  return last_of("preset", name, preset_folders_, added_presets_);
}

Result<std::string> SourceFiles::file(std::string_view name) const {
  std::string looked_in;
  for (auto folder = file_folders_.rbegin(); folder != file_folders_.rend(); ++folder) {
    SourceText source;
    TRY_ASSIGN(const bool there, read_from(*folder, std::string(name), source));
    if (there && source.text.size() > kMaxFile)
      return sys_error_code(E2BIG, "{}: {} bytes (at most {})", source.file, source.text.size(), kMaxFile);
    if (there) return std::move(source.text);
    looked_in += (looked_in.empty() ? "" : ", ") + folder->path;
  }
  return sys_error_code(ENOENT, "no file '{}' in {}", name, looked_in.empty() ? "any folder" : looked_in);
}

Result<std::vector<std::string>> SourceFiles::profile_names() const {
  return names_in(profile_folders_, added_profiles_);
}
Result<std::vector<std::string>> SourceFiles::preset_names() const { return names_in(preset_folders_, added_presets_); }

Result<std::vector<std::string>> SourceFiles::names_in(const std::vector<OpenFolder>& folders,
                                                       const std::vector<Added>& added) {
  std::set<std::string> names;
  for (const Added& one : added) names.insert(one.name);
  for (const OpenFolder& folder : folders) {
    const int copy = ::openat(folder.fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseDirectory> directory(copy < 0 ? nullptr : ::fdopendir(copy));
    if (!directory) return sys_error("list {}", sandboxd::quoted(folder.path));
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string_view file = entry->d_name;
      if (!file.ends_with(kSuffix) || file.starts_with('.')) continue;
      const std::string_view name = file.substr(0, file.size() - kSuffix.size());
      if (!filters::is_name(name))
        return make_error("{}/{} is no name of a profile or preset: letters, digits, '-' and '_'", folder.path,
                          escaped(file));
      names.emplace(name);
    }
  }
  if (names.size() > kMaxProfiles)
    return sys_error_code(E2BIG, "{} profiles or presets (at most {})", names.size(), kMaxProfiles);
  return std::vector<std::string>(names.begin(), names.end());
}

filters::ProfileSource SourceFiles::profile_source() const {
  return [this](std::string_view name) { return profile(name); };
}
filters::Loader SourceFiles::filter_loader() const {
  return [this](std::string_view name) { return filter(name); };
}

}  // namespace sandboxd::profilec
