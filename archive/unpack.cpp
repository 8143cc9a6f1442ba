#include "archive/unpack.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <map>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/place.h"
#include "archive/tar_reader.h"
#include "archive/tree.h"
#include "base/file.h"
#include "base/text.h"

namespace sandboxd::archive {
namespace {

constexpr std::size_t kMostDirectoryNames = 32U << 20;  // bytes, of all directories together

std::string_view parent_of(std::string_view name) {
  const std::size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : name.substr(0, slash);
}
std::string last_of(std::string_view name) { return std::string(name.substr(name.rfind('/') + 1)); }

std::array<timespec, 2> times_of(std::int64_t mtime) { return {timespec{0, UTIME_OMIT}, timespec{mtime, 0}}; }

class Filling {
 public:
  Filling(int top, TarReader& reader, const UnpackOptions& options, Trouble& trouble)
      : top_(top), reader_(reader), options_(options), trouble_(trouble) {}

  Status run() {
    Entry entry;
    for (;;) {
      TRY_ASSIGN(const bool more, reader_.next(entry));
      if (!more) break;
      TRY(make(entry));
    }
    // What a directory holds changes its time.
    for (auto known = directories_.rbegin(); known != directories_.rend(); ++known) {
      if (!known->second.said) continue;
      TRY_ASSIGN(const int parent, open_known(parent_of(known->first)));
      const auto times = times_of(known->second.mtime);
      if (::utimensat(parent, last_of(known->first).c_str(), times.data(), AT_SYMLINK_NOFOLLOW) < 0)
        return failed(trouble_, "set the time of", known->first, errno);
    }
    return {};
  }

 private:
  struct Known {
    bool said = false;  // by an entry of its own
    std::int64_t mtime = 0;
  };

  Error twice(const std::string& name) { return refuse(trouble_, "duplicate", name, "it is in the stream twice"); }

  Status make(const Entry& entry) {
    TRY_ASSIGN(const int parent, parent_for(entry.name));
    const std::string last = last_of(entry.name);
    switch (entry.type) {
      case EntryType::kDirectory: return directory(parent, last, entry);
      case EntryType::kFile: return file(parent, last, entry);
      case EntryType::kSymlink: return symlink(parent, last, entry);
      case EntryType::kHardLink: return hard_link(last, entry);
    }
    return {};
  }

  // Every directory that is opened here was made here.
  Result<int> open_known(std::string_view path) {
    if (path.empty()) return top_;
    if (last_directory_ && last_path_ == path) return last_directory_.get();
    UniqueFd at;
    int from = top_;
    for (std::string_view rest = path; !rest.empty();) {
      const std::size_t slash = rest.find('/');
      auto step = open_step(from, std::string(rest.substr(0, slash)));
      if (!step.ok()) return failed(trouble_, "open", path, step.error().code);
      at = std::move(step).value();
      from = at.get();
      rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    }
    last_path_ = path;
    last_directory_ = std::move(at);
    return last_directory_.get();
  }

  // Makes what is missing above `name`.
  Result<int> parent_for(std::string_view name) {
    const std::string_view parent = parent_of(name);
    for (std::size_t end = parent.find('/'); !parent.empty(); end = parent.find('/', end + 1)) {
      const std::string_view path = parent.substr(0, end);
      if (!directories_.contains(path)) {
        TRY_ASSIGN(const int above, open_known(parent_of(path)));
        if (::mkdirat(above, last_of(path).c_str(), 0777 & ~options_.umask) < 0) {
          if (errno == EEXIST) return refuse(trouble_, "duplicate", path, "it is not a directory, and then it is one");
          return failed(trouble_, "mkdir", path, errno);
        }
        TRY(remember(path, {}));
      }
      if (end == std::string_view::npos) break;
    }
    return open_known(parent);
  }

  Status remember(std::string_view path, Known known) {
    name_bytes_ += path.size();
    if (directories_.size() >= options_.limits.entries)
      return refuse(trouble_, "entries", path, "more than {} entries", options_.limits.entries);
    if (name_bytes_ > kMostDirectoryNames)
      return refuse(trouble_, "name", path, "the directories' names are longer than {} bytes", kMostDirectoryNames);
    directories_.emplace(path, known);
    return {};
  }

  Status directory(int parent, const std::string& last, const Entry& entry) {
    const mode_t mode = (entry.mode & ~options_.umask) | 0700;
    const Known known{true, entry.mtime};
    if (const auto found = directories_.find(entry.name); found != directories_.end()) {
      if (found->second.said) return twice(entry.name);
      found->second = known;
    } else {
      if (::mkdirat(parent, last.c_str(), 0700) < 0)
        return errno == EEXIST ? twice(entry.name) : failed(trouble_, "mkdir", entry.name, errno);
      TRY(remember(entry.name, known));
    }
    auto made = open_step(parent, last);
    if (!made.ok()) return failed(trouble_, "open", entry.name, made.error().code);
    if (::fchmod(made->get(), mode) < 0) return failed(trouble_, "chmod", entry.name, errno);
    return {};
  }

  Status file(int parent, const std::string& last, const Entry& entry) {
    const UniqueFd fd(::openat(parent, last.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return errno == EEXIST ? twice(entry.name) : failed(trouble_, "create", entry.name, errno);
    for (;;) {
      TRY_ASSIGN(const std::size_t got, reader_.read(buffer_));
      if (got == 0) break;
      const Status written = write_all(fd.get(), {buffer_.data(), got});
      if (!written.ok()) return failed(trouble_, "write", entry.name, written.error().code);
    }
    if (::fchmod(fd.get(), entry.mode & ~options_.umask) < 0) return failed(trouble_, "chmod", entry.name, errno);
    if (::futimens(fd.get(), times_of(entry.mtime).data()) < 0)
      return failed(trouble_, "set the time of", entry.name, errno);
    return {};
  }

  Status symlink(int parent, const std::string& last, const Entry& entry) {
    if (::symlinkat(entry.link.c_str(), parent, last.c_str()) < 0)
      return errno == EEXIST ? twice(entry.name) : failed(trouble_, "symlink", entry.name, errno);
    if (::utimensat(parent, last.c_str(), times_of(entry.mtime).data(), AT_SYMLINK_NOFOLLOW) < 0)
      return failed(trouble_, "set the time of", entry.name, errno);
    return {};
  }

  // To a file that came before it.
  Status hard_link(const std::string& last, const Entry& entry) {
    const std::string_view target_parent = parent_of(entry.link);
    const auto no_file = [&] {
      return refuse(trouble_, "link", entry.name, "a hard link to {}, which is no file before it", quoted(entry.link));
    };
    if (!target_parent.empty() && !directories_.contains(target_parent)) return no_file();
    TRY_ASSIGN(const int from_known, open_known(target_parent));
    const UniqueFd from(::openat(from_known, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!from) return failed(trouble_, "open", entry.link, errno);
    struct stat info {};
    const std::string target = last_of(entry.link);
    if (::fstatat(from.get(), target.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(info.st_mode))
      return no_file();
    TRY_ASSIGN(const int parent, open_known(parent_of(entry.name)));
    if (::linkat(from.get(), target.c_str(), parent, last.c_str(), 0) < 0)
      return errno == EEXIST ? twice(entry.name) : failed(trouble_, "link", entry.name, errno);
    return {};
  }

  int top_;
  TarReader& reader_;
  const UnpackOptions& options_;
  Trouble& trouble_;
  std::map<std::string, Known, std::less<>> directories_{};
  std::size_t name_bytes_ = 0;
  std::string last_path_{};
  UniqueFd last_directory_{};
  std::array<char, 64U << 10> buffer_{};
};

// The one thing at the top of the stream.
Result<std::string> only_name(int staged, Trouble& trouble) {
  auto names = names_in(staged, 2);
  if (!names.ok() && names.error().code != EOVERFLOW) return failed(trouble, "list", "", names.error().code);
  if (names.ok() && names->size() == 1) return names->front();
  return refuse(trouble, "format", "", "one thing should be at its top, and there are {}",
                names.ok() ? names->size() : 3);
}

Status place_staged(int staged, int place, const UnpackOptions& options, Trouble& trouble) {
  if (!options.as && !options.contents) return put_in_place(staged, place, trouble);
  TRY_ASSIGN(const std::string name, only_name(staged, trouble));
  if (options.contents) {
    auto inner = open_step(staged, name);
    if (!inner.ok()) return failed(trouble, "open", name, inner.error().code);
    return put_in_place(inner->get(), place, trouble);
  }
  if (name != *options.as && ::renameat(staged, name.c_str(), staged, options.as->c_str()) < 0)
    return failed(trouble, "rename", *options.as, errno);
  return put_in_place(staged, place, trouble);
}

}  // namespace

Status unpack(Source& source, int place, const UnpackOptions& options, Totals& totals, Trouble& trouble) {
  auto staging = Staging::make(place);
  if (!staging.ok()) return failed(trouble, "make a hidden directory in", "", staging.error().code);
  TarReader reader(source, options.limits, trouble, options.contents ? 1 : 0);
  TRY(Filling(staging->fd(), reader, options, trouble).run());
  TRY(place_staged(staging->fd(), place, options, trouble));
  totals = reader.totals();
  return {};
}

}  // namespace sandboxd::archive
