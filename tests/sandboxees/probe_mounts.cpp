// Mounts: taking a mask or a read-only bind away, writing through it, propagation, and what a mount by path does with links.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::refused;
using probe::through;
using probe::tried;

constexpr int kOpenTree = 428, kMoveMount = 429, kMountSetattr = 442;

struct Attributes {
  std::uint64_t set, clear, propagation, user_namespace;
};

// ARGUMENT: a mount point.
void check_take_away(char** arguments) {
  const char* path = arguments[0];
  Attributes writable{0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
  tried("mount_setattr-writable", ::syscall(kMountSetattr, AT_FDCWD, path, 0, &writable, sizeof writable));
  tried("remount-writable", ::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND, nullptr));
  tried("open_tree-clone", ::syscall(kOpenTree, AT_FDCWD, path, 1 /* OPEN_TREE_CLONE */));
  tried("mount-over", ::mount("none", path, "tmpfs", 0, nullptr));
  tried("unmount", ::umount2(path, MNT_DETACH));
  tried("bind-elsewhere", ::mount(path, "/mnt", nullptr, MS_BIND, nullptr));
  tried("move_mount", ::syscall(kMoveMount, AT_FDCWD, path, AT_FDCWD, "/mnt", 0));
}

// The control: the same as root of a mount namespace of our own, where the mount was just made.
void check_take_away_private(char** arguments) {
  if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0)
    return refused("unshare", errno);
  ::mount(arguments[0], arguments[0], nullptr, MS_BIND, nullptr);
  ::mount(nullptr, arguments[0], nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr);
  check_take_away(arguments);
}

// ARGUMENTS: directories; a file is made in each.
void check_write(char** arguments) {
  for (; *arguments != nullptr; ++arguments) {
    const std::string path = std::string(*arguments) + "/probe-was-here";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    tried(*arguments, fd);
    if (fd >= 0) ::unlink(path.c_str());
    if (::mkdir((path + "-dir").c_str(), 0755) == 0) {
      through(std::string(*arguments) + "-mkdir");
      ::rmdir((path + "-dir").c_str());
    }
  }
}

void verdict(const char* name, const std::string& found) {
  if (found.empty()) return refused(name, ENODATA);
  through(name, found);
}

// Mounts that propagate; mounts that honour setuid bits, and device nodes (but for /dev, and /dev/null over a file of /proc).
void check_flags(char**) {
  std::string propagating, setuid, devices;
  std::ifstream lines("/proc/self/mountinfo");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string skip, top, point, options, word;
    words >> skip >> skip >> skip >> top >> point >> options;
    while (words >> word && word != "-") propagating += point + " ";
    options = "," + options + ",";
    const auto has = [&](const char* option) {
      return options.find(std::string(",") + option + ",") != std::string::npos;
    };
    if (!has("nosuid")) setuid += point + " ";
    if (!has("nodev") && point.rfind("/dev", 0) != 0 && top != "/null") devices += point + " ";
  }
  verdict("propagating", propagating);
  verdict("setuid", setuid);
  verdict("devices", devices);
}

// ARGUMENTS: a root directory and a target in it. A mount by path, as a runtime without openat2 does it; then, at WHERE (the
// third), whether it came out there.
void check_naive(char** arguments) {
  if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_PRIVATE | MS_REC, nullptr) < 0)
    return refused("unshare", errno);
  struct stat before {
  }, after{};
  ::stat(arguments[2], &before);
  const std::string target = std::string(arguments[0]) + arguments[1];
  if (::mount("none", target.c_str(), "tmpfs", 0, nullptr) < 0) return refused("mount", errno);
  ::stat(arguments[2], &after);
  if (before.st_dev != after.st_dev) return through("escaped-mount", arguments[2]);
  refused("escaped-mount", ENOENT);
}

constexpr probe::Check kChecks[] = {
    {"take-away", 1, check_take_away}, {"take-away-private", 1, check_take_away_private},
    {"write", 1, check_write},         {"flags", 0, check_flags},
    {"naive", 3, check_naive},
};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
