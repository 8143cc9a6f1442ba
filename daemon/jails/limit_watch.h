// What a jail's limits do to it while it lives, as events: oom, pids_limit, memory_pressure, throttled. The kernel tells of the
// first two (poll(2), EPOLLPRI on the cgroup's event files). For memory_pressure and throttled it tells nobody who holds
// read-only descriptors: they are looked at once a second, and only where there is a limit. An event comes when a state
// begins, and at most every ten seconds. A host without the controller has no events.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/limits.h"
#include "daemon/jails/meter.h"
#include "daemon/jails/watch.h"

namespace sandboxd::jails {

class LimitWatch {
 public:
  // `detail`: a JSON object.
  using Emit = std::function<void(const std::string& kind, const std::string& detail)>;

  // `meter` must outlive it.
  Status start(sd_event* loop, const Meter& meter, const Limits& limits, Emit emit);
  void set_limits(const Limits& limits);
  void finish();  // what happened last is told

 private:
  // Says a state's beginning.
  struct Edge {
    bool on = false;
    std::uint64_t told_at = 0;
    bool begins(bool now_on);
  };

  void on_memory();
  void on_pids();
  void look();
  void look_at_memory();
  void look_at_cpu();
  [[nodiscard]] bool looks() const;

  sd_event* loop_ = nullptr;
  const Meter* meter_ = nullptr;
  Limits limits_{};
  Emit emit_;
  IoWatch memory_watch_, pids_watch_;
  Timer look_;
  cgroups::MemoryEvents memory_{};
  std::uint64_t refused_forks_ = 0;
  std::uint64_t throttled_ = 0;
  Edge full_, slow_, forks_, throttling_;
};

}  // namespace sandboxd::jails
