// The program's own file, its descriptors, its working directory, and the ways to other roots that procfs offers.
#include <cstdlib>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::refused;
using probe::through;
using probe::tried;

void try_open(const char* name, const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  tried(name, fd);
  if (fd >= 0) ::close(fd);
}

// CVE-2019-5736: a handle on the program that started us, to be written when it has ended. ARGUMENT: its pid as seen here.
void check_exe(char** arguments) {
  const std::string directory = std::string("/proc/") + arguments[0];  // or "self"
  try_open("own-exe-write", "/proc/self/exe", O_WRONLY);
  try_open("own-exe-truncate", "/proc/self/exe", O_WRONLY | O_TRUNC);
  try_open("other-exe-read", directory + "/exe", O_RDONLY);
  try_open("other-exe-path", directory + "/exe", O_PATH);
  try_open("other-exe-write", directory + "/exe", O_WRONLY);
}

// Everything above 2 that is not the directory we list by.
void check_fds(char**) {
  DIR* stream = ::opendir("/proc/self/fd");
  if (stream == nullptr) return refused("list", errno);
  bool extra = false;
  while (const dirent* row = ::readdir(stream)) {
    const int fd = std::atoi(row->d_name);
    if (row->d_name[0] == '.' || fd <= 2 || fd == ::dirfd(stream)) continue;
    char target[512] = {};
    const std::string path = std::string("/proc/self/fd/") + row->d_name;
    if (::readlink(path.c_str(), target, sizeof target - 1) < 0) continue;
    through("extra-descriptor", std::string(row->d_name) + "=" + target);
    extra = true;
  }
  if (!extra) refused("extra-descriptor", ENOENT);
  for (int fd = 0; fd < 3; ++fd) {
    struct stat info {};
    if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) through("directory-as-stdio", std::to_string(fd));
  }
}

// ARGUMENT: an absolute path that exists on the host only. From the working directory, up and down again.
void check_cwd(char** arguments) {
  char cwd[4096] = {};
  const char* got = ::getcwd(cwd, sizeof cwd);
  if (got == nullptr || cwd[0] != '/') {
    through("cwd-outside", got == nullptr ? "none" : cwd);
  } else {
    refused("cwd-outside", ENOENT);
  }
  std::string up;
  for (int i = 0; i < 64; ++i) up += "../";
  try_open("up-and-down", up + (arguments[0] + 1), O_RDONLY);
  for (int fd = 0; fd < 24; ++fd) {
    const int out = ::openat(fd, (up + (arguments[0] + 1)).c_str(), O_RDONLY | O_CLOEXEC);
    if (out >= 0) through("from-descriptor", std::to_string(fd));
  }
}

// ARGUMENT: an absolute path that exists on the host only.
void check_roots(char** arguments) {
  try_open("plain", arguments[0], O_RDONLY);
  for (const char* way : {"/proc/self/root", "/proc/1/root", "/proc/thread-self/root",
                          "/proc/self/cwd/../../../../../../..", "/proc/1/cwd"}) {
    try_open(way, std::string(way) + arguments[0], O_RDONLY);
  }
  DIR* stream = ::opendir("/proc/self/map_files");
  if (stream == nullptr) return refused("map_files", errno);
  while (const dirent* row = ::readdir(stream)) {
    if (row->d_name[0] == '.') continue;
    try_open("map_files", std::string("/proc/self/map_files/") + row->d_name, O_RDWR);
  }
}

void read_line(const char* name, const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  char text[256] = {};
  const ssize_t got = fd < 0 ? -1 : ::read(fd, text, sizeof text - 1);
  if (got < 0) return refused(name, errno);
  text[std::strcspn(text, "\n")] = '\0';
  through(name, text);
}

// What a host is known by; the caller compares.
void check_identity(char**) {
  utsname uts{};
  ::uname(&uts);
  through("hostname", uts.nodename);
  through("domainname", uts.domainname);
  read_line("machine-id", "/etc/machine-id");
  read_line("dbus-machine-id", "/var/lib/dbus/machine-id");
  read_line("boot-id", "/proc/sys/kernel/random/boot_id");
  read_line("etc-hostname", "/etc/hostname");
  read_line("dmi", "/sys/class/dmi/id/product_uuid");
}

// The control of "fds": a descriptor of its own is one more.
void check_fds_with_one_more(char** arguments) {
  ::open("/", O_RDONLY | O_DIRECTORY);
  check_fds(arguments);
}

void identify(const char* name, const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  char text[256] = {};
  const ssize_t got = fd < 0 ? -1 : ::read(fd, text, sizeof text - 1);
  if (got <= 0) return refused(name, got < 0 ? errno : ENODATA);
  through(name);
}

void check_host_identity(char**) {
  identify("machine-id", "/etc/machine-id");
  identify("dbus-machine-id", "/var/lib/dbus/machine-id");
  identify("boot-id", "/proc/sys/kernel/random/boot_id");
  identify("product-uuid", "/sys/class/dmi/id/product_uuid");
  identify("product-name", "/sys/class/dmi/id/product_name");
}

constexpr probe::Check kChecks[] = {
    {"exe", 1, check_exe},
    {"fds", 0, check_fds},
    {"cwd", 1, check_cwd},
    {"roots", 1, check_roots},
    {"identity", 0, check_identity},
    {"fds-with-one-more", 0, check_fds_with_one_more},
    {"host-identity", 0, check_host_identity},
};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
