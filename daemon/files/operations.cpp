#include "daemon/files/operations.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/pack.h"
#include "archive/tree.h"
#include "archive/unpack.h"
#include "base/file.h"
#include "base/path.h"
#include "base/result.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace sandboxd::files {
namespace {

constexpr std::uint64_t kStandsStill = 600'000'000;  // a stream that nothing goes through for so long is given up
constexpr std::uint64_t kMostWritten = 512U << 10;
constexpr std::size_t kListPiece = 32U << 10;

using archive::Trouble;
using Words = std::span<const std::string_view>;

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}
std::string last_of(const std::string& path) { return path == "/" ? "." : path.substr(path.rfind('/') + 1); }

Result<UniqueFd> open_at(Trouble& trouble, const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
  if (!fd) return archive::failed(trouble, "open", path, errno);
  return fd;
}

Result<struct stat> regular(Trouble& trouble, const UniqueFd& fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) < 0) return archive::failed(trouble, "stat", path, errno);
  if (S_ISDIR(info.st_mode)) return archive::failed(trouble, "open", path, EISDIR);
  if (!S_ISREG(info.st_mode)) return refuse(trouble, "type", path, "not a regular file");
  return info;
}

FileType type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return FileType::kDirectory;
    case S_IFLNK: return FileType::kSymlink;
    case S_IFIFO: return FileType::kFifo;
    case S_IFSOCK: return FileType::kSocket;
    case S_IFREG: return FileType::kFile;
    default: return FileType::kDevice;
  }
}

// Zero, or an errno.
int look_at(int directory, const std::string& name, bool follow, FileEntry& entry) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0) return errno;
  entry.type = type_of(info.st_mode);
  entry.size = static_cast<std::uint64_t>(std::max<off_t>(info.st_size, 0));
  entry.mode = info.st_mode & 07777;
  const std::int64_t seconds = std::clamp<std::int64_t>(info.st_mtim.tv_sec, 0, INT64_MAX / 2'000'000);
  entry.modified = static_cast<std::uint64_t>(seconds * 1'000'000 + info.st_mtim.tv_nsec / 1000);
  if (entry.type != FileType::kSymlink) return 0;
  std::array<char, archive::kMaxName> target{};
  const ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  if (size < 0) return errno;
  entry.target.assign(target.data(), static_cast<std::size_t>(size));
  return 0;
}

class Operation {
 public:
  Operation(Words words, const Ends& ends) : words_(words), ends_(ends), path_(words[1]) {}

  Status read();
  Status write();
  Status list();
  Status stat();
  Status remove();
  Status archive();
  Status extract();

  // What is said at last.
  Answer end_of(const Status& done) {
    if (done.ok()) return {.kind = AnswerKind::kDone, .files = totals_.files, .bytes = totals_.bytes};
    if (!trouble_.limit.empty())
      return {
          .kind = AnswerKind::kRefused, .limit = trouble_.limit, .path = cut(trouble_.path), .detail = trouble_.detail};
    Answer answer{.kind = AnswerKind::kFailed, .operation = trouble_.operation, .path = cut(trouble_.path)};
    answer.code = trouble_.code;
    if (trouble_.operation.empty()) {
      answer.operation = "stream";
      answer.path = path_;
      answer.code = done.error().code;
      answer.detail = done.error().context.substr(0, 256);
    }
    return answer;
  }

 private:
  static std::string cut(const std::string& path) { return path.substr(0, archive::kMaxName); }
  Result<std::uint64_t> number(std::size_t index) {
    const auto value = parse_uint(words_[index], kMostNumber);
    return value ? Result<std::uint64_t>(*value) : failed(trouble_, "read its arguments for", path_, EINVAL);
  }
  Status say(const Answer& answer) { return write_all(ends_.output, encode_answer(answer)); }
  Result<std::string> input_of(std::uint64_t size);
  Status append_to_file(const std::string& content, mode_t mode);
  Status write_new(const std::string& content, mode_t mode, bool exclusive);
  Status fill(int fd, const std::string& content, mode_t mode);
  Status move_in(int directory, const std::string& from, const std::string& to, bool exclusive);
  // Names of the stream in front of which the path was left out.
  void complete_path(const std::string& above) {
    if (trouble_.operation.empty()) return;
    if (!trouble_.path.empty()) trouble_.path.insert(0, above == "/" ? "/" : above + "/");
    if (trouble_.path.empty()) trouble_.path = above;
  }

  Words words_;
  Ends ends_;
  std::string path_;
  Trouble trouble_{};
  archive::Totals totals_{};
};

Status Operation::read() {
  TRY_ASSIGN(const std::uint64_t asked, number(2));
  const std::uint64_t offset = std::min(asked, kMostNumber - kMostRead);  // pread(2) refuses what goes past it
  TRY_ASSIGN(const std::uint64_t length, number(3));
  TRY_ASSIGN(const UniqueFd fd, open_at(trouble_, path_, O_RDONLY));
  TRY_ASSIGN(const struct stat info, regular(trouble_, fd, path_));
  Answer answer{.kind = AnswerKind::kData, .size = static_cast<std::uint64_t>(info.st_size)};
  answer.data.resize(static_cast<std::size_t>(std::min(length, kMostRead)));
  std::size_t have = 0;
  while (have < answer.data.size()) {
    const ssize_t got =
        ::pread(fd.get(), answer.data.data() + have, answer.data.size() - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return archive::failed(trouble_, "read", path_, errno);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  // What /proc shows has no size; there only a read that comes short tells of the end.
  answer.end = have < answer.data.size() || (answer.size > 0 && offset + have >= answer.size);
  answer.data.resize(have);
  return say(answer);
}

// Before anything is made: what comes short is not written.
Result<std::string> Operation::input_of(std::uint64_t size) {
  if (size > kMostWritten) return refuse(trouble_, "size", path_, "more than {} bytes", kMostWritten);
  TRY_ASSIGN(std::string content, read_fd(ends_.input, kMostWritten));
  if (content.size() != size) return archive::failed(trouble_, "read what to write to", path_, EPIPE);
  return content;
}

Status Operation::write() {
  TRY_ASSIGN(const std::uint64_t size, number(2));
  TRY_ASSIGN(const std::uint64_t octal, number(3));
  std::uint64_t mode = 0;
  for (const char digit : words_[3]) mode = mode * 8 + static_cast<std::uint64_t>(digit - '0');
  if (octal > 777 || mode > 0777) return archive::failed(trouble_, "read its arguments for", path_, EINVAL);
  TRY_ASSIGN(const std::string content, input_of(size));
  totals_ = {1, size};
  const bool append = words_[4].find('a') != std::string_view::npos;
  const bool exclusive = words_[4].find('x') != std::string_view::npos;
  if (append && !exclusive) return append_to_file(content, static_cast<mode_t>(mode));
  return write_new(content, static_cast<mode_t>(mode), exclusive);
}

Status Operation::append_to_file(const std::string& content, mode_t mode) {
  UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd && errno == ENOENT) return write_new(content, mode, true);
  if (!fd) return archive::failed(trouble_, "open", path_, errno);
  TRY_ASSIGN(const struct stat info, regular(trouble_, fd, path_));
  const Status written = write_all(fd.get(), content);
  if (written.ok()) return {};
  // The file system filled up half way: nothing of it stays.
  if (::ftruncate(fd.get(), info.st_size) < 0) return archive::failed(trouble_, "truncate", path_, errno);
  return archive::failed(trouble_, "write", path_, written.error().code);
}

Status Operation::write_new(const std::string& content, mode_t mode, bool exclusive) {
  const UniqueFd directory(::open(parent_of(path_).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return archive::failed(trouble_, "open", parent_of(path_), errno);
  if (path_ == "/") return archive::failed(trouble_, "write", path_, EISDIR);
  TRY_ASSIGN(const std::string hidden, archive::staging_name());
  // Without a name until it is whole: who is killed meanwhile leaves nothing. It gets one through /proc (open(2)).
  UniqueFd fd(::openat(directory.get(), ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
  if (fd) {
    TRY(fill(fd.get(), content, mode));
    (void)::flock(fd.get(), LOCK_EX | LOCK_NB);  // what is locked, no copy to this place takes for left over
    const std::string self = fmt::format("/proc/self/fd/{}", fd.get());
    const std::string name = exclusive ? last_of(path_) : hidden;
    if (::linkat(AT_FDCWD, self.c_str(), directory.get(), name.c_str(), AT_SYMLINK_FOLLOW) < 0) {
      if (errno == EEXIST) return archive::failed(trouble_, "create", path_, errno);
      fd.reset();  // a file system, or a jail's rules, that can't
    } else if (exclusive) {
      return {};
    }
  }
  Status done;
  if (!fd) {
    fd.reset(::openat(directory.get(), hidden.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return archive::failed(trouble_, "create", path_, errno);
    (void)::flock(fd.get(), LOCK_EX | LOCK_NB);
    done = fill(fd.get(), content, mode);
  }
  if (done.ok()) done = move_in(directory.get(), hidden, last_of(path_), exclusive);
  if (!done.ok()) (void)::unlinkat(directory.get(), hidden.c_str(), 0);
  return done;
}

Status Operation::fill(int fd, const std::string& content, mode_t mode) {
  if (const Status written = write_all(fd, content); !written.ok())
    return archive::failed(trouble_, "write", path_, written.error().code);
  if (::fchmod(fd, mode) < 0) return archive::failed(trouble_, "chmod", path_, errno);
  return {};
}

Status Operation::move_in(int directory, const std::string& from, const std::string& to, bool exclusive) {
  if (!exclusive) {
    if (::renameat(directory, from.c_str(), directory, to.c_str()) == 0) return {};
    return archive::failed(trouble_, "replace", path_, errno);
  }
  if (::renameat2(directory, from.c_str(), directory, to.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno != EINVAL) return archive::failed(trouble_, "create", path_, errno);
  // A file system that can't say so in one step can make a second name.
  if (::linkat(directory, from.c_str(), directory, to.c_str(), 0) < 0)
    return archive::failed(trouble_, "create", path_, errno);
  (void)::unlinkat(directory, from.c_str(), 0);
  return {};
}

Status Operation::list() {
  TRY_ASSIGN(const UniqueFd directory, open_at(trouble_, path_, O_RDONLY | O_DIRECTORY));
  auto names = archive::names_in(directory.get(), kMostListed);
  if (!names.ok() && names.error().code == EOVERFLOW)
    return refuse(trouble_, "entries", path_, "more than {} entries", kMostListed);
  if (!names.ok()) return archive::failed(trouble_, "list", path_, names.error().code);
  std::string pending;
  for (std::string& name : *names) {
    Answer answer{.kind = AnswerKind::kEntry};
    const int code = look_at(directory.get(), name, false, answer.entry);
    if (code == ENOENT) continue;  // gone meanwhile
    if (code != 0) return archive::failed(trouble_, "stat", path_ + "/" + name, code);
    answer.entry.name = std::move(name);
    pending += encode_answer(answer);
    if (pending.size() < kListPiece) continue;
    TRY(write_all(ends_.output, pending));
    pending.clear();
  }
  return write_all(ends_.output, pending);
}

Status Operation::stat() {
  Answer answer{.kind = AnswerKind::kEntry};
  const int code = look_at(AT_FDCWD, path_, words_[2] == "1", answer.entry);
  if (code != 0) return archive::failed(trouble_, "stat", path_, code);
  answer.entry.name = path_ == "/" ? "root" : last_of(path_);
  return say(answer);
}

Status Operation::remove() {
  const UniqueFd directory(::open(parent_of(path_).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return archive::failed(trouble_, "open", parent_of(path_), errno);
  const std::string name = last_of(path_);
  if (path_ == "/") return archive::failed(trouble_, "remove", path_, EBUSY);
  if (words_[2] == "1") {
    auto removed = archive::remove_tree(directory.get(), name);
    if (!removed.ok() && removed.error().code == EOVERFLOW)
      return refuse(trouble_, "depth", path_, "more than {} directories deep", archive::kMostNested);
    if (!removed.ok()) return archive::failed(trouble_, "remove", path_, removed.error().code);
    return *removed ? Status() : archive::failed(trouble_, "remove", path_, ENOENT);
  }
  if (::unlinkat(directory.get(), name.c_str(), 0) == 0) return {};
  if (errno != EISDIR && errno != EPERM) return archive::failed(trouble_, "remove", path_, errno);
  if (::unlinkat(directory.get(), name.c_str(), AT_REMOVEDIR) == 0) return {};
  return archive::failed(trouble_, "remove", path_, errno);
}

Status Operation::archive() {
  const std::string above = parent_of(path_);
  const std::string name = last_of(path_);
  const UniqueFd directory(::open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return archive::failed(trouble_, "open", above, errno);
  archive::FdSink sink(ends_.output, {.each = kStandsStill});
  // How much is too much the receiver says, who can't rely on what is done here.
  const archive::Limits limits{.size = kMostNumber, .entries = 10'000'000, .depth = archive::kMostNested};
  Status done = archive::pack(directory.get(), name, name == "." ? "root" : name, /*follow=*/true, sink, limits,
                              totals_, trouble_);
  if (!done.ok()) complete_path(above);
  return done;
}

Status Operation::extract() {
  archive::UnpackOptions options;
  TRY_ASSIGN(options.limits.size, number(2));
  TRY_ASSIGN(options.limits.entries, number(3));
  TRY_ASSIGN(const std::uint64_t depth, number(4));
  options.limits.depth = static_cast<std::uint32_t>(std::min<std::uint64_t>(depth, archive::kMostNested));
  options.umask = ::umask(077);
  TRY_ASSIGN(const UniqueFd place, open_at(trouble_, path_, O_RDONLY | O_DIRECTORY));
  archive::FdSource source(ends_.input, {.each = kStandsStill});
  Status done = archive::unpack(source, place.get(), options, totals_, trouble_);
  if (!done.ok()) complete_path(path_);
  return done;
}

struct Row {
  std::string_view name;
  std::size_t words;
  Status (Operation::*run)();
};
constexpr std::array kOperations = {
    Row{"read", 4, &Operation::read},       Row{"write", 5, &Operation::write},
    Row{"list", 2, &Operation::list},       Row{"stat", 3, &Operation::stat},
    Row{"remove", 3, &Operation::remove},   Row{"archive", 2, &Operation::archive},
    Row{"extract", 5, &Operation::extract},
};

}  // namespace

int run_operation(Words words, const Ends& ends) {
  const auto row = std::ranges::find_if(
      kOperations, [&](const Row& one) { return !words.empty() && one.name == words[0] && one.words == words.size(); });
  if (row == kOperations.end() || !is_canonical_path(words[1])) return 2;
  Operation operation(words, ends);
  const Status done = (operation.*row->run)();
  const int where = row->name == "archive" ? ends.error : ends.output;
  const Status said = write_all(where, encode_answer(operation.end_of(done)));
  return done.ok() && said.ok() ? 0 : 1;
}

}  // namespace sandboxd::files
