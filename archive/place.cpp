#include "archive/place.h"

#include <cerrno>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tree.h"
#include "base/text.h"

namespace sandboxd::archive {
namespace {

constexpr std::size_t kMostNames = 10'000'000;  // the reader's limit has counted them

struct Move {
  std::string path{};  // below both
  bool exchanged = false;
};

std::string joined(const std::string& path, const std::string& name) { return path.empty() ? name : path + "/" + name; }

// The directory that holds `path`, no link followed.
Result<UniqueFd> open_parent(int top, std::string_view path, std::string& name) {
  UniqueFd at(::openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at) return sys_error("open");
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
    TRY_ASSIGN(at, open_step(at.get(), std::string(path.substr(0, slash))));
    path.remove_prefix(slash + 1);
  }
  name = path;
  return at;
}

// What lies there; nothing when there is nothing.
Result<std::optional<mode_t>> mode_at(int directory, const std::string& name) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return std::optional<mode_t>(info.st_mode);
  if (errno == ENOENT) return std::optional<mode_t>();
  return sys_error("stat");
}

class Placing {
 public:
  Placing(int staged, int place, Trouble& trouble) : staged_(staged), place_(place), trouble_(trouble) {}

  // Twice over the same tree: what can be seen beforehand is seen before anything has moved.
  Status run() {
    TRY(walk(staged_, place_, "", false));
    Status done = walk(staged_, place_, "", true);
    if (!done.ok()) undo();
    return done;
  }

 private:
  Status walk(int from, int to, const std::string& path, bool moving) {
    auto names = names_in(from, kMostNames);
    if (!names.ok()) return failed(trouble_, "list", path, names.error().code);
    for (const std::string& name : *names) TRY(one(from, to, name, joined(path, name), moving));
    return {};
  }

  Status one(int from, int to, const std::string& name, const std::string& path, bool moving) {
    const auto ours = mode_at(from, name);
    const auto theirs = mode_at(to, name);
    if (!ours.ok() || !theirs.ok())
      return failed(trouble_, "stat", path, ours.ok() ? theirs.error().code : ours.error().code);
    if (!*ours) return failed(trouble_, "stat", path, ENOENT);
    if (!*theirs) return moving ? move(from, to, name, path, false) : Status();
    if (S_ISDIR(**ours) != S_ISDIR(**theirs))
      return failed(trouble_, "replace", path, S_ISDIR(**theirs) ? EISDIR : ENOTDIR);
    if (!S_ISDIR(**ours)) return moving ? move(from, to, name, path, true) : Status();
    auto below_from = open_step(from, name);
    auto below_to = open_step(to, name);
    if (!below_from.ok() || !below_to.ok())
      return failed(trouble_, "open", path, below_from.ok() ? below_to.error().code : below_from.error().code);
    return walk(below_from->get(), below_to->get(), path, moving);
  }

  Status move(int from, int to, const std::string& name, const std::string& path, bool exchange) {
    const unsigned flags = exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (::renameat2(from, name.c_str(), to, name.c_str(), flags) < 0) {
      // File systems without these flags (NFS): the name is free for a moment.
      if (errno != EINVAL) return failed(trouble_, "rename", path, errno);
      TRY(move_plainly(from, to, name, path, exchange));
    }
    moves_.push_back({path, exchange});
    return {};
  }

  Status move_plainly(int from, int to, const std::string& name, const std::string& path, bool exchange) {
    std::string aside;
    if (exchange) {
      TRY_ASSIGN(aside, staging_name());
      if (::renameat(to, name.c_str(), from, aside.c_str()) < 0) return failed(trouble_, "rename", path, errno);
    }
    if (::renameat(from, name.c_str(), to, name.c_str()) < 0) {
      const int code = errno;
      if (exchange) (void)::renameat(from, aside.c_str(), to, name.c_str());
      return failed(trouble_, "rename", path, code);
    }
    if (exchange && ::renameat(from, aside.c_str(), from, name.c_str()) < 0)
      return failed(trouble_, "rename", path, errno);
    return {};
  }

  // The last first. What others changed in the meantime stays as they left it.
  void undo() {
    for (auto move = moves_.rbegin(); move != moves_.rend(); ++move) {
      std::string name;
      const auto from = open_parent(staged_, move->path, name);
      const auto to = open_parent(place_, move->path, name);
      if (!from.ok() || !to.ok()) continue;
      if (!move->exchanged) {
        (void)::renameat(to->get(), name.c_str(), from->get(), name.c_str());
      } else if (::renameat2(from->get(), name.c_str(), to->get(), name.c_str(), RENAME_EXCHANGE) < 0) {
        // What was there before lies in the staging directory.
        (void)::renameat(from->get(), name.c_str(), to->get(), name.c_str());
      }
    }
  }

  int staged_;
  int place_;
  Trouble& trouble_;
  std::vector<Move> moves_{};
};

}  // namespace

Status put_in_place(int staged, int place, Trouble& trouble) { return Placing(staged, place, trouble).run(); }

}  // namespace sandboxd::archive
