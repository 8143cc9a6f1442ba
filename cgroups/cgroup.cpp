#include "cgroups/cgroup.h"

#include <cerrno>
#include <memory>
#include <sstream>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

namespace sandboxd::cgroups {
namespace {

struct CloseDir {
  void operator()(DIR* stream) const noexcept { ::closedir(stream); }
};

Result<UniqueFd> open_directory(int parent, const char* name) {
  UniqueFd fd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return sys_error("open cgroup {}", quoted(name));
  return fd;
}

}  // namespace

Result<UniqueFd> Cgroup::open(const char* file, int flags) const {
  UniqueFd fd(::openat(directory_.get(), file, flags | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return sys_error("open {}", file);
  return fd;
}

Result<std::string> Cgroup::read(const char* file) const { return read_file(directory_.get(), file); }

Result<std::vector<std::int32_t>> Cgroup::processes() const {
  TRY_ASSIGN(const std::string text, read("cgroup.procs"));
  std::vector<std::int32_t> pids;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto pid = parse_uint(line, 1U << 30);
    if (!pid) return sys_error_code(EPROTO, "cgroup.procs line {}", quoted(line));
    pids.push_back(static_cast<std::int32_t>(*pid));
  }
  return pids;
}

Result<bool> Cgroup::populated() const {
  TRY_ASSIGN(const std::string text, read("cgroup.events"));
  return text.find("populated 1") != std::string::npos;
}

Result<std::uint64_t> Cgroup::inode() const {
  struct stat info {};
  if (::fstat(directory_.get(), &info) < 0) return sys_error("fstat cgroup");
  return static_cast<std::uint64_t>(info.st_ino);
}

Status Cgroup::kill() const { return write_file_at(directory_.get(), "cgroup.kill", "1"); }

Result<Cgroup> create_exclusive(const Cgroup& parent, const std::string& name) {
  if (::mkdirat(parent.fd(), name.c_str(), 0755) < 0) return sys_error("mkdir cgroup {}", quoted(name));
  return open_child(parent, name);
}

Result<Cgroup> open_child(const Cgroup& parent, const std::string& name) {
  TRY_ASSIGN(UniqueFd fd, open_directory(parent.fd(), name.c_str()));
  return Cgroup(std::move(fd));
}

Status remove_child(const Cgroup& parent, const std::string& name, std::uint64_t patience_usec) {
  const std::uint64_t deadline = monotonic_usec() + patience_usec;
  for (std::uint64_t pause = 100'000;; pause = pause < 5'000'000 ? pause * 2 : pause) {
    if (::unlinkat(parent.fd(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY || monotonic_usec() >= deadline) return sys_error("rmdir cgroup {}", quoted(name));
    // The kernel offers no event for "emptied, and its last reference gone".
    const timespec wait{0, static_cast<long>(pause)};
    ::nanosleep(&wait, nullptr);
  }
}

Result<std::vector<std::string>> children(const Cgroup& parent) {
  UniqueFd fd(::openat(parent.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open cgroup");
  const std::unique_ptr<DIR, CloseDir> stream(::fdopendir(fd.get()));
  if (!stream) return sys_error("fdopendir cgroup");
  static_cast<void>(fd.release());
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

}  // namespace sandboxd::cgroups
