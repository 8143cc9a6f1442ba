#include "daemon/jails/clocks.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/core.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limit_text.h"

namespace sandboxd::jails {
namespace {

constexpr std::uint64_t kShortest = 1'000;  // between two looks
constexpr std::uint64_t kIdleLooks = 8;
constexpr std::uint64_t kLongestIdleLook = 10'000'000;

}  // namespace

std::string reached(std::string_view limit, const Limits& limits) {
  const LimitRow& row = *find_limit(limit);
  return fmt::format("{} {} was reached", limit, limit_text(row, limits.*row.member));
}

Status Clocks::start(sd_event* loop, const Limits& limits, std::function<std::optional<std::uint64_t>()> usage,
                     std::function<void(EndCause)> ended) {
  if (limits.cpu_time == 0 && limits.idle_time == 0) return {};
  loop_ = loop;
  limits_ = limits;
  usage_ = std::move(usage);
  ended_ = std::move(ended);
  processors_ = static_cast<std::uint64_t>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L));
  const auto now = usage_();
  if (!now) return sys_error_code(EIO, "read cpu.stat, which cpu_time and idle_time need");
  first_usage_ = last_usage_ = *now;
  active_at_ = monotonic_usec();
  TRY(look_at_cpu());
  return look_at_idle();
}

void Clocks::stop() {
  cpu_.stop();
  idle_.stop();
  ended_ = {};
}

void Clocks::over(EndCause cause) {
  const auto ended = std::exchange(ended_, {});
  stop();
  if (ended) ended(std::move(cause));
}

// The cgroup goes after stop() only. A clock that can't see holds nothing, and a jail isn't left without.
Status Clocks::lose_sight() {
  over({protocol::Verdict::kKilled, "its cpu.stat, which cpu_time and idle_time need, can't be read any more"});
  return {};
}

Status Clocks::look_at_cpu() {
  if (limits_.cpu_time == 0 || frozen_since_ != 0) return {};
  const auto now = usage_();
  if (!now) return lose_sight();
  const std::uint64_t used = *now - std::min(*now, first_usage_);
  if (used >= limits_.cpu_time) {
    over({protocol::Verdict::kTimeoutCpu, reached("cpu_time", limits_)});
    return {};
  }
  const std::uint64_t left = std::max(limits_.cpu_time - used, kCpuSlack);
  return cpu_.arm(loop_, std::max(left / processors_, kShortest), [this] {
    if (!look_at_cpu().ok()) over({protocol::Verdict::kKilled, "its clock could not be set"});
  });
}

Status Clocks::look_at_idle() {
  if (limits_.idle_time == 0 || frozen_since_ != 0) return {};
  const auto usage = usage_();
  if (!usage) return lose_sight();
  const std::uint64_t now = monotonic_usec();
  if (*usage != last_usage_) active_at_ = now;
  last_usage_ = *usage;
  const std::uint64_t idle = now - std::min(now, active_at_);
  if (idle >= limits_.idle_time) {
    over({protocol::Verdict::kTimeoutIdle, reached("idle_time", limits_)});
    return {};
  }
  const std::uint64_t look = std::clamp(limits_.idle_time / kIdleLooks, kShortest, kLongestIdleLook);
  return idle_.arm(loop_, std::max(std::min(look, limits_.idle_time - idle), kShortest), [this] {
    if (!look_at_idle().ok()) over({protocol::Verdict::kKilled, "its clock could not be set"});
  });
}

void Clocks::saw_output() { active_at_ = monotonic_usec(); }

void Clocks::freeze(bool frozen) {
  if (!ended_ || frozen == (frozen_since_ != 0)) return;
  const std::uint64_t now = monotonic_usec();
  if (frozen) {
    frozen_since_ = now;
    cpu_.stop();
    idle_.stop();
    return;
  }
  active_at_ += now - std::exchange(frozen_since_, 0);
  if (!look_at_cpu().ok() || !look_at_idle().ok()) over({protocol::Verdict::kKilled, "its clock could not be set"});
}

}  // namespace sandboxd::jails
