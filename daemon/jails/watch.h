// sd-event sources with a callable, removed when dropped. A callback may drop its own watch. Callbacks must not throw: a C
// frame is above them, and the trampolines are noexcept. Timers are CLOCK_MONOTONIC, in microseconds from now.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <sys/epoll.h>
#include <systemd/sd-event.h>

#include "base/result.h"

namespace sandboxd::jails {

struct UnrefSource {
  void operator()(sd_event_source* source) const noexcept { sd_event_source_disable_unref(source); }
};
using EventSource = std::unique_ptr<sd_event_source, UnrefSource>;

class IoWatch {
 public:
  IoWatch() = default;
  IoWatch(const IoWatch&) = delete;
  IoWatch& operator=(const IoWatch&) = delete;

  // The descriptor stays the caller's and must outlive the watch.
  Status start(sd_event* loop, int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback);
  Status set_events(std::uint32_t events);  // 0: nothing is reported until set again
  Status after_others();                    // at a time, what others have to say comes first
  void stop() noexcept { source_.reset(); }
  [[nodiscard]] bool active() const noexcept { return source_ != nullptr; }

 private:
  static int trampoline(sd_event_source*, int fd, std::uint32_t events, void* self) noexcept;

  EventSource source_;
  std::function<void(std::uint32_t)> callback_;
  std::uint32_t events_ = 0;
};

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Once; a timer that runs is moved.
  Status arm(sd_event* loop, std::uint64_t usec, std::function<void()> callback);
  void stop() noexcept { source_.reset(); }
  [[nodiscard]] bool active() const noexcept { return source_ != nullptr; }

 private:
  static int trampoline(sd_event_source*, std::uint64_t now, void* self) noexcept;

  EventSource source_;
  std::function<void()> callback_;
};

}  // namespace sandboxd::jails
