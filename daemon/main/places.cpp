#include "daemon/main/places.h"

#include <array>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/path.h"
#include "base/prompt_release.h"
#include "base/socket.h"
#include "base/text.h"

namespace sandboxd::main {
namespace {

enum class Owner : std::uint8_t { kRoot, kSandboxd };

struct SocketRow {
  std::string_view name;
  int type;
  mode_t mode;
  Owner owner;
  std::string_view why;
};
constexpr std::array kSockets = {
    SocketRow{"sandboxd", SOCK_STREAM, 0666, Owner::kRoot, "any local user is a client"},
    SocketRow{"admin", SOCK_STREAM, 0600, Owner::kRoot, "admins' verbs"},
    SocketRow{"broker", SOCK_SEQPACKET, 0666, Owner::kRoot, "any local user hands descriptors in"},
    SocketRow{"broker-admin", SOCK_SEQPACKET, 0600, Owner::kRoot, "the only way to uid 0's files"},
    SocketRow{"broker-claim", SOCK_SEQPACKET, 0600, Owner::kRoot, "launch children take them out"},
    SocketRow{"launcher", SOCK_SEQPACKET, 0600, Owner::kSandboxd, "plans"},
    SocketRow{"audit", SOCK_SEQPACKET, 0600, Owner::kSandboxd, "sandboxd's records"},
    SocketRow{"audit-launcher", SOCK_SEQPACKET, 0600, Owner::kRoot,
              "the launcher's records; the socket says whose they are"},
};
constexpr int kBacklog = 1024;

struct CloseDir {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

Result<UniqueFd> open_directory(int parent, const std::string& path) {
  UniqueFd directory(::openat(parent, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory) return sys_error("open {}", quoted(path));
  return directory;
}

// A directory of root's own; the lock keeps a second daemon out.
Result<UniqueFd> make_root_directory(const std::string& path) {
  if (!is_canonical_path(path))
    return sys_error_code(EINVAL, "directory {} is not a canonical absolute path", quoted(path));
  if (::mkdir(path.c_str(), 0755) < 0 && errno != EEXIST) return sys_error("mkdir {}", quoted(path));
  TRY_ASSIGN(UniqueFd directory, open_directory(AT_FDCWD, path));
  TRY(check_root_owned(directory.get(), path));
  if (::fchmod(directory.get(), 0755) < 0) return sys_error("chmod {}", quoted(path));
  if (::flock(directory.get(), LOCK_EX | LOCK_NB) < 0) {
    return errno == EWOULDBLOCK ? make_error("another sandboxd uses {}", quoted(path))
                                : sys_error("lock {}", quoted(path));
  }
  return directory;
}

// The log's owner is an id of the slice, which may be another one at this start. Links are not followed, and only files that
// were the log's are changed: one link count each, an owner of the pool.
Status take_over_file(int directory, const char* name, uid_t owner) {
  const UniqueFd file(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return sys_error("open {}", quoted(name));
  struct stat info {};
  if (::fstat(file.get(), &info) < 0) return sys_error("fstat {}", quoted(name));
  if (info.st_uid == owner) return {};
  const bool directory_of_ours = S_ISDIR(info.st_mode);
  if (!is_pool_id(info.st_uid) || (!directory_of_ours && (!S_ISREG(info.st_mode) || info.st_nlink != 1))) {
    return sys_error_code(EPERM, "{} in the audit log's directory is not a file of the log", quoted(name));
  }
  if (::fchown(file.get(), owner, owner) < 0) return sys_error("chown {}", quoted(name));
  return {};
}

Status take_over_log(UniqueFd directory, uid_t owner, int depth) {
  const int fd = directory.get();
  const std::unique_ptr<DIR, CloseDir> list(::fdopendir(directory.release()));
  if (!list) return sys_error("fdopendir");
  while (const dirent* entry = ::readdir(list.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (entry->d_type == DT_DIR && depth < 4) {
      TRY_ASSIGN(UniqueFd below, open_directory(fd, name));
      TRY(take_over_log(std::move(below), owner, depth + 1));
    }
    TRY(take_over_file(fd, name.c_str(), owner));
  }
  return {};
}

Status make_audit_directory(int state, uid_t owner) {
  if (::mkdirat(state, "audit", 0700) < 0 && errno != EEXIST) return sys_error("mkdir 'audit'");
  TRY_ASSIGN(const UniqueFd directory, open_directory(state, "audit"));
  struct stat info {};
  if (::fstat(directory.get(), &info) < 0) return sys_error("fstat 'audit'");
  if (info.st_uid == owner) return {};
  if (info.st_uid != 0 && !is_pool_id(info.st_uid))
    return sys_error_code(EPERM, "the audit log's directory belongs to uid {}", info.st_uid);
  TRY_ASSIGN(UniqueFd walk, open_directory(state, "audit"));
  TRY(take_over_log(std::move(walk), owner, 0));
  if (::fchown(directory.get(), owner, owner) < 0 || ::fchmod(directory.get(), 0700) < 0)
    return sys_error("chown 'audit'");
  return {};
}

// sandboxd's own, emptied by it at its start: jobs' logs do not outlive the daemon that knows whose they are.
Status make_log_directory(int state, uid_t owner) {
  if (::mkdirat(state, "logs", 0700) < 0 && errno != EEXIST) return sys_error("mkdir 'logs'");
  TRY_ASSIGN(const UniqueFd directory, open_directory(state, "logs"));
  struct stat info {};
  if (::fstat(directory.get(), &info) < 0) return sys_error("fstat 'logs'");
  if (info.st_uid == owner) return {};
  if (info.st_uid != 0 && !is_pool_id(info.st_uid))
    return sys_error_code(EPERM, "the directory 'logs' belongs to uid {}", info.st_uid);
  if (::fchown(directory.get(), owner, owner) < 0 || ::fchmod(directory.get(), 0700) < 0)
    return sys_error("chown 'logs'");
  return {};
}

}  // namespace

Places::~Places() {
  for (const Socket& socket : sockets_) ::unlink(path_of(socket.name).c_str());
}

Result<Places> Places::make(const std::string& runtime_dir, const std::string& state_dir, std::uint32_t slice_first) {
  Places places;
  places.runtime_dir_ = runtime_dir;
  TRY_ASSIGN(places.runtime_lock_, make_root_directory(runtime_dir));
  TRY_ASSIGN(places.state_lock_, make_root_directory(state_dir));
  TRY(make_audit_directory(places.state_lock_.get(), own_id(slice_first, OwnId::kAudit)));
  TRY(make_log_directory(places.state_lock_.get(), own_id(slice_first, OwnId::kSandboxd)));
  for (const SocketRow& row : kSockets) {
    const uid_t owner = row.owner == Owner::kRoot ? 0 : own_id(slice_first, OwnId::kSandboxd);
    TRY_ASSIGN(UniqueFd fd, listen_unix(places.path_of(row.name), row.type, row.mode, owner, kBacklog));
    if (!row.name.starts_with("broker")) refuse_descriptors(fd.get());  // they go the other way, or none do
    places.sockets_.push_back({std::string(row.name), std::move(fd)});
  }
  return places;
}

int Places::socket(std::string_view name) const {
  for (const Socket& socket : sockets_) {
    if (socket.name == name) return socket.fd.get();
  }
  return -1;
}

std::string Places::path_of(std::string_view name) const { return fmt::format("{}/{}.sock", runtime_dir_, name); }

}  // namespace sandboxd::main
