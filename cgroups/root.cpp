#include "cgroups/root.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "base/path.h"
#include "base/text.h"
#include "cgroups/limits.h"

namespace sandboxd::cgroups {
namespace {

constexpr std::array<std::string_view, 4> kControllers = {"memory", "cpu", "pids", "io"};
constexpr const char* kOurs = "/sandboxd";

struct Place {
  std::string path{};   // of all daemons' directory
  std::string above{};  // the cgroup that must pass the controllers on to it; empty: not ours to change
};

Status check_cgroup2(int fd, const std::string& path) {
  struct statfs info {};
  if (::fstatfs(fd, &info) < 0) return sys_error("statfs {}", quoted(path));
  if (info.f_type != CGROUP2_SUPER_MAGIC)
    return sys_error_code(EINVAL, "{} is not on a cgroup2 file system", quoted(path));
  return {};
}

Result<Cgroup> ensure_cgroup(int parent, const std::string& path) {
  if (::mkdirat(parent, path.c_str(), 0755) < 0 && errno != EEXIST) return sys_error("mkdir cgroup {}", quoted(path));
  UniqueFd fd(::openat(parent, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return sys_error("open cgroup {}", quoted(path));
  return Cgroup(std::move(fd));
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.size(), text.find_first_of(" \n"));
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return words;
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// systemd's mark, on a directory that nobody but root can put processes into.
bool is_delegated(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) < 0 || info.st_uid != 0 || (info.st_mode & 022) != 0) return false;
  for (const char* name : {"trusted.delegate", "user.delegate"}) {
    char value = 0;
    if (::getxattr(path.c_str(), name, &value, 1) == 1 && value == '1') return true;
  }
  return false;
}

// This process's cgroup, in the mount; empty: the mount's root, or not in sight.
std::string own_directory(const std::string& mount) {
  const auto text = read_file(AT_FDCWD, "/proc/self/cgroup");
  const auto own = text.ok() ? own_cgroup(*text) : Result<std::string>(text.error());
  // "/../.." is a cgroup outside of our cgroup namespace.
  if (!own.ok() || *own == "/" || !is_canonical_path(*own)) return {};
  return mount + *own;
}

std::string find_delegated(const std::string& mount) {
  for (std::string at = own_directory(mount); at.size() > mount.size(); at.resize(at.rfind('/'))) {
    if (is_delegated(at)) return at;
  }
  return {};
}

Result<Place> find_place(const std::string& configured) {
  if (!configured.empty() && !is_canonical_path(configured))
    return sys_error_code(EINVAL, "cgroup_root {} (expected an absolute canonical path)", quoted(configured));
  auto mount = find_mount();
  if (!configured.empty()) {
    const bool in_mount_root = mount.ok() && configured.substr(0, configured.rfind('/')) == *mount;
    return Place{configured, in_mount_root ? *mount : ""};
  }
  if (!mount.ok()) return std::move(mount).error();
  const std::string delegated = find_delegated(*mount);
  const std::string above = delegated.empty() ? *mount : delegated;
  return Place{above + kOurs, above};
}

// With processes of its own a cgroup passes nothing on but to threads (EBUSY, or worse: its children become unusable for
// processes). The mount's root alone may have both, and has no cgroup.type.
Status check_empty(const Cgroup& cgroup) {
  if (::faccessat(cgroup.fd(), "cgroup.type", F_OK, 0) < 0) return {};
  TRY_ASSIGN(const std::vector<std::int32_t> processes, cgroup.processes());
  if (processes.empty()) return {};
  return sys_error_code(EBUSY,
                        "it has {} processes of its own, and then passes no controller on; move them into a child "
                        "(systemd: DelegateSubgroup=)",
                        processes.size());
}

// One by one: the kernel takes all words of a write or none. What can't be had is the jails' matter, not the start's.
Status pass_on(const Cgroup& cgroup) {
  TRY_ASSIGN(const std::string offered, cgroup.read("cgroup.controllers"));
  TRY_ASSIGN(const std::string passed, cgroup.read("cgroup.subtree_control"));
  const std::vector<std::string> on = words_of(passed);
  std::vector<std::string> wanted;
  for (const std::string& name : words_of(offered)) {
    const bool ours = std::ranges::find(kControllers, name) != kControllers.end();
    if (ours && !contains(on, name)) wanted.push_back(name);
  }
  if (wanted.empty()) return {};
  TRY(check_empty(cgroup));
  Status first;
  for (const std::string& name : wanted) {
    Status written = write_file_at(cgroup.fd(), "cgroup.subtree_control", "+" + name);
    if (!written.ok() && first.ok()) first = std::move(written);
  }
  return first;
}

void pass_on(const Cgroup& cgroup, const std::string& path, std::string& trouble) {
  const Status passed = pass_on(cgroup).context("{}", quoted(path));
  if (!passed.ok() && trouble.empty()) trouble = passed.error().message();
}

// The daemon's own part is a child of the same kind as a jail's cgroup, and has the same files.
Status find_files(Root& root) {
  TRY_ASSIGN(const std::string text, root.cgroup.read("cgroup.subtree_control"));
  const std::vector<std::string> passed = words_of(text);
  for (const LimitFile& row : kLimitFiles) {
    const std::string name(row.file);
    if (contains(passed, row.controller) && ::faccessat(root.cgroup.fd(), name.c_str(), F_OK, 0) == 0)
      root.files.push_back(name);
  }
  return {};
}

}  // namespace

bool Root::has(std::string_view file) const { return contains(files, file); }

Result<std::string> find_mount() {
  for (const char* path : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs info {};
    if (::statfs(path, &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC) return std::string(path);
  }
  return sys_error_code(
      ENOENT, "find a cgroup2 mount at /sys/fs/cgroup or /sys/fs/cgroup/unified (mount one, or set 'cgroup_root')");
}

Result<std::string> own_cgroup(std::string_view proc_cgroup) {
  while (!proc_cgroup.empty()) {
    const std::string_view line = proc_cgroup.substr(0, proc_cgroup.find('\n'));
    if (line.starts_with("0::")) return std::string(line.substr(3));
    proc_cgroup.remove_prefix(std::min(proc_cgroup.size(), line.size() + 1));
  }
  return sys_error_code(EPROTO, "no cgroup v2 line in /proc/PID/cgroup");
}

Result<Root> open_root(const std::string& configured, const std::string& name) {
  TRY_ASSIGN(const Place place, find_place(configured));
  TRY_ASSIGN(const Cgroup top, ensure_cgroup(AT_FDCWD, place.path));
  TRY(check_cgroup2(top.fd(), place.path));
  TRY(check_root_owned(top.fd(), place.path));
  TRY_ASSIGN(Cgroup own, ensure_cgroup(top.fd(), name));
  Root root{std::move(own), place.path + "/" + name, {}, {}};
  if (!place.above.empty()) {
    UniqueFd above(::open(place.above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!above) return sys_error("open cgroup {}", quoted(place.above));
    pass_on(Cgroup(std::move(above)), place.above, root.trouble);
  }
  pass_on(top, place.path, root.trouble);
  pass_on(root.cgroup, root.path, root.trouble);
  TRY(find_files(root));
  return root;
}

Status remove_root(const Root& root) {
  if (::rmdir(root.path.c_str()) < 0 && errno != ENOENT) return sys_error("rmdir cgroup {}", quoted(root.path));
  return {};
}

Result<Prospect> look_for_root(const std::string& configured) {
  TRY_ASSIGN(Place place, find_place(configured));
  const std::string& from = place.above.empty() ? place.path : place.above;
  TRY_ASSIGN(const std::string text, read_file(AT_FDCWD, from + "/cgroup.controllers"));
  return Prospect{std::move(place.path), words_of(text)};
}

std::vector<std::string> unenforceable(const Prospect& prospect) {
  std::vector<std::string> groups;
  for (const LimitRow& row : kLimitRows) {
    if (row.controller.empty() || row.member == &Limits::pids_max) continue;
    const std::string group(row.group);
    if (!contains(prospect.controllers, row.controller) && !contains(groups, group)) groups.push_back(group);
  }
  return groups;
}

Status leave_delegated_top() {
  const auto mount = find_mount();
  const std::string own = mount.ok() ? own_directory(*mount) : "";
  if (own.empty() || !is_delegated(own)) return {};
  UniqueFd fd(::open(own.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open cgroup {}", quoted(own));
  const Cgroup top(std::move(fd));
  TRY_ASSIGN(const std::vector<std::int32_t> processes, top.processes());
  if (processes != std::vector<std::int32_t>{static_cast<std::int32_t>(::getpid())}) return {};
  TRY_ASSIGN(const Cgroup child, ensure_cgroup(top.fd(), "supervisor"));
  return write_file_at(child.fd(), "cgroup.procs", "0");
}

}  // namespace sandboxd::cgroups
