#include "daemon/jails/watch.h"

#include <ctime>

namespace sandboxd::jails {

Status IoWatch::start(sd_event* loop, int fd, std::uint32_t events, std::function<void(std::uint32_t)> callback) {
  sd_event_source* source = nullptr;
  callback_ = std::move(callback);
  events_ = events;
  const int code = sd_event_add_io(loop, &source, fd, events, trampoline, this);
  if (code < 0) return sys_error_code(-code, "sd_event_add_io");
  source_.reset(source);
  return {};
}

Status IoWatch::set_events(std::uint32_t events) {
  if (source_ == nullptr || events == events_) return {};
  int code = 0;
  if (events != 0) code = sd_event_source_set_io_events(source_.get(), events);
  // Without events epoll still reports EPOLLHUP, for ever: the source itself is turned off.
  if (code >= 0) code = sd_event_source_set_enabled(source_.get(), events == 0 ? SD_EVENT_OFF : SD_EVENT_ON);
  if (code < 0) return sys_error_code(-code, "sd_event_source_set_io_events");
  events_ = events;
  return {};
}

Status IoWatch::after_others() {
  const int code = sd_event_source_set_priority(source_.get(), SD_EVENT_PRIORITY_NORMAL + 1);
  if (code < 0) return sys_error_code(-code, "sd_event_source_set_priority");
  return {};
}

int IoWatch::trampoline(sd_event_source*, int, std::uint32_t events, void* self) noexcept {
  const auto callback = static_cast<IoWatch*>(self)->callback_;  // a copy: the call may drop the watch
  callback(events);
  return 0;
}

Status Timer::arm(sd_event* loop, std::uint64_t usec, std::function<void()> callback) {
  stop();
  callback_ = std::move(callback);
  sd_event_source* source = nullptr;
  const int code = sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, usec, 1000, trampoline, this);
  if (code < 0) return sys_error_code(-code, "sd_event_add_time");
  source_.reset(source);
  return {};
}

int Timer::trampoline(sd_event_source*, std::uint64_t, void* self) noexcept {
  auto* timer = static_cast<Timer*>(self);
  const auto callback = std::move(timer->callback_);
  timer->source_.reset();
  callback();
  return 0;
}

}  // namespace sandboxd::jails
