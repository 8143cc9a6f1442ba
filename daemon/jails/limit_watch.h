// What a jail's limits do to it while it lives, as events: oom, pids_limit, memory_pressure, throttled, disk_full. The kernel tells
// of the first two (poll(2), EPOLLPRI on the cgroup's event files). For memory_pressure and throttled it tells nobody who holds
// read-only descriptors: they are looked at once a second, and only where there is a limit. disk_full is jail-init's word: it is
// asked when the jail's memory, where tmpfs are, has changed, so that an idle jail stays idle. An event comes when a state
// begins, and at most every ten seconds. A host without the controller has no events.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

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
  // The jail's tmpfs, and how jail-init is asked which of them are full; on_full() takes the answer, bit n for the nth.
  struct Scratch {
    std::string path{};
    std::uint64_t size = 0, inodes = 0;
  };
  void watch_scratch(std::vector<Scratch> scratch, std::function<void()> ask);
  // False: nobody asked, or no such tmpfs.
  [[nodiscard]] bool on_full(std::uint64_t full);
  void finish();  // what happened last is told

 private:
  // Says a state's beginning.
  struct Edge {
    bool on = false;
    bool waits = false;  // it began too soon after the last one
    std::uint64_t told_at = 0;
    bool begins(bool now_on);
  };

  void on_memory();
  void on_pids();
  void look();
  void look_at_memory();
  void look_at_cpu();
  void look_at_scratch();
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
  std::vector<Scratch> scratch_{};
  std::vector<Edge> scratch_full_{};
  std::function<void()> ask_;
  bool asked_ = false;
  std::uint64_t asked_at_memory_ = 0;  // bytes
};

}  // namespace sandboxd::jails
