#include "base/listen_fds.h"

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "base/text.h"

namespace sandboxd {
namespace {

constexpr int kFirstFd = 3;  // SD_LISTEN_FDS_START
constexpr std::uint64_t kMostFds = 256;

std::string_view variable(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// LISTEN_FDS, when LISTEN_PID says that it was meant for this process and not for one that started it.
Result<int> passed_count() {
  const auto pid = parse_uint(variable("LISTEN_PID"), 1U << 30);
  if (!pid || *pid != static_cast<std::uint64_t>(::getpid())) {
    return make_error("LISTEN_PID is {}, this process is {}", quoted(variable("LISTEN_PID")), ::getpid());
  }
  const auto count = parse_uint(variable("LISTEN_FDS"), kMostFds);
  if (!count) return make_error("LISTEN_FDS is {}", quoted(variable("LISTEN_FDS")));
  return static_cast<int>(*count);
}

// The position of `name` in the ':'-separated list.
std::optional<int> position_of(std::string_view name, std::string_view names) {
  for (int at = 0;; ++at) {
    const std::size_t end = names.find(':');
    if (names.substr(0, end) == name) return at;
    if (end == std::string_view::npos) return std::nullopt;
    names.remove_prefix(end + 1);
  }
}

bool is_name(std::string_view name) {
  for (const char c : name) {
    if (c == ':' || c < ' ' || c > '~') return false;
  }
  return !name.empty() && name.size() <= 255;
}

Result<std::vector<UniqueFd>> copies_above(std::span<const NamedFd> fds, int least) {
  std::vector<UniqueFd> copies;
  for (const NamedFd& entry : fds) {
    if (!is_name(entry.name)) return sys_error_code(EINVAL, "socket name {}", quoted(entry.name));
    UniqueFd copy(::fcntl(entry.fd, F_DUPFD_CLOEXEC, least));
    if (!copy) return sys_error("duplicate socket {}", quoted(entry.name));
    copies.push_back(std::move(copy));
  }
  return copies;
}

Status set_variable(const char* name, const std::string& value) {
  if (::setenv(name, value.c_str(), 1) < 0) return sys_error("setenv {}", name);
  return {};
}

}  // namespace

Result<UniqueFd> take_listen_fd(std::string_view name) {
  Result<int> count = passed_count().context("take socket {}", quoted(name));
  if (!count.ok()) return std::move(count).error();
  const std::optional<int> at = position_of(name, variable("LISTEN_FDNAMES"));
  if (!at || *at >= *count) {
    return make_error("take socket {}: not among the {} passed ({})", quoted(name), *count,
                      quoted(variable("LISTEN_FDNAMES")));
  }
  const int fd = kFirstFd + *at;
  const int flags = ::fcntl(fd, F_GETFD);
  if (flags < 0) return sys_error("take socket {}: descriptor {}", quoted(name), fd);
  // A descriptor that came through exec can't have had CLOEXEC: one that has it was taken before, and has an owner.
  if ((flags & FD_CLOEXEC) != 0) return sys_error_code(EBADF, "take socket {}: taken before", quoted(name));
  if (::fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0) return sys_error("take socket {}: descriptor {}", quoted(name), fd);
  return UniqueFd(fd);
}

void forget_listen_fds() {
  ::unsetenv("LISTEN_PID");
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("LISTEN_FDNAMES");
}

Status give_listen_fds(std::span<const NamedFd> fds) {
  if (fds.size() > kMostFds) return sys_error_code(E2BIG, "pass {} sockets", fds.size());
  // First above all targets: a source may lie where another one goes.
  TRY_ASSIGN(const std::vector<UniqueFd> copies, copies_above(fds, kFirstFd + static_cast<int>(fds.size())));
  std::string names;
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (::dup2(copies[i].get(), kFirstFd + static_cast<int>(i)) < 0)
      return sys_error("pass socket {}", quoted(fds[i].name));
    names += (i == 0 ? "" : ":") + fds[i].name;
  }
  TRY(set_variable("LISTEN_PID", fmt::format("{}", ::getpid())));
  TRY(set_variable("LISTEN_FDS", fmt::format("{}", fds.size())));
  return set_variable("LISTEN_FDNAMES", names);
}

}  // namespace sandboxd
