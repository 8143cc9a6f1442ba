// UniqueFd owns one file descriptor and closes it. Descriptors are opened O_CLOEXEC from birth; a raw int appears
// only inside the one call that needs it. Linux frees the number even when close(2) says EINTR: it is never retried.
#pragma once

#include <utility>

namespace sandboxd {

class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());  // closes the old one, and survives self-move
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(-1); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
  explicit operator bool() const noexcept { return valid(); }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

// A process known by pidfd; kills and reaps it when dropped (unless released), so that no error path leaves one behind.
class UniquePid {
 public:
  UniquePid() noexcept = default;
  UniquePid(int pid, UniqueFd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}
  UniquePid(UniquePid&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  UniquePid& operator=(UniquePid&& other) noexcept;
  ~UniquePid() { end(); }

  [[nodiscard]] int pid() const noexcept { return pid_; }
  [[nodiscard]] const UniqueFd& pidfd() const noexcept { return pidfd_; }
  [[nodiscard]] bool valid() const noexcept { return pid_ > 0; }
  void release() noexcept { pid_ = -1; }  // someone else reaps it now
  void end() noexcept;

 private:
  int pid_ = -1;
  UniqueFd pidfd_;
};

}  // namespace sandboxd
