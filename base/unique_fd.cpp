#include "base/unique_fd.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>

namespace sandboxd {

void UniqueFd::reset(int fd) noexcept {
  if (int old = std::exchange(fd_, fd); old >= 0) {
    const int saved = errno;  // a destructor must not eat the errno its caller is about to report
    ::close(old);
    errno = saved;
  }
}

UniquePid& UniquePid::operator=(UniquePid&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

void UniquePid::end() noexcept {
  if (pid_ <= 0) return;
  const int saved = errno;
  if (pidfd_.valid()) {
    ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
  } else {
    ::kill(pid_, SIGKILL);
  }
  while (::waitpid(pid_, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  errno = saved;
}

}  // namespace sandboxd
