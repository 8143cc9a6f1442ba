#include "archive/stream.h"

#include <algorithm>
#include <cerrno>

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"

namespace sandboxd::archive {
namespace {

constexpr std::uint64_t kLook = 1'000'000;  // how long a signal that came just before poll(2) may go unnoticed
constexpr std::size_t kPiece = 64U << 10;

// Until `fd` is ready; a regular file always is.
Status wait_for(int fd, short events, const Patience& patience) {
  const std::uint64_t begun = monotonic_usec();
  for (;;) {
    if (patience.stop != nullptr && *patience.stop != 0) return sys_error_code(ECANCELED, "interrupted");
    const std::uint64_t now = monotonic_usec();
    std::uint64_t left = kLook;
    if (patience.each != 0) left = std::min(left, patience.each - std::min(patience.each, now - begun));
    if (patience.deadline != 0) left = std::min(left, patience.deadline - std::min(patience.deadline, now));
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>((left + 999) / 1000));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return sys_error("poll");
    if (left == 0) return sys_error_code(ETIMEDOUT, "the stream stands still");
  }
}

}  // namespace

Result<std::size_t> FdSource::read(std::span<char> into) {
  for (;;) {
    TRY(wait_for(fd_, POLLIN, patience_));
    const ssize_t got = ::read(fd_, into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR && errno != EAGAIN) return sys_error("read");
  }
}

Status FdSink::write(std::string_view bytes) {
  while (!bytes.empty()) {
    TRY(wait_for(fd_, POLLOUT, patience_));
    const ssize_t put = ::write(fd_, bytes.data(), std::min(bytes.size(), kPiece));
    if (put < 0 && errno != EINTR && errno != EAGAIN) return sys_error("write");
    if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace sandboxd::archive
