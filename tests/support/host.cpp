#include "tests/support/host.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/text.h"
#include "cgroups/root.h"
#include "daemon/main/pool.h"
#include "tests/support/command.h"

namespace sandboxd::test {
namespace {

namespace fs = std::filesystem;

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  std::error_code error;
  for (auto row = fs::directory_iterator("/proc", error); !error && row != fs::directory_iterator();
       row.increment(error)) {
    if (const auto pid = parse_uint(row->path().filename().string(), 1U << 30))
      pids.push_back(static_cast<pid_t>(*pid));
  }
  return pids;
}

// An abstract socket's name is one process's, and free again with it (unix(7)).
UniqueFd take_name(const std::string& name) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), std::min(name.size(), sizeof address.sun_path - 1));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0) return {};
  return socket;
}

// Others make and remove cgroups meanwhile: one that goes is passed over, and its neighbours are looked at all the same.
std::string find_directory(const fs::path& below, const std::string& name) {
  std::error_code error;
  std::vector<fs::path> directories;
  for (auto row = fs::directory_iterator(below, error); !error && row != fs::directory_iterator();
       row.increment(error)) {
    std::error_code gone;
    if (!row->is_directory(gone)) continue;
    if (row->path().filename() == name) return row->path();
    directories.push_back(row->path());
  }
  for (const fs::path& directory : directories) {
    if (std::string found = find_directory(directory, name); !found.empty()) return found;
  }
  return "";
}

}  // namespace

// A daemon that outlived its test holds its share by a lock (daemon/main/pool.h) until it has cleaned up; a stack that has no
// standalone daemon takes none, so it must look.
bool held_by_a_daemon(std::uint32_t first) { return !main::lock_slice(first, kIdsPerSlice).ok(); }

std::uint32_t test_slice() {
  constexpr std::uint32_t kFirst = 200, kCount = 800;
  static std::uint32_t calls = 0;
  static std::vector<UniqueFd> held;
  for (std::uint32_t tries = 0; tries < kCount; ++tries) {
    const std::uint32_t at = kFirst + (static_cast<std::uint32_t>(::getpid()) * 13 + calls++) % kCount;
    const std::uint32_t first = kPoolFirst + at * kIdsPerSlice;
    UniqueFd lock = take_name(fmt::format("sandboxd-test-ids-{}", first));
    if (!lock || !processes_of_ids(first, kIdsPerSlice).empty() || held_by_a_daemon(first)) continue;
    held.push_back(std::move(lock));
    return first;
  }
  fmt::print(stderr, "every share of the id pool for tests is taken\n");
  std::abort();
}

std::string status_line(pid_t pid, const std::string& name) {
  std::istringstream lines(read_text(fmt::format("/proc/{}/status", pid)));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + ":")) continue;
    const std::size_t at = line.find_first_not_of(" \t", name.size() + 1);
    return at == std::string::npos ? "" : line.substr(at);
  }
  return "";
}

std::vector<pid_t> processes_of_ids(std::uint32_t first, std::uint32_t count) {
  std::vector<pid_t> found;
  for (const pid_t pid : all_processes()) {
    const std::string line = status_line(pid, "Uid");
    const auto uid = parse_uint(line.substr(0, line.find('\t')), UINT32_MAX);
    if (uid && *uid >= first && *uid - first < count) found.push_back(pid);
  }
  return found;
}

std::string command_name(pid_t pid) {
  std::string name = read_text(fmt::format("/proc/{}/comm", pid));
  if (!name.empty()) name.pop_back();
  return name;
}

std::size_t open_descriptors(pid_t pid) {
  std::error_code error;
  const fs::directory_iterator rows(fmt::format("/proc/{}/fd", pid), error);
  return error ? 0 : static_cast<std::size_t>(std::distance(rows, fs::directory_iterator()));
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> found;
  for (const pid_t one : all_processes()) {
    if (status_line(one, "PPid") == std::to_string(pid)) found.push_back(one);
  }
  return found;
}

bool has_controller(const std::string& name) {
  const auto prospect = cgroups::look_for_root("");
  return prospect.ok() && std::ranges::find(prospect->controllers, name) != prospect->controllers.end();
}

std::string with_unenforced_limits(const std::string& config) {
  if (config.find("\"unenforced_limits\"") != std::string::npos) return config;
  const auto prospect = cgroups::look_for_root("");
  const std::vector<std::string> groups =
      prospect.ok() ? cgroups::unenforceable(*prospect) : std::vector<std::string>();
  std::string names;
  for (const std::string& group : groups) names += fmt::format("{}\"{}\"", names.empty() ? "" : ", ", group);
  return fmt::format("\"unenforced_limits\": [{}]{}{}", names, config.empty() ? "" : ", ", config);
}

std::string slice_cgroup(std::uint32_t slice_first) {
  std::istringstream lines(read_text("/proc/self/mountinfo"));
  const std::string name = fmt::format("slice-{}", slice_first);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream words(line);
    std::string point;
    for (int i = 0; i < 5; ++i) words >> point;
    if (std::string found = find_directory(point, name); !found.empty()) return found;
  }
  return "";
}

std::vector<std::string> jail_cgroups(std::uint32_t slice_first) {
  std::vector<std::string> found;
  const std::string slice = slice_cgroup(slice_first);
  if (slice.empty()) return found;
  std::error_code error;
  for (auto row = fs::directory_iterator(slice, error); !error && row != fs::directory_iterator();
       row.increment(error)) {
    const std::string name = row->path().filename();
    if (name.starts_with("jail-")) found.push_back(name);
  }
  return found;
}

void own_mount_namespace() {
  static const bool made = ::unshare(CLONE_NEWNS) == 0 &&
                           ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                           ::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) == 0;
  if (made) return;
  fmt::print(stderr, "make a mount namespace of the test's own: {}\n", std::strerror(errno));
  std::abort();
}

std::vector<std::string> mounts_seen_by(pid_t pid) {
  std::vector<std::string> found;
  std::istringstream lines(read_text(fmt::format("/proc/{}/mountinfo", pid)));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number, parent, device, root, point;
    words >> number >> parent >> device >> root >> point;
    found.push_back(number + " " + point);
  }
  std::ranges::sort(found);
  return found;
}

bool eventually(const std::function<bool()>& holds, int timeout_ms) {
  const std::uint64_t deadline = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(timeout_ms)) * 1000;
  while (!holds()) {
    if (monotonic_usec() >= deadline) return false;
    ::poll(nullptr, 0, 10);
  }
  return true;
}

WorkDir::WorkDir() {
  const std::string beside = fs::read_symlink("/proc/self/exe").parent_path();
  for (const std::string& base : {std::string("/tmp"), std::string("/var/tmp"), beside}) {
    struct statfs info {};
    if (::statfs(base.c_str(), &info) < 0 || info.f_type == TMPFS_MAGIC || info.f_type == OVERLAYFS_SUPER_MAGIC)
      continue;
    std::string pattern = base + "/sandboxd-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) continue;
    path_ = pattern;
    ::chmod(path_.c_str(), 0755);
    return;
  }
  fmt::print(stderr, "no file system here has id-mapped mounts: /tmp, /var/tmp, {}\n", beside);
  std::abort();
}

WorkDir::~WorkDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string WorkDir::make(const std::string& name, uid_t owner, mode_t mode) const {
  const std::string path = path_ + "/" + name;
  fs::create_directories(path);
  ::chmod(path.c_str(), mode);
  if (::chown(path.c_str(), owner, owner) < 0) std::abort();
  return path;
}

std::string WorkDir::write(const std::string& name, const std::string& text, uid_t owner, mode_t mode) const {
  const std::string path = path_ + "/" + name;
  std::ofstream(path) << text;
  if (::chown(path.c_str(), owner, owner) < 0) std::abort();
  ::chmod(path.c_str(), mode);
  return path;
}

std::string WorkDir::copy_program(const std::string& name, const std::string& to, uid_t owner, mode_t mode) const {
  const std::string path = path_ + "/" + to;
  fs::copy_file(program_path(name), path, fs::copy_options::overwrite_existing);
  if (::chown(path.c_str(), owner, owner) < 0) std::abort();
  ::chmod(path.c_str(), mode);
  return path;
}

}  // namespace sandboxd::test
