// How a jail is ended: a signal to the job, a time of grace, cgroup.kill, and if it is still there after that (a process in
// D state) it is stuck. Each rung is taken once; a later call can only climb faster. The files are the jail's own, opened by
// the launcher: no path and no pid is used.
#pragma once

#include <cstdint>
#include <functional>

#include "base/unique_fd.h"
#include "daemon/jails/watch.h"

namespace sandboxd::jails {

class KillLadder {
 public:
  static constexpr std::uint64_t kStuckAfter = 10'000'000;

  // `signal`: tells jail-init to signal the job; an error climbs at once.
  void start(sd_event* loop, UniqueFd cgroup_kill, std::function<Status(int)> signal, std::function<void()> stuck,
             std::uint64_t stuck_after = kStuckAfter);
  void climb(int signal, std::uint64_t grace_usec);
  void kill();     // the last rung, now
  void rewrite();  // cgroup.kill once more, for what is left in the cgroup
  void stop();     // jail-init is gone
  void release();  // the cgroup is gone
  [[nodiscard]] bool killed() const { return killed_; }

 private:
  sd_event* loop_ = nullptr;
  UniqueFd cgroup_kill_;
  std::function<Status(int)> signal_;
  std::function<void()> stuck_;
  std::uint64_t stuck_after_ = kStuckAfter;
  std::uint64_t kill_at_ = 0;  // CLOCK_MONOTONIC; 0: not climbing
  Timer grace_;
  Timer last_;
  bool killed_ = false;
};

}  // namespace sandboxd::jails
