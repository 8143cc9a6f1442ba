#include "daemon/jails/launcher_client.h"

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "base/socket.h"
#include "daemon/wire/run_profilec.h"

namespace sandboxd::jails {

LauncherClient::LauncherClient(sd_event* loop, std::string path, Callbacks callbacks)
    : loop_(loop),
      callbacks_(std::move(callbacks)),
      link_(loop, "launcher", std::move(path), wire::kStartedFds,
            {[this] { on_connected(); }, [this](wire::Message message) { take(std::move(message)); },
             [this] { flush(); }, [this](const Error& why) { on_lost(why); }}) {}

void LauncherClient::on_connected() {
  request(wire::LauncherMessage::kProfiles, wire::NumberRequest{}, [this](Result<wire::Message> answer) {
    if (!answer.ok()) return;
    if (answer->type == static_cast<std::uint16_t>(wire::LauncherMessage::kProfileSet)) take_profiles(*answer);
  });
  callbacks_.connected();
}

void LauncherClient::on_lost(const Error& why) {
  outgoing_.clear();
  starts_.clear();
  auto pending = std::exchange(pending_, {});
  for (auto& [id, entry] : pending) {
    if (entry.done) entry.done(why);
  }
  callbacks_.disconnected();
}

// False: the launcher is away, which is told later.
bool LauncherClient::expect(std::uint64_t id, wire::LauncherMessage type, Done done, std::uint64_t deadline_usec) {
  if (!connected()) {
    failed_.emplace_back(std::move(done), sys_error_code(ENOTCONN, "the launcher is away"));
    const Status armed = wake_.arm(loop_, 0, [this] {
      auto failed = std::exchange(failed_, {});
      for (auto& [callback, error] : failed) {
        if (callback) callback(error);
      }
    });
    if (!armed.ok()) spdlog::error("launcher: {}", armed.error().message());
    return false;
  }
  Pending& entry = pending_[id];
  entry.type = type;
  entry.done = std::move(done);
  const Status armed = entry.late.arm(loop_, deadline_usec, [this, id] { give_up(id); });
  if (!armed.ok()) spdlog::error("launcher: {}", armed.error().message());
  return true;
}

void LauncherClient::send(wire::LauncherMessage type, std::vector<std::uint8_t> body, Done done,
                          std::uint64_t deadline_usec) {
  const std::uint64_t id = next_id_++;
  if (!expect(id, type, std::move(done), deadline_usec)) return;
  outgoing_.push_back({type, id, std::move(body)});
  flush();
}

void LauncherClient::start(uid_t user, const wire::JailPlan& plan, Done done) {
  const std::uint64_t id = next_id_++;
  if (!expect(id, wire::LauncherMessage::kStart, std::move(done), kAnswerTime)) return;
  Pending& entry = pending_.at(id);
  entry.user = user;
  entry.waiting = wire::encode(plan);
  starts_.push(user, id);
  flush();
}

void LauncherClient::flush() {
  if (!connected()) return;
  while (!outgoing_.empty()) {
    const Outgoing& next = outgoing_.front();
    const Status sent =
        wire::send_message(link_.fd(), static_cast<std::uint16_t>(next.type), next.id, next.body, {}, MSG_DONTWAIT);
    // A failure other than "full" shows as a hang-up in the loop, which tells everyone.
    if (!sent.ok()) return link_.set_full(true);
    outgoing_.pop_front();
  }
  link_.set_full(!flush_starts());
}

bool LauncherClient::flush_starts() {
  while (const auto id = starts_.next()) {
    Pending& entry = pending_.at(*id);
    const Status sent =
        wire::send_message(link_.fd(), static_cast<std::uint16_t>(entry.type), *id, entry.waiting, {}, MSG_DONTWAIT);
    if (!sent.ok()) return false;
    entry.waiting = {};
    starts_.take();
  }
  return true;
}

// No longer waited for. What it leaves room for goes with the next flush().
LauncherClient::Done LauncherClient::settle(std::uint64_t id) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return {};
  Done done = std::move(found->second.done);
  if (const auto user = found->second.user) {
    if (found->second.waiting.empty()) {
      starts_.answered(*user);
    } else {
      starts_.forget(id);
    }
  }
  pending_.erase(found);
  return done;
}

void LauncherClient::take(wire::Message message) {
  if (message.id == 0 && message.type == static_cast<std::uint16_t>(wire::LauncherMessage::kProfileSet))
    return take_profiles(message);
  if (!pending_.contains(message.id)) return end_unwanted(message);
  const Done done = settle(message.id);
  flush();
  if (done) done(std::move(message));
}

void LauncherClient::take_profiles(const wire::Message& message) {
  if (message.fds.size() != 1) {
    spdlog::error("launcher: profile set with {} descriptors", message.fds.size());
    return;
  }
  auto set = wire::read_profile_set(message.fds.front().get());
  if (!set.ok()) {
    spdlog::error("launcher: {}", set.error().message());
    return;
  }
  callbacks_.profiles(std::make_shared<const wire::ProfileSet>(std::move(set).value()));
}

void LauncherClient::give_up(std::uint64_t id) {
  const Done done = settle(id);
  flush();
  if (done) done(sys_error_code(ETIMEDOUT, "the launcher did not answer"));
}

void LauncherClient::end_unwanted(const wire::Message& message) {
  if (message.type != static_cast<std::uint16_t>(wire::LauncherMessage::kStarted)) return;
  const auto started = wire::body_of<wire::Started>(message);
  if (!started.ok()) return;
  // Its control socket is closed with the message, so that jail-init ends it too.
  request(wire::LauncherMessage::kKill, wire::NumberRequest{started->number}, {});
}

}  // namespace sandboxd::jails
