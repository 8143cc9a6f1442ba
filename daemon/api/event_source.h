// Owners of sd-event objects, and the trampolines that lead from its C callbacks to member functions. A trampoline never
// throws: above it are C frames.
#pragma once

#include <cstdint>
#include <memory>

#include <systemd/sd-event.h>

namespace sandboxd::api {

template <auto Unref> struct Unrefs {
  template <class T> void operator()(T* object) const noexcept { Unref(object); }
};
using EventLoop = std::unique_ptr<sd_event, Unrefs<sd_event_unref>>;
using EventSource = std::unique_ptr<sd_event_source, Unrefs<sd_event_source_disable_unref>>;

template <class T, void (T::*Member)(std::uint32_t revents)>
int on_io(sd_event_source*, int, std::uint32_t revents, void* self) noexcept {
  (static_cast<T*>(self)->*Member)(revents);
  return 0;
}

template <class T, void (T::*Member)()> int on_time(sd_event_source*, std::uint64_t, void* self) noexcept {
  (static_cast<T*>(self)->*Member)();
  return 0;
}

template <class T, void (T::*Member)()> int on_defer(sd_event_source*, void* self) noexcept {
  (static_cast<T*>(self)->*Member)();
  return 0;
}

}  // namespace sandboxd::api
