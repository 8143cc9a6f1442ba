#include "daemon/main/pool.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/text.h"

namespace sandboxd::main {
namespace {

constexpr std::size_t kMostFile = 16U << 20;

Result<UniqueFd> open_lock(const std::string& path) {
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return sys_error("open {}", quoted(path));
  TRY(check_root_owned(lock.get(), path));
  return lock;
}

// False when somebody else holds a part of it.
Result<bool> try_lock(int fd, std::uint32_t first, std::uint32_t count) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = first - kPoolFirst;
  range.l_len = count;
  if (::fcntl(fd, F_OFD_SETLK, &range) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  return sys_error("lock ids {} to {}", first, first + count - 1);
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

Result<std::string> read_if_there(const char* path) {
  auto text = read_file(AT_FDCWD, path, kMostFile);
  if (!text.ok() && text.error().code == ENOENT) return std::string();
  return text;
}

}  // namespace

Result<Slice> lock_free_slice(const std::string& path) {
  TRY_ASSIGN(UniqueFd lock, open_lock(path));
  for (std::uint32_t first = kPoolFirst; kPoolLast - first >= kIdsPerSlice - 1; first += kIdsPerSlice) {
    TRY_ASSIGN(const bool ours, try_lock(lock.get(), first, kIdsPerSlice));
    if (ours) return Slice{std::move(lock), first, kIdsPerSlice};
  }
  return sys_error_code(ENOSPC, "every share of the id pool is taken by another daemon ({})", quoted(path));
}

Result<Slice> lock_slice(std::uint32_t first, std::uint32_t count, const std::string& path) {
  if (!is_pool_id(first) || count == 0 || count > kPoolLast - first + 1)
    return sys_error_code(EINVAL, "ids {} and {} more are not of the pool", first, count);
  TRY_ASSIGN(UniqueFd lock, open_lock(path));
  TRY_ASSIGN(const bool ours, try_lock(lock.get(), first, count));
  if (!ours)
    return sys_error_code(EAGAIN, "id_pool: another daemon holds ids between {} and {}", first, first + count - 1);
  return Slice{std::move(lock), first, count};
}

Status check_accounts(std::string_view text, std::string_view file, std::initializer_list<std::size_t> fields,
                      std::uint32_t first, std::uint32_t last) {
  for (const std::string_view line : split(text, '\n')) {
    const auto parts = split(line, ':');
    for (const std::size_t field : fields) {
      if (field >= parts.size()) continue;
      const auto id = parse_uint(parts[field], UINT32_MAX);
      if (id && *id >= first && *id <= last) {
        return sys_error_code(EEXIST, "the id pool's {} belongs to {} in {}: set 'id_pool' in the configuration", *id,
                              quoted(parts[0]), quoted(file));
      }
    }
  }
  return {};
}

Status check_ranges(std::string_view text, std::string_view file, std::uint32_t first, std::uint32_t last) {
  for (const std::string_view line : split(text, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() < 3) continue;
    const auto start = parse_uint(parts[1], UINT32_MAX);
    const auto count = parse_uint(parts[2], UINT32_MAX);
    if (!start || !count || *count == 0) continue;
    if (*start <= last && *start + *count - 1 >= first) {
      return sys_error_code(EEXIST, "ids of the pool are delegated to {} in {}: set 'id_pool' in the configuration",
                            quoted(parts[0]), quoted(file));
    }
  }
  return {};
}

Status check_pool_is_ours(const Slice& slice) {
  const std::uint32_t last = slice.first + slice.count - 1;
  TRY_ASSIGN(const std::string passwd, read_if_there("/etc/passwd"));
  TRY(check_accounts(passwd, "/etc/passwd", {2, 3}, slice.first, last));
  TRY_ASSIGN(const std::string group, read_if_there("/etc/group"));
  TRY(check_accounts(group, "/etc/group", {2}, slice.first, last));
  for (const char* file : {"/etc/subuid", "/etc/subgid"}) {
    TRY_ASSIGN(const std::string text, read_if_there(file));
    TRY(check_ranges(text, file, slice.first, last));
  }
  return {};
}

}  // namespace sandboxd::main
