#include <array>
#include <cerrno>

#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "base/unique_fd.h"
#include "daemon/tools/doctor/child.h"
#include "daemon/tools/doctor/doctor.h"

// mount.h of the kernel and of glibc can't be included together; these are of the former's fcntl.h.
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

namespace sandboxd::doctor {
namespace {

constexpr std::uint64_t kMountNamespaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC;

int call(long result) { return static_cast<int>(result); }

Result<UniqueFd> new_mount(const char* type, unsigned flags = 0) {
  const UniqueFd context(call(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC)));
  if (!context) return sys_error("fsopen {}", type);
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
    return sys_error("create {}", type);
  UniqueFd mount(call(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, flags)));
  if (!mount) return sys_error("fsmount {}", type);
  return mount;
}

Result<UniqueFd> clone_tree(const std::string& path) {
  UniqueFd tree(
      call(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)));
  if (!tree) return sys_error("open_tree {}", sandboxd::quoted(path));
  return tree;
}

Status set_attributes(int mount, std::uint64_t attributes, int user_namespace = -1) {
  mount_attr attr{};
  attr.attr_set = attributes;
  if (user_namespace >= 0) attr.userns_fd = static_cast<std::uint64_t>(user_namespace);
  const long done = ::syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr);
  return done < 0 ? Status(sys_error("mount_setattr")) : Status();
}

Status in_mount_namespace(const std::function<Status()>& body) {
  return in_child({.flags = kMountNamespaces, .prepare = [](int pid, int) { return map_own_ids(pid); }, .body = body});
}

Outcome from(const Status& status, const Context& context) {
  if (status.ok()) return offered();
  const int code = status.error().code;
  const bool rights = (code == EPERM || code == EACCES || code == ENOSPC) && !context.is_root;
  return rights ? unknown("not for this user: " + status.error().message()) : missing(status.error().message());
}

Outcome detached_mounts(const Context& context) {
  return from(in_mount_namespace([]() -> Status {
                TRY_ASSIGN(const UniqueFd tree, clone_tree("/usr"));
                TRY(set_attributes(tree.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
                TRY_ASSIGN(const UniqueFd root, new_mount("tmpfs"));
                const long moved = ::syscall(SYS_move_mount, tree.get(), "", root.get(), "",
                                             MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
                // Onto a mount that is itself detached only a newer kernel moves (EINVAL else); the jail's root is attached by then.
                return moved < 0 && errno != EINVAL ? Status(sys_error("move_mount")) : Status();
              }),
              context);
}

Outcome private_file_systems(const Context& context) {
  return from(in_mount_namespace([]() -> Status {
                for (const char* type : {"tmpfs", "proc", "devpts", "mqueue"}) {
                  TRY_ASSIGN(const UniqueFd mount, new_mount(type, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
                }
                return {};
              }),
              context);
}

Outcome overlay(const Context& context) {
  const Status status = in_mount_namespace([]() -> Status {
    const UniqueFd fs(call(::syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC)));
    if (!fs) return sys_error("fsopen overlay");
    for (const auto& [key, value] : {std::pair{"lowerdir", "/usr:/etc"}, std::pair{"source", "doctor"}}) {
      if (::syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_STRING, key, value, 0) < 0)
        return sys_error("overlay {}", key);
    }
    if (::syscall(SYS_fsconfig, fs.get(), FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) < 0)
      return sys_error("overlay userxattr");
    return ::syscall(SYS_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0
               ? Status(sys_error("create overlay"))
               : Status();
  });
  return from(status, context);
}

// A clone of `mount` that is id-mapped by a user namespace made for it.
Status try_id_map(const std::function<Result<UniqueFd>()>& mount) {
  return in_child({.flags = CLONE_NEWUSER, .prepare = [&](int pid, int) -> Status {
                     TRY(map_ids(pid, 0, 1000, 1));
                     const std::string path = fmt::format("/proc/{}/ns/user", pid);
                     const UniqueFd user(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
                     if (!user) return sys_error("open {}", sandboxd::quoted(path));
                     TRY_ASSIGN(const UniqueFd tree, mount());
                     return set_attributes(tree.get(), MOUNT_ATTR_IDMAP, user.get()).context("id-map");
                   }});
}

// The nearest directory above that exists: a state directory is made at the first start.
std::string existing(std::string path) {
  while (path.size() > 1 && ::access(path.c_str(), F_OK) < 0) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    path.resize(slash == 0 ? 1 : slash);
  }
  return path.empty() ? "/" : path;
}

Outcome id_map_of(const std::string& directory, const Context& context) {
  if (!context.is_root) return unknown("can be tried as root only");
  const Status status = try_id_map([&]() -> Result<UniqueFd> {
    // Not recursive: what is mounted below is another file system's matter.
    UniqueFd tree(call(::syscall(SYS_open_tree, AT_FDCWD, directory.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
    if (!tree) return sys_error("open_tree {}", sandboxd::quoted(directory));
    return tree;
  });
  return status.ok() ? offered(directory) : missing(fmt::format("{}: {}", directory, status.error().message()));
}

Outcome id_map_state(const Context& context) { return id_map_of(existing(context.state_dir), context); }

Outcome id_map_here(const Context& context) {
  std::array<char, 4096> path{};
  if (::getcwd(path.data(), path.size()) == nullptr) return unknown(sys_error("getcwd").message());
  return id_map_of(path.data(), context);
}

Outcome id_map_tmpfs(const Context& context) {
  if (!context.is_root) return unknown("can be tried as root only");
  const Status status = try_id_map([] { return new_mount("tmpfs"); });
  return status.ok() ? offered() : missing(status.error().message());
}

constexpr std::array kProbes = {
    Probe{"detached-mounts", "mounts by descriptor (open_tree, mount_setattr, fsopen, move_mount)", Need::kRequired,
          "every jail", detached_mounts},
    Probe{"private-mounts", "tmpfs, proc, devpts and mqueue of a jail's own", Need::kRequired, "every jail",
          private_file_systems},
    Probe{"id-map-state", "id-mapped mounts of the state directory's file system", Need::kOptional,
          "workspaces and binds from there", id_map_state},
    Probe{"id-map-here", "id-mapped mounts of the current directory's file system", Need::kOptional,
          "workspaces and binds from there", id_map_here},
    Probe{"id-map-tmpfs", "id-mapped tmpfs", Need::kOptional, "workspaces and binds from a tmpfs, such as /dev/shm",
          id_map_tmpfs},
    Probe{"overlay", "overlay mounts in a user namespace", Need::kOptional, "overlay workspaces", overlay},
};

}  // namespace

const std::span<const Probe> kMountProbes = kProbes;

}  // namespace sandboxd::doctor
