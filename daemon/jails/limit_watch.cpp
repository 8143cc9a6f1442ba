#include "daemon/jails/limit_watch.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace sandboxd::jails {
namespace {

using wire::StartedFd;

constexpr std::uint64_t kLookEvery = 1'000'000;
constexpr std::uint64_t kTellEvery = 10'000'000;
constexpr std::uint64_t kFullPercent = 90;
constexpr std::uint64_t kAskAfter = 1U << 16;     // bytes that the jail's memory has changed by
constexpr std::uint32_t kSlowHundredths = 20'00;  // of the last ten seconds some process waited for memory

}  // namespace

bool LimitWatch::Edge::begins(bool now_on) {
  const bool rose = now_on && !on;
  on = now_on;
  waits = false;
  if (!rose) return false;
  const std::uint64_t now = monotonic_usec();
  if (told_at != 0 && now - told_at < kTellEvery) {
    on = false;  // tried again: a state that lasts is told in the end
    waits = true;
    return false;
  }
  told_at = now;
  return true;
}

Status LimitWatch::start(sd_event* loop, const Meter& meter, const Limits& limits, Emit emit) {
  loop_ = loop;
  meter_ = &meter;
  emit_ = std::move(emit);
  // Read once: only what changes after that is told.
  memory_ = meter.memory_events().value_or(cgroups::MemoryEvents());
  refused_forks_ = meter.refused_forks().value_or(0);
  if (const int fd = meter.fd(StartedFd::kMemoryEvents); fd >= 0)
    TRY(memory_watch_.start(loop, fd, EPOLLPRI, [this](std::uint32_t) { on_memory(); }));
  if (const int fd = meter.fd(StartedFd::kPidsEvents); fd >= 0)
    TRY(pids_watch_.start(loop, fd, EPOLLPRI, [this](std::uint32_t) { on_pids(); }));
  set_limits(limits);
  return {};
}

void LimitWatch::set_limits(const Limits& limits) {
  limits_ = limits;
  if (meter_ == nullptr || look_.active() || !looks()) return;
  (void)look_.arm(loop_, kLookEvery, [this] { look(); });
}

void LimitWatch::finish() {
  if (meter_ != nullptr && emit_) on_memory();
  memory_watch_.stop();
  pids_watch_.stop();
  look_.stop();
  emit_ = {};
  ask_ = {};
  meter_ = nullptr;
}

bool LimitWatch::looks() const {
  const bool memory = (limits_.memory_max != 0 || ask_) && meter_->fd(StartedFd::kMemoryCurrent) >= 0;
  return memory || limits_.cpu_max != 0;
}

void LimitWatch::on_memory() {
  const auto now = meter_->memory_events();
  if (!now) return memory_watch_.stop();  // the cgroup is gone
  const cgroups::MemoryEvents before = std::exchange(memory_, *now);
  if (now->oom_kill > before.oom_kill)
    emit_("oom",
          fmt::format(R"({{"killed":{},"memory_max":{}}})", now->oom_kill - before.oom_kill, limits_.memory_max));
}

void LimitWatch::on_pids() {
  const auto now = meter_->refused_forks();
  if (!now) return pids_watch_.stop();
  const std::uint64_t before = std::exchange(refused_forks_, *now);
  forks_.begins(false);
  if (*now > before && forks_.begins(true))
    emit_("pids_limit", fmt::format(R"({{"refused":{},"pids_max":{}}})", *now, limits_.pids_max));
}

void LimitWatch::look() {
  look_at_memory();
  if (meter_ != nullptr) look_at_cpu();
  if (meter_ != nullptr) look_at_scratch();
  if (meter_ != nullptr) set_limits(limits_);
}

void LimitWatch::look_at_memory() {
  const auto current = meter_->amount(StartedFd::kMemoryCurrent);
  if (limits_.memory_max == 0 || !current) return;
  const bool full = *current > limits_.memory_max / 100 * kFullPercent;
  const auto pressure = meter_->pressure(StartedFd::kMemoryPressure);
  const bool slow = pressure && pressure->some.avg10 > kSlowHundredths;
  const bool full_begins = full_.begins(full);
  const bool slow_begins = slow_.begins(slow);
  if (!full_begins && !slow_begins) return;
  emit_("memory_pressure", fmt::format(R"({{"memory_current":{},"memory_max":{},"waiting_percent":{}}})", *current,
                                       limits_.memory_max, pressure ? pressure->some.avg10 / 100 : 0));
}

void LimitWatch::look_at_cpu() {
  if (limits_.cpu_max == 0) return;
  const auto now = meter_->cpu();
  if (!now) return;
  const std::uint64_t before = std::exchange(throttled_, now->throttled_periods);
  if (throttling_.begins(now->throttled_periods > before)) {
    emit_("throttled", fmt::format(R"({{"throttled":{},"periods":{},"cpu_max":{}}})", now->throttled,
                                   now->throttled_periods, limits_.cpu_max));
  }
}

void LimitWatch::watch_scratch(std::vector<Scratch> scratch, std::function<void()> ask) {
  scratch_ = std::move(scratch);
  scratch_full_.assign(scratch_.size(), {});
  ask_ = std::move(ask);
  set_limits(limits_);
}

void LimitWatch::look_at_scratch() {
  if (!ask_ || asked_ || scratch_.empty()) return;
  const auto current = meter_->amount(StartedFd::kMemoryCurrent);
  if (!current) return;
  const std::uint64_t changed = std::max(*current, asked_at_memory_) - std::min(*current, asked_at_memory_);
  // A state that began while it was not to be told yet is asked for again.
  const bool untold = std::ranges::any_of(scratch_full_, &Edge::waits);
  if (changed < kAskAfter && !untold) return;
  asked_ = true;
  asked_at_memory_ = *current;
  ask_();
}

bool LimitWatch::on_full(std::uint64_t full) {
  if (!asked_ || (scratch_.size() < 64 && full >> scratch_.size() != 0)) return false;
  asked_ = false;
  for (std::size_t i = 0; i < scratch_.size() && meter_ != nullptr; ++i) {
    if (!scratch_full_[i].begins((full >> i & 1U) != 0)) continue;
    const nlohmann::json detail = {
        {"path", scratch_[i].path}, {"size", scratch_[i].size}, {"inodes", scratch_[i].inodes}};
    emit_("disk_full", detail.dump());
  }
  return true;
}

}  // namespace sandboxd::jails
