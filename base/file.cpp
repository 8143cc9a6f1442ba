#include "base/file.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace sandboxd {

Result<std::string> read_fd(int fd, std::size_t most) {
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sys_error("read");
    if (got == 0) return text;
    if (text.size() + static_cast<std::size_t>(got) > most)
      return sys_error_code(EFBIG, "read (at most {} bytes)", most);
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

Result<std::string> read_file(int dir_fd, const std::string& path, std::size_t most) {
  const UniqueFd fd(::openat(dir_fd, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return sys_error("open {}", quoted(path));
  return read_fd(fd.get(), most).context("{}", quoted(path));
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return sys_error("write");
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

Status write_file_at(int dir_fd, const std::string& path, std::string_view text) {
  const UniqueFd fd(::openat(dir_fd, path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return sys_error("open {}", quoted(path));
  const ssize_t wrote = ::write(fd.get(), text.data(), text.size());
  if (wrote < 0) return sys_error("write {} to {}", quoted(text), quoted(path));
  if (static_cast<std::size_t>(wrote) != text.size()) return sys_error_code(EIO, "write {}: short", quoted(path));
  return {};
}

Result<UniqueFd> sealed_memfd(const char* name, std::span<const std::uint8_t> bytes) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return sys_error("memfd_create {}", name);
  TRY(write_all(fd.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}).context("memfd {}", name));
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
    return sys_error("seal memfd {}", name);
  }
  return fd;
}

Result<std::vector<std::uint8_t>> read_sealed(int fd, std::size_t most) {
  constexpr int kAll = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return sys_error("read seals");
  if ((seals & kAll) != kAll) return sys_error_code(EPERM, "memfd is not sealed (seals {:#x})", seals);
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("fstat memfd");
  if (static_cast<std::uint64_t>(info.st_size) > most)
    return sys_error_code(EFBIG, "memfd of {} bytes (at most {})", info.st_size, most);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return sys_error_code(got < 0 ? errno : EIO, "read memfd");
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

Status check_root_owned(int fd, std::string_view what) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("fstat {}", quoted(what));
  if (info.st_uid != 0 || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return sys_error_code(EPERM, "{} must be owned by root and writable by nobody else (is uid {}, mode {:04o})",
                          quoted(what), info.st_uid, info.st_mode & 07777U);
  }
  return {};
}

}  // namespace sandboxd
