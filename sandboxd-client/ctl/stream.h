// Moves bytes between the job's pipes and our own standard descriptors. Ours are shared with whoever started us, so they
// are never made non-blocking (it would hold for them too); instead a write follows poll(2)'s POLLOUT and is small enough
// not to block on a pipe (PIPE_BUF, pipe(7)). Nothing here waits: one poll loop drives all of it. SIGPIPE must be ignored.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::ctl {

// The descriptors of one turn of the loop.
class Poller {
 public:
  // Returns what revents() takes.
  std::size_t add(int fd, short events);
  Status wait(int timeout_ms);
  [[nodiscard]] short revents(std::size_t index) const { return entries_.at(index).revents; }
  void clear() { entries_.clear(); }

 private:
  std::vector<pollfd> entries_{};
};

// A queue in front of one descriptor.
class Writer {
 public:
  explicit Writer(int borrowed) noexcept;
  explicit Writer(UniqueFd own) noexcept;

  void push(std::string_view bytes);
  void poll_with(Poller& poller);
  // After poll: writes what can't block.
  Status work(const Poller& poller);
  // What to do once the queue is empty: for the job's standard input.
  void close_when_empty() noexcept { closing_ = true; }
  void close() noexcept;

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool empty() const noexcept { return pending_.empty(); }
  [[nodiscard]] bool full() const noexcept { return pending_.size() >= kHighWater; }
  // The reader has gone: everything pushed is dropped.
  [[nodiscard]] bool broken() const noexcept { return broken_; }
  void set_broken() noexcept;
  // Whether splice(2) into it is worth a try: a pipe, or a regular file that is not in append mode.
  [[nodiscard]] bool takes_splice() const noexcept { return takes_splice_; }

 private:
  static constexpr std::size_t kHighWater = 1U << 20;

  int fd_ = -1;
  UniqueFd own_{};
  std::string pending_{};
  std::size_t written_ = 0;  // of pending_
  std::size_t chunk_ = 0;
  std::size_t index_ = 0;
  bool polled_ = false, broken_ = false, closing_ = false, takes_splice_ = false;
};

// From one descriptor into a Writer, until the end of either.
class Stream {
 public:
  using Transform = std::function<std::string(std::string_view)>;

  // `transform` (optional) turns what was read into what is written; without it bytes are spliced where they can be.
  Stream(UniqueFd own_source, Writer& sink, Transform transform = {});
  Stream(int borrowed_source, Writer& sink);

  void poll_with(Poller& poller);
  Status work(const Poller& poller);
  [[nodiscard]] bool ended() const noexcept { return source_ < 0; }
  void close() noexcept;

 private:
  enum class Wait { kSource, kSink };
  void inspect_source() noexcept;
  Status splice_some();
  Status read_some();

  int source_ = -1;
  UniqueFd own_{};
  Writer* sink_;
  Transform transform_;
  bool splices_ = false;
  Wait wait_ = Wait::kSource;
  std::size_t source_index_ = 0, sink_index_ = 0;
  bool source_polled_ = false, sink_polled_ = false;
};

}  // namespace sandboxd::ctl
