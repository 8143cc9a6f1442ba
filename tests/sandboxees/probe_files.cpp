// Files: setuid bits, device nodes, links to what is not ours, programs from memory, writes through a mapping.
#include <cstdlib>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::refused;
using probe::through;
using probe::tried;

constexpr int kFchmodat2 = 452, kOpenat2 = 437;

struct OpenHow {
  std::uint64_t flags, mode, resolve;
};

std::string g_directory;

std::string fresh(const char* name) { return g_directory + "/" + name; }

std::string made(const char* name) {
  const std::string path = fresh(name);
  ::close(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
  return path;
}

// A call that says it worked has only got through when the bit is there.
void with_bit(const char* name, long result, const std::string& path) {
  const int code = errno;
  struct stat info {};
  const bool set = ::lstat(path.c_str(), &info) == 0 && (info.st_mode & (S_ISUID | S_ISGID)) != 0;
  if (set) return through(name);
  refused(name, result < 0 ? code : ENODATA);
}

void set_modes(mode_t bit, const char* suffix) {
  const mode_t mode = bit | 0755;
  const auto named = [&](const char* call) { return std::string(call) + suffix; };
  std::string path = made(named("chmod").c_str());
#if defined(SYS_chmod)
  with_bit(named("chmod").c_str(), ::syscall(SYS_chmod, path.c_str(), mode), path);
  path = fresh(named("creat").c_str());
  with_bit(named("creat").c_str(), ::syscall(SYS_creat, path.c_str(), mode), path);
  path = fresh(named("open").c_str());
  with_bit(named("open").c_str(), ::syscall(SYS_open, path.c_str(), O_WRONLY | O_CREAT, mode), path);
  path = fresh(named("mknod").c_str());
  with_bit(named("mknod").c_str(), ::syscall(SYS_mknod, path.c_str(), S_IFREG | mode, 0), path);
  path = fresh(named("mkdir").c_str());
  with_bit(named("mkdir").c_str(), ::syscall(SYS_mkdir, path.c_str(), mode), path);
#endif
  path = made(named("fchmod").c_str());
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  with_bit(named("fchmod").c_str(), ::syscall(SYS_fchmod, fd, mode), path);
  path = made(named("fchmodat").c_str());
  with_bit(named("fchmodat").c_str(), ::syscall(SYS_fchmodat, AT_FDCWD, path.c_str(), mode), path);
  path = made(named("fchmodat2").c_str());
  with_bit(named("fchmodat2").c_str(), ::syscall(kFchmodat2, AT_FDCWD, path.c_str(), mode, 0), path);
  path = fresh(named("openat").c_str());
  with_bit(named("openat").c_str(), ::syscall(SYS_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT, mode), path);
  path = fresh(named("openat2").c_str());
  const OpenHow how{O_WRONLY | O_CREAT, mode, 0};
  with_bit(named("openat2").c_str(), ::syscall(kOpenat2, AT_FDCWD, path.c_str(), &how, sizeof how), path);
  path = fresh(named("mknodat").c_str());
  with_bit(named("mknodat").c_str(), ::syscall(SYS_mknodat, AT_FDCWD, path.c_str(), S_IFREG | mode, 0), path);
  path = fresh(named("mkdirat").c_str());
  with_bit(named("mkdirat").c_str(), ::syscall(SYS_mkdirat, AT_FDCWD, path.c_str(), mode), path);
  path = fresh(named("tmpfile").c_str());
  const long temporary = ::syscall(SYS_openat, AT_FDCWD, g_directory.c_str(), O_WRONLY | O_TMPFILE, mode);
  const std::string own = "/proc/self/fd/" + std::to_string(temporary);
  const long linked =
      temporary < 0 ? temporary : ::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  with_bit(named("tmpfile").c_str(), linked, path);
}

// ARGUMENT: a writable directory.
void check_setuid(char** arguments) {
  ::umask(0);
  g_directory = arguments[0];
  set_modes(S_ISUID, "-setuid");
  set_modes(S_ISGID, "-setgid");
}

// ARGUMENTS: a writable directory; a device node in it that somebody else made.
void check_devices(char** arguments) {
  g_directory = arguments[0];
  const auto node = [](const char* name, mode_t kind, unsigned major, unsigned minor) {
    tried(name, ::syscall(SYS_mknodat, AT_FDCWD, fresh(name).c_str(), kind | 0666, makedev(major, minor)));
  };
  node("null", S_IFCHR, 1, 3);
  node("kmem", S_IFCHR, 1, 1);
  node("whiteout", S_IFCHR, 0, 0);
  node("loop", S_IFBLK, 7, 0);
  tried("existing-node", ::open(arguments[1], O_RDWR | O_CLOEXEC));
}

// ARGUMENTS: paths to read.
void check_read(char** arguments) {
  for (; *arguments != nullptr; ++arguments) {
    const int fd = ::open(*arguments, O_RDONLY | O_CLOEXEC);
    char byte = 0;
    tried(*arguments, fd < 0 ? -1 : ::read(fd, &byte, 1));
  }
}

// ARGUMENTS: what is not ours, and where a link to it should stand.
void check_link(char** arguments) {
  tried("hard-link", ::linkat(AT_FDCWD, arguments[0], AT_FDCWD, arguments[1], 0));
  const int fd = ::open(arguments[0], O_RDONLY | O_CLOEXEC);
  const std::string own = "/proc/self/fd/" + std::to_string(fd);
  tried("link-by-descriptor",
        ::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, (std::string(arguments[1]) + "-fd").c_str(), AT_SYMLINK_FOLLOW));
}

// ARGUMENT: an existing setuid file of ours. "write" strips the bit, a shared mapping doesn't: each says what is left.
void check_overwrite(char** arguments) {
  const int fd = ::open(arguments[0], O_RDWR | O_CLOEXEC);
  if (fd < 0) return refused("open", errno);
  auto* bytes = static_cast<char*>(::mmap(nullptr, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  if (bytes == MAP_FAILED) return refused("mapping", errno);
  bytes[0] = '#';
  ::msync(bytes, 1, MS_SYNC);
  struct stat info {};
  ::fstat(fd, &info);
  if ((info.st_mode & S_ISUID) != 0) through("mapping-keeps-setuid");
  if (::pwrite(fd, "#", 1, 0) < 0) return refused("write", errno);
  ::fstat(fd, &info);
  if ((info.st_mode & S_ISUID) != 0) return through("write-keeps-setuid");
  refused("write-keeps-setuid", EPERM);
}

// A program that no file system holds, so that no mount flag can forbid it. It runs `status` of probe_privs' kind.
void check_memory_program(char** arguments) {
  const int from = ::open(arguments[0], O_RDONLY | O_CLOEXEC);
  const int memory = ::memfd_create("program", 0);
  if (from < 0 || memory < 0) return refused("memfd", errno);
  std::vector<char> buffer(1 << 16);
  for (ssize_t got = 0; (got = ::read(from, buffer.data(), buffer.size())) > 0;) {
    if (::write(memory, buffer.data(), static_cast<std::size_t>(got)) != got) return refused("memfd-write", errno);
  }
  char* const argv[] = {arguments[0], arguments[1], nullptr};
  char* const env[] = {nullptr};
  ::syscall(SYS_execveat, memory, "", argv, env, AT_EMPTY_PATH);
  refused("execveat", errno);
}

// ARGUMENT: a file of the caller's. Who opens a leased file waits for its holder (fcntl(2), "Leases").
void check_leases(char** arguments) {
  const int fd = ::open(arguments[0], O_RDONLY | O_CLOEXEC);
  if (fd < 0) return refused("open", errno);
  tried("read-lease", ::fcntl(fd, F_SETLEASE, F_RDLCK));
  tried("write-lease", ::fcntl(fd, F_SETLEASE, F_WRLCK));
}

constexpr probe::Check kChecks[] = {
    {"leases", 1, check_leases},
    {"setuid", 1, check_setuid},
    {"devices", 2, check_devices},
    {"read", 1, check_read},
    {"link", 2, check_link},
    {"overwrite", 1, check_overwrite},
    {"memory-program", 2, check_memory_program},
};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
