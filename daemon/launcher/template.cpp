#include "daemon/launcher/template.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/socket.h"
#include "base/text.h"
#include "daemon/launcher/fault.h"
#include "daemon/launcher/mounts.h"

namespace sandboxd::launcher {
namespace {

constexpr std::uint64_t kReadOnly = kProtected | MOUNT_ATTR_RDONLY;

struct Node {
  const char* name;
  unsigned major, minor;
};
constexpr std::array kNodes = {Node{"null", 1, 3},   Node{"zero", 1, 5},    Node{"full", 1, 7},
                               Node{"random", 1, 8}, Node{"urandom", 1, 9}, Node{"tty", 5, 0}};

struct Link {
  const char* name;
  const char* to;
};
constexpr std::array kDevLinks = {Link{"fd", "/proc/self/fd"}, Link{"stdin", "/proc/self/fd/0"},
                                  Link{"stdout", "/proc/self/fd/1"}, Link{"stderr", "/proc/self/fd/2"},
                                  Link{"ptmx", "pts/ptmx"}};

// One file system for all jails, so nothing in it may carry a message: read-only, and no access times.
Result<UniqueFd> make_dev() {
  TRY_ASSIGN(UniqueFd dev, new_filesystem("tmpfs", {{"mode", "755"}, {"size", "64k"}, {"nr_inodes", "64"}},
                                          MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME));
  for (const Node& node : kNodes) {
    if (::mknodat(dev.get(), node.name, S_IFCHR | 0666, makedev(node.major, node.minor)) < 0)
      return sys_error("mknod {}", node.name);
    if (::fchmodat(dev.get(), node.name, 0666, 0) < 0) return sys_error("chmod {}", node.name);
  }
  for (const Link& link : kDevLinks) {
    if (::symlinkat(link.to, dev.get(), link.name) < 0) return sys_error("symlink {}", link.name);
  }
  for (const char* name : {"pts", "shm", "mqueue"}) {
    if (::mkdirat(dev.get(), name, 0755) < 0) return sys_error("mkdir {}", name);
  }
  TRY(add_attributes(dev.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, false));
  return dev;
}

// A copy of a host directory, put into the template read-only and private.
Status bring(int root, const char* host_path, const std::string& at, bool recursive) {
  TRY_ASSIGN(const UniqueFd tree, clone_tree(AT_FDCWD, host_path, recursive).context("{}", quoted(host_path)));
  TRY(add_attributes(tree.get(), kReadOnly, recursive).context("{}", quoted(host_path)));
  TRY(make_private(tree.get()));
  TRY(ensure_directory(root, at));
  return attach(tree.get(), root, at);
}

Result<std::vector<UsrEntry>> find_usr_entries() {
  std::vector<UsrEntry> entries;
  for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}) {
    const std::string path = std::string("/") + name;
    struct stat info {};
    if (::lstat(path.c_str(), &info) < 0) {
      if (errno == ENOENT) continue;
      return sys_error("stat {}", quoted(path));
    }
    std::string link;
    if (S_ISLNK(info.st_mode)) {
      char text[4096];
      const ssize_t size = ::readlink(path.c_str(), text, sizeof text);
      if (size <= 0) return sys_error("readlink {}", quoted(path));
      link.assign(text, static_cast<std::size_t>(size));
    }
    entries.push_back({name, link});
  }
  return entries;
}

// A sensor that counts the host's heat is a side channel (and not namespaced): masked below every cpu.
Status mask_thermal(int root) {
  if (without(Layer::kMounts)) return {};
  for (unsigned cpu = 0; cpu < 4096; ++cpu) {
    const std::string path = fmt::format("/cpu/cpu{}/thermal_throttle", cpu);
    struct stat info {};
    if (::fstatat(root, path.substr(1).c_str(), &info, 0) < 0) {
      if (errno != ENOENT) return sys_error("stat {}", quoted(path));
      if (::fstatat(root, fmt::format("cpu/cpu{}", cpu).c_str(), &info, 0) < 0) return {};
      continue;
    }
    TRY_ASSIGN(const UniqueFd empty,
               new_filesystem("tmpfs", {{"mode", "555"}, {"nr_inodes", "2"}}, static_cast<unsigned>(kReadOnly)));
    TRY(attach(empty.get(), root, path));
  }
  return {};
}

Status build(const std::vector<UsrEntry>& usr) {
  if (::unshare(CLONE_NEWNS) < 0) return sys_error("unshare mount namespace");
  // Private before the first mount: a mount made under a shared "/" would appear on the host (mount_namespaces(7)).
  if (::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0) return sys_error("make mounts private");
  TRY_ASSIGN(const UniqueFd dev, make_dev().context("make /dev"));
  TRY_ASSIGN(const UniqueFd root, new_filesystem("tmpfs", {{"mode", "755"}, {"size", "64k"}, {"nr_inodes", "128"}},
                                                 static_cast<unsigned>(kProtected)));
  // Attached before it is filled: a mount can be moved only onto what is part of a mount namespace.
  if (::move_mount(root.get(), "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return sys_error("move_mount template");
  TRY(bring(root.get(), "/usr", "/usr", true));
  TRY(bring(root.get(), "/etc", "/etc", true));
  TRY(bring(root.get(), "/sys/devices/system/cpu", "/cpu", false));
  TRY(mask_thermal(root.get()));
  for (const UsrEntry& entry : usr) {
    if (entry.link.empty()) TRY(bring(root.get(), ("/" + entry.name).c_str(), "/" + entry.name, true));
  }
  TRY_ASSIGN(const UniqueFd proc, new_filesystem("proc", {}, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  for (const char* path : {"/proc", "/dev", "/mnt", "/empty"}) TRY(ensure_directory(root.get(), path));
  TRY(attach(proc.get(), root.get(), "/proc"));
  TRY(attach(dev.get(), root.get(), "/dev"));
  TRY_ASSIGN(const UniqueFd empty, new_filesystem("tmpfs", {{"mode", "555"}, {"size", "4k"}, {"nr_inodes", "1"}},
                                                  static_cast<unsigned>(kReadOnly | MOUNT_ATTR_NOATIME)));
  TRY(attach(empty.get(), root.get(), "/empty"));
  if (::fchdir(root.get()) < 0) return sys_error("fchdir template");
  if (::syscall(SYS_pivot_root, ".", ".") < 0) return sys_error("pivot_root");
  if (::umount2(".", MNT_DETACH) < 0) return sys_error("umount old root");
  if (::chdir("/") < 0) return sys_error("chdir /");
  return add_attributes(root.get(), MOUNT_ATTR_RDONLY, false);
}

// In a child: the launcher itself stays in the host's mount namespace, since open_tree(2) copies mounts of the caller's own.
[[noreturn]] void build_in_child(int reply, const std::vector<UsrEntry>& usr) {
  const Status built = build(usr);
  const std::string text = built.ok() ? std::string("ok") : built.error().message();
  const UniqueFd ns(built.ok() ? ::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC) : -1);
  const int fd = ns.get();
  const auto bytes = std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  const Status sent = send_packet(reply, bytes, ns ? std::span(&fd, 1) : std::span<const int>());
  ::_exit(sent.ok() ? 0 : 1);
}

}  // namespace

Result<Template> make_template() {
  Template result;
  TRY_ASSIGN(result.usr, find_usr_entries());
  TRY_ASSIGN(auto pair, socket_pair(SOCK_SEQPACKET));
  const pid_t child = ::fork();
  if (child < 0) return sys_error("fork");
  if (child == 0) build_in_child(pair.second.get(), result.usr);
  UniquePid owner(child, UniqueFd());
  pair.second.reset();
  TRY_ASSIGN(Packet packet, receive_packet(pair.first.get(), 4096, 1));
  const std::string text(packet.bytes.begin(), packet.bytes.end());
  if (packet.fds.size() != 1)
    return make_error("make the template mount namespace: {}", text.empty() ? "its maker died" : text);
  result.mount_namespace = std::move(packet.fds.front());
  return result;
}

}  // namespace sandboxd::launcher
