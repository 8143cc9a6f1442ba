#include "daemon/jails/kill_ladder.h"

#include <cerrno>
#include <utility>

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "base/clock.h"

namespace sandboxd::jails {

void KillLadder::start(sd_event* loop, UniqueFd cgroup_kill, std::function<Status(int)> signal,
                       std::function<void()> stuck, std::uint64_t stuck_after) {
  loop_ = loop;
  cgroup_kill_ = std::move(cgroup_kill);
  signal_ = std::move(signal);
  stuck_ = std::move(stuck);
  stuck_after_ = stuck_after;
}

void KillLadder::climb(int signal, std::uint64_t grace_usec) {
  if (killed_) return;
  if (grace_usec == 0 || !signal_(signal).ok()) return kill();
  const std::uint64_t at = monotonic_usec() + grace_usec;
  if (kill_at_ != 0 && kill_at_ <= at) return;
  kill_at_ = at;
  if (!grace_.arm(loop_, grace_usec, [this] { kill(); }).ok()) kill();
}

void KillLadder::kill() {
  if (killed_ || !cgroup_kill_) return;
  killed_ = true;
  grace_.stop();
  rewrite();
  const Status armed = last_.arm(loop_, stuck_after_, [this] { stuck_(); });
  if (!armed.ok()) spdlog::error("kill: {}", armed.error().message());
}

void KillLadder::rewrite() {
  if (!cgroup_kill_) return;
  if (::write(cgroup_kill_.get(), "1", 1) == 1) return;
  const int code = errno;
  if (code != ENODEV)
    spdlog::error("kill: {}", sys_error_code(code, "write 'cgroup.kill'").message());  // ENODEV: the cgroup is gone
}

void KillLadder::stop() {
  grace_.stop();
  last_.stop();
}

void KillLadder::release() {
  stop();
  cgroup_kill_.reset();
}

}  // namespace sandboxd::jails
