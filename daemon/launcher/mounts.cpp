#include "daemon/launcher/mounts.h"

#include <cerrno>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "daemon/launcher/fault.h"

namespace sandboxd::launcher {
namespace {

Result<UniqueFd> open_resolved(int root, const char* path, std::uint64_t flags, std::uint64_t resolve, unsigned mode) {
  struct open_how how {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how)));
  if (!fd) return sys_error("open {} in the jail's root", quoted(path));
  return fd;
}

// Parent directory and last part of a canonical path.
std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Result<UniqueFd> clone_tree(int fd, const char* path, bool recursive) {
  const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW |
                         (*path == '\0' ? AT_EMPTY_PATH : 0U) | (recursive ? AT_RECURSIVE : 0U);
  UniqueFd mount(::open_tree(fd, path, flags));
  if (!mount) return sys_error("open_tree {}", quoted(path));
  return mount;
}

Status add_attributes(int mount, std::uint64_t attributes, bool recursive, int user_namespace) {
  mount_attr attr{};
  attr.attr_set = without(Layer::kMounts) ? 0 : attributes;
  // A copy stays in the peer group of what it was copied from. systemd makes "/" shared: what is mounted below the copy
  // would appear on the host as well (mount_namespaces(7), "Shared subtrees").
  attr.propagation = MS_PRIVATE;
  if (user_namespace >= 0) {
    attr.attr_set |= MOUNT_ATTR_IDMAP;
    attr.userns_fd = static_cast<std::uint64_t>(user_namespace);
  }
  const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
  if (::mount_setattr(mount, "", flags, &attr, sizeof attr) < 0) {
    return user_namespace >= 0 ? sys_error("id-map a mount") : sys_error("mount_setattr {:#x}", attributes);
  }
  return {};
}

Status make_private(int mount) {
  mount_attr attr{};
  attr.propagation = MS_PRIVATE;
  if (::mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
    return sys_error("mount_setattr private");
  return {};
}

Result<UniqueFd> new_filesystem(const char* type, const Options& options, unsigned attributes) {
  const UniqueFd context(::fsopen(type, FSOPEN_CLOEXEC));
  if (!context) return sys_error("fsopen {}", type);
  for (const auto& [key, value] : options) {
    const int set = value.empty() ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key, nullptr, 0)
                                  : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0);
    if (set < 0) return sys_error("fsconfig {} {}={}", type, key, quoted(value));
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return sys_error("create {}", type);
  if (without(Layer::kMounts)) attributes = 0;
  UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
  if (!mount) return sys_error("fsmount {}", type);
  return mount;
}

Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, unsigned mode) {
  return open_resolved(root, path.c_str(), static_cast<std::uint64_t>(flags), RESOLVE_IN_ROOT, mode);
}

Result<UniqueFd> make_directory(int root, const std::string& path, unsigned mode) {
  TRY_ASSIGN(UniqueFd at, open_in_root(root, "/", O_PATH | O_DIRECTORY));
  for (std::size_t start = 1; start < path.size();) {
    std::size_t end = path.find('/', start);
    if (end == std::string::npos) end = path.size();
    const std::string part = path.substr(start, end - start);
    if (::mkdirat(at.get(), part.c_str(), end == path.size() ? mode : 0755) < 0 && errno != EEXIST) {
      if (errno == EROFS || errno == EACCES || errno == EOVERFLOW) {
        return sys_error("mkdir {}: it lies in a mount that is not ours to change; choose a target that exists",
                         quoted(path));
      }
      return sys_error("mkdir {}", quoted(path));
    }
    TRY_ASSIGN(at, open_resolved(at.get(), part.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW,
                                 RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH, 0));
    start = end + 1;
  }
  return at;
}

Status ensure_directory(int root, const std::string& path, unsigned mode) {
  TRY_ASSIGN(const UniqueFd made, make_directory(root, path, mode));
  return {};
}

Status make_file(int root, const std::string& path, std::string_view text, unsigned mode) {
  const auto [parent, name] = split(path);
  TRY_ASSIGN(const UniqueFd directory, make_directory(root, parent));
  const UniqueFd fd(
      ::openat(directory.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return sys_error("create {}", quoted(path));
  return write_all(fd.get(), text).context("{}", quoted(path));
}

Status make_symlink(int root, const std::string& path, const std::string& to) {
  const auto [parent, name] = split(path);
  TRY_ASSIGN(const UniqueFd directory, make_directory(root, parent));
  if (::symlinkat(to.c_str(), directory.get(), name.c_str()) < 0) return sys_error("symlink {}", quoted(path));
  return {};
}

Status attach(int mount, int root, const std::string& path) {
  const auto [parent, name] = split(path);
  TRY_ASSIGN(const UniqueFd directory, open_in_root(root, parent, O_PATH | O_DIRECTORY));
  TRY_ASSIGN(const UniqueFd target, name.empty() ? open_in_root(root, "/", O_PATH)
                                                 : open_resolved(directory.get(), name.c_str(), O_PATH | O_NOFOLLOW,
                                                                 RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH, 0));
  if (::move_mount(mount, "", target.get(), "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
    return sys_error("move_mount to {}", quoted(path));
  }
  return {};
}

}  // namespace sandboxd::launcher
