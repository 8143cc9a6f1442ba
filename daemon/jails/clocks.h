// The clocks of a jail that jail-init can't keep: processor time of all its processes (cpu.stat counts also those that are gone),
// and time in which nothing happens. The wall clock is jail-init's, with a backstop in jail.h.
//
// Nothing tells when a jail has used so much, so cpu.stat is read at the earliest moment at which it could have: what is left,
// divided by the processors, and never sooner than kCpuSlack of processor time later. So a jail gets at most kCpuSlack too
// much, and what the kernel has not counted yet (a tick on each processor); one with much left is hardly looked at.
// A jail is idle since the last output or the last look at which its processor time had grown, and is looked at eight times
// in its idle_time. Frozen time doesn't count. A jail without these limits has no timer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "daemon/jails/watch.h"
#include "protocol/job.h"

namespace sandboxd::jails {

// What ended a jail or a job, when a limit did.
struct EndCause {
  protocol::Verdict verdict{};
  std::string detail{};
};
// "memory_max 512M was reached".
[[nodiscard]] std::string reached(std::string_view limit, const Limits& limits);

class Clocks {
 public:
  static constexpr std::uint64_t kCpuSlack = 10'000;  // microseconds of processor time

  // `usage`: processor time so far, microseconds; nothing when it can't be known. `ended`: once.
  Status start(sd_event* loop, const Limits& limits, std::function<std::optional<std::uint64_t>()> usage,
               std::function<void(EndCause)> ended);
  void saw_output();
  void freeze(bool frozen);
  void stop();

 private:
  Status lose_sight();
  Status look_at_cpu();
  Status look_at_idle();
  void over(EndCause cause);

  sd_event* loop_ = nullptr;
  Limits limits_{};
  std::function<std::optional<std::uint64_t>()> usage_;
  std::function<void(EndCause)> ended_;
  Timer cpu_, idle_;
  std::uint64_t first_usage_ = 0;   // the jail's own set-up
  std::uint64_t last_usage_ = 0;    // at the last look for idleness
  std::uint64_t active_at_ = 0;     // CLOCK_MONOTONIC
  std::uint64_t frozen_since_ = 0;  // 0: it is not
  std::uint64_t processors_ = 1;
};

}  // namespace sandboxd::jails
