#include "daemon/launcher/root_fill.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"
#include "base/text.h"
#include "daemon/launcher/fault.h"
#include "daemon/launcher/mounts.h"

namespace sandboxd::launcher {
namespace {

constexpr std::uint64_t kReadOnly = kProtected | MOUNT_ATTR_RDONLY;

constexpr std::array<std::string_view, 4> kReserved = {"dev", "proc", "sys", "mnt"};
// The whole-host view: sockets, other people's files and temporary files stay outside.
constexpr std::array<std::string_view, 5> kHidden = {"run", "tmp", "home", "root", "lost+found"};

struct CloseDir {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

Result<std::string> read_link(int directory, const std::string& name) {
  std::string text(4096, '\0');
  const ssize_t size = ::readlinkat(directory, name.c_str(), text.data(), text.size());
  if (size < 0) return sys_error("readlink {}", quoted(name));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<RootEntry> copy_entry(int directory, const std::string& name, int user_namespace) {
  struct stat info {};
  if (::fstatat(directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return sys_error("stat {}", quoted(name));
  RootEntry entry;
  entry.name = name;
  entry.directory = S_ISDIR(info.st_mode);
  if (S_ISLNK(info.st_mode)) {
    TRY_ASSIGN(entry.link, read_link(directory, name));
    return entry;
  }
  if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) return entry;
  TRY_ASSIGN(entry.mount, clone_tree(directory, name.c_str(), true));
  TRY(add_attributes(entry.mount.get(), kReadOnly, true, user_namespace).context("{}", quoted(name)));
  return entry;
}

std::string passwd_text(const wire::JailPlan& plan) {
  std::string text;
  if (plan.inside_uid != 0) text += "root:x:0:0:root:/root:/usr/sbin/nologin\n";
  text += fmt::format("{}:x:{}:{}:{}:{}:/bin/sh\n", plan.user_name, plan.inside_uid, plan.inside_gid, plan.user_name,
                      plan.home);
  if (plan.inside_uid != 65534) text += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
  return text;
}

std::string group_text(const wire::JailPlan& plan) {
  std::string text;
  if (plan.inside_gid != 0) text += "root:x:0:\n";
  text += fmt::format("{}:x:{}:\n", plan.user_name, plan.inside_gid);
  if (plan.inside_gid != 65534) text += "nogroup:x:65534:\n";
  return text;
}

// The synthetic /etc: no name, address or account of the host is in it.
Status make_etc(int root, const wire::JailPlan& plan, const std::string& resolv_conf) {
  TRY(make_file(root, "/etc/passwd", passwd_text(plan)));
  TRY(make_file(root, "/etc/group", group_text(plan)));
  TRY(make_file(root, "/etc/hosts",
                fmt::format("127.0.0.1 localhost {0}\n::1 localhost ip6-localhost\n", plan.hostname)));
  TRY(make_file(root, "/etc/hostname", plan.hostname + "\n"));
  TRY(make_file(root, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"));
  return make_file(root, "/etc/resolv.conf", resolv_conf);
}

// One name of the host's /etc: fresh at each launch, since a file may have been replaced since the template was made.
Status show_host_etc(int root, const std::string& name) {
  const std::string path = "etc/" + name;
  struct stat info {};
  if (::fstatat(AT_FDCWD, ("/" + path).c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
    return errno == ENOENT ? Status() : Status(sys_error("stat '/{}'", path));
  }
  if (S_ISLNK(info.st_mode)) {
    TRY_ASSIGN(const std::string to, read_link(AT_FDCWD, "/" + path));
    return make_symlink(root, "/" + path, to);
  }
  TRY_ASSIGN(const UniqueFd tree, clone_tree(AT_FDCWD, ("/" + path).c_str(), S_ISDIR(info.st_mode)));
  if (S_ISDIR(info.st_mode)) {
    TRY(ensure_directory(root, "/" + path));
  } else {
    TRY(make_file(root, "/" + path, ""));
  }
  return attach(tree.get(), root, "/" + path);
}

Status cover_with_null(int root, const std::string& path) {
  TRY_ASSIGN(const UniqueFd null, clone_tree(AT_FDCWD, "/dev/null", false));
  return attach(null.get(), root, path);
}

Status cover_with_nothing(int root, const std::string& path) {
  TRY_ASSIGN(const UniqueFd empty, clone_tree(AT_FDCWD, "/empty", false));
  return attach(empty.get(), root, path);
}

enum class Mask : std::uint8_t { kNull, kEmpty, kLocked };
struct MaskRow {
  const char* name;
  Mask mask;
};
// What the file modes leave open to a uid that is not the host's root. Knowingly left out: kcore, kmsg, sysrq-trigger, irq/
// and others that only the host's root may read or write, and kallsyms and iomem, which show zeros without a capability.
constexpr std::array kMasks = {
    MaskRow{"sys", Mask::kLocked},         MaskRow{"keys", Mask::kNull},
    MaskRow{"key-users", Mask::kNull},     MaskRow{"interrupts", Mask::kNull},
    MaskRow{"timer_list", Mask::kNull},    MaskRow{"sched_debug", Mask::kNull},
    MaskRow{"latency_stats", Mask::kNull}, MaskRow{"locks", Mask::kNull},
    MaskRow{"acpi", Mask::kEmpty},         MaskRow{"asound", Mask::kEmpty},
    MaskRow{"scsi", Mask::kEmpty},         MaskRow{"sys/kernel/random/boot_id", Mask::kNull}};

}  // namespace

bool is_reserved_name(const std::string& name) { return std::ranges::find(kReserved, name) != kReserved.end(); }

Result<std::vector<RootEntry>> collect_root_entries(int directory, int user_namespace, bool whole_host) {
  UniqueFd fd(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
  if (!fd) return sys_error("dup root directory");
  const std::unique_ptr<DIR, CloseDir> stream(::fdopendir(fd.get()));
  if (!stream) return sys_error("read root directory");
  static_cast<void>(fd.release());
  std::vector<RootEntry> entries;
  while (const dirent* row = ::readdir(stream.get())) {
    const std::string name = row->d_name;
    if (name == "." || name == ".." || is_reserved_name(name)) continue;
    if (whole_host && std::ranges::find(kHidden, name) != kHidden.end()) continue;
    if (entries.size() >= 256) return sys_error_code(E2BIG, "root directory with more than 256 entries");
    TRY_ASSIGN(RootEntry entry, copy_entry(directory, name, user_namespace));
    if (entry.mount || !entry.link.empty()) entries.push_back(std::move(entry));
  }
  return entries;
}

Status fill_from_usr(int root, const JailSetup& setup) {
  TRY_ASSIGN(const UniqueFd usr, clone_tree(AT_FDCWD, "/usr", true));
  TRY(ensure_directory(root, "/usr"));
  TRY(attach(usr.get(), root, "/usr"));
  for (const UsrEntry& entry : setup.base.usr) {
    if (!entry.link.empty()) {
      TRY(make_symlink(root, "/" + entry.name, entry.link));
      continue;
    }
    TRY_ASSIGN(const UniqueFd tree, clone_tree(AT_FDCWD, ("/" + entry.name).c_str(), true));
    TRY(ensure_directory(root, "/" + entry.name));
    TRY(attach(tree.get(), root, "/" + entry.name));
  }
  TRY(make_etc(root, setup.plan, setup.resolv_conf));
  for (const std::string& name : setup.profile.etc) TRY(show_host_etc(root, name).context("host's /etc/{}", name));
  for (const wire::ProfileFile& file : setup.profile.files)
    TRY(make_file(root, "/etc/sandboxd/" + file.name, file.text));
  return {};
}

Status fill_from_entries(int root, const JailSetup& setup) {
  for (const RootEntry& entry : setup.root_entries) {
    const std::string path = "/" + entry.name;
    if (!entry.link.empty()) {
      TRY(make_symlink(root, path, entry.link));
      continue;
    }
    if (entry.directory) {
      TRY(ensure_directory(root, path));
    } else {
      TRY(make_file(root, path, ""));
    }
    TRY(attach(entry.mount.get(), root, path));
  }
  if (setup.plan.root != wire::RootKind::kHost) return {};
  // Below /var lie temporary files, and sockets where /var/run is no link.
  for (const char* path : {"/var/tmp", "/var/run", "/var/lib/sandboxd"}) {
    struct stat info {};
    if (::fstatat(root, path + 1, &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;
      return sys_error("stat '{}'", path);  // what can't be looked at can't be taken as hidden
    }
    if (S_ISDIR(info.st_mode)) TRY(cover_with_nothing(root, path));
  }
  return {};
}

Status mask_proc(int root, int proc) {
  if (without(Layer::kMounts)) return {};
  for (const MaskRow& row : kMasks) {
    struct stat info {};
    if (::fstatat(proc, row.name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;
      return sys_error("stat /proc/{}", row.name);
    }
    const std::string path = std::string("/proc/") + row.name;
    if (row.mask == Mask::kNull) {
      if ((info.st_mode & 0044U) == 0) continue;  // this kernel keeps it for root already
      TRY(cover_with_null(root, path));
    } else if (row.mask == Mask::kEmpty) {
      TRY(cover_with_nothing(root, path));
    } else {
      TRY_ASSIGN(const UniqueFd copy, clone_tree(proc, row.name, false));
      TRY(add_attributes(copy.get(), kReadOnly | MOUNT_ATTR_NOEXEC, false));
      TRY(attach(copy.get(), root, path));
    }
  }
  return {};
}

Status touch_file(int root, const std::string& path) {
  if (const auto there = open_in_root(root, path, O_PATH | O_NOFOLLOW); there.ok()) return {};
  return make_file(root, path, "");
}

}  // namespace sandboxd::launcher
