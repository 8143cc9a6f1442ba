#include "sandboxd-client/ctl/stream.h"

#include <algorithm>
#include <cerrno>
#include <climits>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sandboxd::ctl {
namespace {

constexpr std::size_t kReadBytes = 65536;
constexpr std::size_t kSpliceBytes = 1U << 20;
constexpr short kReadable = POLLIN | POLLHUP | POLLERR;
constexpr short kWritable = POLLOUT | POLLERR | POLLHUP;

bool is_transient(int code) { return code == EAGAIN || code == EINTR; }

}  // namespace

std::size_t Poller::add(int fd, short events) {
  entries_.push_back({fd, events, 0});
  return entries_.size() - 1;
}

Status Poller::wait(int timeout_ms) {
  if (::poll(entries_.data(), entries_.size(), timeout_ms) >= 0) return {};
  if (errno != EINTR) return sys_error("poll");
  for (pollfd& entry : entries_) entry.revents = 0;
  return {};
}

Writer::Writer(int borrowed) noexcept : fd_(borrowed) {
  struct stat info {};
  const bool known = ::fstat(fd_, &info) == 0;
  const int flags = ::fcntl(fd_, F_GETFL);
  const bool file = known && S_ISREG(info.st_mode);
  takes_splice_ = known && (S_ISFIFO(info.st_mode) || (file && flags >= 0 && (flags & O_APPEND) == 0));
  // A pipe says POLLOUT when PIPE_BUF bytes fit; a regular file or a non-blocking descriptor never blocks.
  const bool never_blocks = file || (flags >= 0 && (flags & O_NONBLOCK) != 0);
  chunk_ = never_blocks ? kReadBytes : PIPE_BUF;
}

Writer::Writer(UniqueFd own) noexcept : Writer(own.get()) { own_ = std::move(own); }

void Writer::push(std::string_view bytes) {
  if (!broken_) pending_.append(bytes);
}

void Writer::poll_with(Poller& poller) {
  polled_ = fd_ >= 0 && !broken_ && !pending_.empty();
  if (polled_) index_ = poller.add(fd_, POLLOUT);
}

Status Writer::work(const Poller& poller) {
  if (std::exchange(polled_, false) && (poller.revents(index_) & kWritable) != 0) {
    const ssize_t wrote = ::write(fd_, pending_.data() + written_, std::min(chunk_, pending_.size() - written_));
    if (wrote < 0 && errno == EPIPE) {
      set_broken();
    } else if (wrote < 0 && !is_transient(errno)) {
      const int code = errno;
      set_broken();
      return sys_error_code(code, "write");
    } else if (wrote > 0) {
      written_ += static_cast<std::size_t>(wrote);
    }
    if (written_ == pending_.size()) {
      pending_.clear();
      written_ = 0;
    }
  }
  if (closing_ && pending_.empty()) close();
  return {};
}

void Writer::set_broken() noexcept {
  broken_ = true;
  pending_.clear();
  written_ = 0;
}

void Writer::close() noexcept {
  own_.reset();
  fd_ = -1;
}

Stream::Stream(UniqueFd own_source, Writer& sink, Transform transform)
    : source_(own_source.get()), own_(std::move(own_source)), sink_(&sink), transform_(std::move(transform)) {
  inspect_source();
}

Stream::Stream(int borrowed_source, Writer& sink) : source_(borrowed_source), sink_(&sink) { inspect_source(); }

void Stream::inspect_source() noexcept {
  struct stat info {};
  const bool known = ::fstat(source_, &info) == 0;
  // splice(2) wants a pipe on one side.
  splices_ = known && !transform_ && sink_->takes_splice() && (S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode));
}

void Stream::poll_with(Poller& poller) {
  source_polled_ = sink_polled_ = false;
  if (ended()) return;
  if (sink_->broken() || sink_->fd() < 0) {
    close();
    return;
  }
  if (sink_->full() || (splices_ && !sink_->empty())) return;
  if (wait_ == Wait::kSource) {
    source_polled_ = true;
    source_index_ = poller.add(source_, POLLIN);
  }
  // Without POLLOUT it still tells that the reader has gone: there is no use in waiting for more to give it.
  sink_polled_ = true;
  sink_index_ = poller.add(sink_->fd(), wait_ == Wait::kSink ? POLLOUT : short{0});
}

Status Stream::work(const Poller& poller) {
  if (ended()) return {};
  if (source_polled_ && (poller.revents(source_index_) & (kReadable | POLLNVAL)) != 0) {
    return splices_ ? splice_some() : read_some();
  }
  if (!sink_polled_) return {};
  if ((poller.revents(sink_index_) & POLLERR) != 0) {
    sink_->set_broken();
    close();
  } else if (wait_ == Wait::kSink && (poller.revents(sink_index_) & kWritable) != 0) {
    return splice_some();
  }
  return {};
}

Status Stream::splice_some() {
  const ssize_t moved =
      ::splice(source_, nullptr, sink_->fd(), nullptr, kSpliceBytes, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (moved > 0) {
    wait_ = Wait::kSource;
  } else if (moved == 0) {
    close();
  } else if (errno == EAGAIN) {
    wait_ = wait_ == Wait::kSource ? Wait::kSink : Wait::kSource;
  } else if (errno == EPIPE) {
    sink_->set_broken();
    close();
  } else if (errno == EINVAL) {
    splices_ = false;
    wait_ = Wait::kSource;
  } else if (errno != EINTR) {
    const Error error = sys_error("splice");
    sink_->set_broken();
    close();
    return error;
  }
  return {};
}

Status Stream::read_some() {
  char bytes[kReadBytes];
  const ssize_t got = ::read(source_, bytes, sizeof bytes);
  if (got < 0 && is_transient(errno)) return {};
  if (got <= 0) {
    // EIO is a background process's answer from its terminal (setpgid(2)), and what a hung-up one says: the end as well.
    const Error error = sys_error("read");
    close();
    return got == 0 || error.code == EIO ? Status() : Status(error);
  }
  const std::string_view text(bytes, static_cast<std::size_t>(got));
  sink_->push(transform_ ? transform_(text) : std::string(text));
  return {};
}

void Stream::close() noexcept {
  source_ = -1;
  own_.reset();
}

}  // namespace sandboxd::ctl
