#include <sandboxd/request.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/path.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "protocol/codec.h"
#include "sandboxd-client/inside.h"

namespace sandboxd::client {
namespace {

// Paths are made absolute and free of symbolic links, since they must name the same thing in the jail.
Result<std::string> real_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) return sys_error("{}", sandboxd::quoted(path));
  return std::string(resolved);
}

Status check_target(const std::string& path) {
  if (is_canonical_path(path)) return {};
  return make_error("{}: a path in the jail must be absolute, without '//', '.', '..' or a '/' at its end",
                    sandboxd::quoted(path));
}

// O_PATH takes no right over the file; the broker refuses it.
Result<UniqueFd> open_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open directory {}", sandboxd::quoted(path));
  return fd;
}

Result<UniqueFd> open_file_or_directory(const std::string& path) {
  // Not blocking: a FIFO without a writer would hold the open for ever (fifo(7)).
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return sys_error("open {}", sandboxd::quoted(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) < 0) return sys_error("fstat {}", sandboxd::quoted(path));
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    return make_error("{} is neither a regular file nor a directory", sandboxd::quoted(path));
  }
  return fd;
}

std::uint32_t add(std::vector<Fd>& fds, UniqueFd fd) {
  fds.emplace_back(fd.release());
  return static_cast<std::uint32_t>(fds.size() - 1);
}

using Open = Result<UniqueFd>(const std::string& path);

Result<protocol::Bind> make_bind(std::vector<Fd>& fds, const std::string& source, Access access,
                                 const std::string& target, Open* open) {
  TRY_ASSIGN(const std::string path, real_path(source));
  protocol::Bind bind{.target = target.empty() ? path : target, .access = access};
  TRY(check_target(bind.target));
  TRY_ASSIGN(UniqueFd fd, open(path));
  bind.fd = add(fds, std::move(fd));
  return bind;
}

constexpr std::array<const char*, 3> kStandardNames = {"standard input", "standard output", "standard error"};

// A directory as standard input is a way out of the jail, and a terminal outlives the command (TIOCSTI, tty_ioctl(4)).
Result<UniqueFd> copy_standard(int fd) {
  const char* name = kStandardNames.at(static_cast<std::size_t>(fd));
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("{}", name);
  const bool null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
  if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode) && !null) {
    return make_error("{} is not a pipe, a regular file or /dev/null", name);
  }
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return sys_error("duplicate {}", name);
  return copy;
}

}  // namespace

Expected<void> Request::workspace(const std::string& directory, Access access, const std::string& target) noexcept {
  Result<protocol::Bind> bound = make_bind(fds, directory, access, target, open_directory);
  if (!bound.ok()) return error_of(bound.error());
  spec.workspace = std::move(bound).value();
  return {};
}

Expected<void> Request::bind(const std::string& source, Access access, const std::string& target) noexcept {
  Result<protocol::Bind> bound = make_bind(fds, source, access, target, open_file_or_directory);
  if (!bound.ok()) return error_of(bound.error());
  spec.binds.push_back(std::move(bound).value());
  return {};
}

Expected<void> Request::root_directory(const std::string& directory) noexcept {
  Result<UniqueFd> fd = open_directory(directory);
  if (!fd.ok()) return error_of(fd.error());
  spec.root = Root::kDirectory;
  spec.root_fd = add(fds, std::move(fd).value());
  return {};
}

Expected<void> Request::inherit_stdio() noexcept {
  for (int fd = 0; fd < 3; ++fd) {
    Result<UniqueFd> copy = copy_standard(fd);
    if (!copy.ok()) return error_of(copy.error());
    spec.stdio_fds.at(static_cast<std::size_t>(fd)) = add(fds, std::move(copy).value());
  }
  spec.stdio = Stdio::kInherit;
  return {};
}

std::string_view verdict_name(Verdict verdict) noexcept { return protocol::name_of(verdict); }

}  // namespace sandboxd::client
