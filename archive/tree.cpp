#include "archive/tree.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace sandboxd::archive {
namespace {

constexpr std::size_t kMostSwept = 1000;
constexpr std::size_t kStagingRandom = 8;
constexpr int kTries = 8;

struct CloseDir {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};
using DirStream = std::unique_ptr<DIR, CloseDir>;

Result<DirStream> stream_of(int directory) {
  UniqueFd again(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return sys_error("open");
  DirStream stream(::fdopendir(again.get()));
  if (!stream) return sys_error("fdopendir");
  (void)again.release();
  return stream;
}

Result<bool> remove_at(int parent, const std::string& name, std::uint32_t depth);

Status empty(int parent, const std::string& name, std::uint32_t depth) {
  if (depth >= kMostNested) return sys_error_code(EOVERFLOW, "more than {} directories deep", kMostNested);
  TRY_ASSIGN(const UniqueFd directory, open_step(parent, name));
  // In rounds, so that a directory of any size needs little memory; a round that removes nothing is the last.
  for (;;) {
    TRY_ASSIGN(const DirStream list, stream_of(directory.get()));
    bool removed = false;
    errno = 0;
    while (const dirent* entry = ::readdir(list.get())) {
      const std::string below = entry->d_name;
      if (below == "." || below == "..") continue;
      TRY_ASSIGN(const bool one, remove_at(directory.get(), below, depth + 1));
      removed = removed || one;
      errno = 0;
    }
    if (errno != 0) return sys_error("readdir");
    if (!removed) return {};
  }
}

Result<bool> remove_at(int parent, const std::string& name, std::uint32_t depth) {
  if (::unlinkat(parent, name.c_str(), 0) == 0) return true;
  if (errno == ENOENT) return false;
  const int first = errno;
  struct stat info {};
  if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return sys_error("stat {}", quoted(name));
  if (!S_ISDIR(info.st_mode)) return sys_error_code(first, "unlink {}", quoted(name));
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return true;
  if (errno != ENOTEMPTY && errno != EEXIST) return sys_error("rmdir {}", quoted(name));
  TRY(empty(parent, name, depth));
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) < 0) return sys_error("rmdir {}", quoted(name));
  return true;
}

bool is_staging_name(std::string_view name) {
  if (!name.starts_with(kStagingStart)) return false;
  name.remove_prefix(kStagingStart.size());
  return name.size() == 2 * kStagingRandom && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Those of the caller's whose lock nobody holds: directories, and files that a write was killed before it had renamed.
void sweep(int parent) {
  const auto list = stream_of(parent);
  if (!list.ok()) return;
  std::vector<std::string> found;
  while (const dirent* entry = ::readdir(list->get())) {
    if (is_staging_name(entry->d_name)) found.emplace_back(entry->d_name);
    if (found.size() >= kMostSwept) break;
  }
  for (const std::string& name : found) {
    const UniqueFd left(::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    struct stat info {};
    if (!left || ::fstat(left.get(), &info) < 0 || info.st_uid != ::geteuid()) continue;
    if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) continue;
    // What can't be removed now stays for the next time: it harms nothing.
    if (::flock(left.get(), LOCK_EX | LOCK_NB) == 0) (void)remove_tree(parent, name).ok();
  }
}

}  // namespace

Result<UniqueFd> open_step(int parent, const std::string& name) {
  UniqueFd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return sys_error("open {}", quoted(name));
  return directory;
}

Result<std::vector<std::string>> names_in(int directory, std::size_t most) {
  TRY_ASSIGN(const DirStream list, stream_of(directory));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(list.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() >= most) return sys_error_code(EOVERFLOW, "more than {} entries", most);
    names.emplace_back(name);
  }
  if (errno != 0) return sys_error("readdir");
  std::ranges::sort(names);
  return names;
}

Result<bool> remove_tree(int parent, const std::string& name) { return remove_at(parent, name, 0); }

Result<std::string> staging_name() {
  std::array<std::uint8_t, kStagingRandom> random{};
  if (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return sys_error("getrandom");
  return std::string(kStagingStart) + hex(random);
}

Staging& Staging::operator=(Staging&& other) noexcept {
  end();
  parent_ = other.parent_;
  name_ = std::move(other.name_);
  fd_ = std::move(other.fd_);
  return *this;
}

Result<Staging> Staging::make(int parent) {
  sweep(parent);
  Staging made;
  made.parent_ = parent;
  for (int i = 0; i < kTries; ++i) {
    TRY_ASSIGN(const std::string name, staging_name());
    if (::mkdirat(parent, name.c_str(), 0700) < 0) {
      if (errno == EEXIST) continue;
      return sys_error("mkdir");
    }
    auto directory = open_step(parent, name);
    // A sweep of somebody else came between the two: once more.
    if (!directory.ok() && directory.error().code == ENOENT) continue;
    if (!directory.ok()) return std::move(directory).error();
    made.fd_ = std::move(directory).value();
    made.name_ = name;
    struct stat info {};
    const bool ours = ::flock(made.fd_.get(), LOCK_EX | LOCK_NB) == 0 && ::fstat(made.fd_.get(), &info) == 0;
    if (ours && info.st_nlink > 0) return made;
  }
  return sys_error_code(EAGAIN, "make a hidden directory");
}

void Staging::end() noexcept {
  if (!fd_) return;
  (void)remove_tree(parent_, name_).ok();  // the next sweep tries it again
  fd_.reset();
}

}  // namespace sandboxd::archive
