// Where a stream's bytes come from and go to. Over a descriptor: blocking or not, with a deadline for each wait and one for
// the whole (CLOCK_MONOTONIC, microseconds), and a flag that a signal handler may set. Errors: ETIMEDOUT, ECANCELED.
#pragma once

#include <csignal>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace sandboxd::archive {

class Source {
 public:
  virtual ~Source() = default;
  virtual Result<std::size_t> read(std::span<char> into) = 0;  // 0: the end
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Status write(std::string_view bytes) = 0;  // all of it
};

struct Patience {
  std::uint64_t each = 0;      // microseconds; 0: for ever
  std::uint64_t deadline = 0;  // 0: none
  const volatile std::sig_atomic_t* stop = nullptr;
};

class FdSource final : public Source {
 public:
  explicit FdSource(int borrowed, Patience patience = {}) : fd_(borrowed), patience_(patience) {}
  Result<std::size_t> read(std::span<char> into) override;

 private:
  int fd_;
  Patience patience_;
};

// Must be a descriptor whose reader can go (SIGPIPE is ignored by the caller): EPIPE.
class FdSink final : public Sink {
 public:
  explicit FdSink(int borrowed, Patience patience = {}) : fd_(borrowed), patience_(patience) {}
  Status write(std::string_view bytes) override;

 private:
  int fd_;
  Patience patience_;
};

}  // namespace sandboxd::archive
