#include "archive/pack.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tar_writer.h"
#include "archive/tree.h"

namespace sandboxd::archive {
namespace {

class Packing {
 public:
  Packing(Sink& sink, const Limits& limits, Totals& totals, Trouble& trouble)
      : out_(sink), limits_(limits), totals_(totals), trouble_(trouble) {}

  Status add(int parent, const std::string& name, const std::string& as, bool follow) {
    struct stat info {};
    if (::fstatat(parent, name.c_str(), &info, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
      return failed(trouble_, "stat", as, errno);
    if (as.empty() && !S_ISDIR(info.st_mode)) return failed(trouble_, "open", as, ENOTDIR);
    if (!as.empty()) TRY(check(as, info.st_mode));
    if (S_ISLNK(info.st_mode)) return symlink(parent, name, as, info);
    // A FIFO that has taken a file's place meanwhile must not make us wait.
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    const UniqueFd fd(::openat(parent, name.c_str(), flags));
    if (!fd) return failed(trouble_, "open", as, errno);
    if (::fstat(fd.get(), &info) < 0) return failed(trouble_, "stat", as, errno);
    if (S_ISDIR(info.st_mode)) return directory(fd.get(), as, info);
    if (S_ISREG(info.st_mode)) return file(fd.get(), as, info);
    return refuse(trouble_, "type", as, "neither file, directory nor symlink");
  }
  Status finish() { return out_.finish(); }

 private:
  Status check(const std::string& as, mode_t mode) {
    if (!S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode))
      return refuse(trouble_, "type", as, "neither file, directory nor symlink");
    if (!is_good_name(as)) return refuse(trouble_, "name", as, "longer than a name may be");
    if (depth_of(as) > limits_.depth)
      return refuse(trouble_, "depth", as, "more than {} directories deep", limits_.depth);
    if (++entries_ > limits_.entries) return refuse(trouble_, "entries", as, "more than {} entries", limits_.entries);
    totals_.files += S_ISDIR(mode) ? 0 : 1;
    return {};
  }

  static Entry entry_of(EntryType type, const std::string& as, const struct stat& info) {
    return {.type = type, .name = as, .mode = info.st_mode & 0777U, .mtime = info.st_mtim.tv_sec};
  }

  Status symlink(int parent, const std::string& name, const std::string& as, const struct stat& info) {
    std::string target(kMaxName + 1, '\0');
    const ssize_t size = ::readlinkat(parent, name.c_str(), target.data(), target.size());
    if (size < 0) return failed(trouble_, "readlink", as, errno);
    if (static_cast<std::size_t>(size) > kMaxName) return refuse(trouble_, "link", as, "longer than a link may be");
    Entry entry = entry_of(EntryType::kSymlink, as, info);
    entry.link = target.substr(0, static_cast<std::size_t>(size));
    return out_.add(entry);
  }

  Status directory(int fd, const std::string& as, const struct stat& info) {
    if (!as.empty()) TRY(out_.add(entry_of(EntryType::kDirectory, as, info)));
    auto names = names_in(fd, static_cast<std::size_t>(limits_.entries));
    if (!names.ok() && names.error().code == EOVERFLOW)
      return refuse(trouble_, "entries", as, "more than {} entries", limits_.entries);
    if (!names.ok()) return failed(trouble_, "list", as, names.error().code);
    for (const std::string& name : *names) TRY(add(fd, name, as.empty() ? name : as + "/" + name, false));
    return {};
  }

  Status file(int fd, const std::string& as, const struct stat& info) {
    Entry entry = entry_of(EntryType::kFile, as, info);
    entry.size = static_cast<std::uint64_t>(info.st_size);
    if (entry.size > limits_.size || totals_.bytes > limits_.size - entry.size)
      return refuse(trouble_, "size", as, "more than {} bytes in all", limits_.size);
    totals_.bytes += entry.size;
    TRY(out_.add(entry));
    std::array<char, 64U << 10> buffer;
    for (std::uint64_t left = entry.size; left > 0;) {
      const ssize_t got =
          ::read(fd, buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer.size())));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failed(trouble_, "read", as, errno);
      if (got == 0) return refuse(trouble_, "size", as, "it became shorter while it was read");
      TRY(out_.data({buffer.data(), static_cast<std::size_t>(got)}));
      left -= static_cast<std::uint64_t>(got);
    }
    return {};
  }

  TarWriter out_;
  Limits limits_;
  Totals& totals_;
  Trouble& trouble_;
  std::uint64_t entries_ = 0;
};

}  // namespace

Status pack(int parent, const std::string& name, const std::string& as, bool follow, Sink& sink, const Limits& limits,
            Totals& totals, Trouble& trouble) {
  Packing packing(sink, limits, totals, trouble);
  TRY(packing.add(parent, name, as, follow));
  return packing.finish();
}

}  // namespace sandboxd::archive
