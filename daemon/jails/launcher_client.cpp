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
  auto pending = std::exchange(pending_, {});
  for (auto& [id, entry] : pending) {
    if (entry.done) entry.done(why);
  }
  callbacks_.disconnected();
}

void LauncherClient::send(wire::LauncherMessage type, std::vector<std::uint8_t> body, Done done,
                          std::uint64_t deadline_usec) {
  if (!connected()) {
    failed_.emplace_back(std::move(done), sys_error_code(ENOTCONN, "the launcher is away"));
    const Status armed = wake_.arm(loop_, 0, [this] {
      auto failed = std::exchange(failed_, {});
      for (auto& [callback, error] : failed) {
        if (callback) callback(error);
      }
    });
    if (!armed.ok()) spdlog::error("launcher: {}", armed.error().message());
    return;
  }
  const std::uint64_t id = next_id_++;
  Pending& entry = pending_[id];
  entry.type = type;
  entry.done = std::move(done);
  const Status armed = entry.late.arm(loop_, deadline_usec, [this, id] { give_up(id); });
  if (!armed.ok()) spdlog::error("launcher: {}", armed.error().message());
  outgoing_.push_back({type, id, std::move(body)});
  flush();
}

void LauncherClient::flush() {
  while (!outgoing_.empty()) {
    const Outgoing& next = outgoing_.front();
    const Status sent =
        wire::send_message(link_.fd(), static_cast<std::uint16_t>(next.type), next.id, next.body, {}, MSG_DONTWAIT);
    // A failure other than "full" shows as a hang-up in the loop, which tells everyone.
    if (!sent.ok()) break;
    outgoing_.pop_front();
  }
  link_.set_full(!outgoing_.empty());
}

void LauncherClient::take(wire::Message message) {
  if (message.id == 0 && message.type == static_cast<std::uint16_t>(wire::LauncherMessage::kProfileSet))
    return take_profiles(message);
  const auto found = pending_.find(message.id);
  if (found == pending_.end()) return end_unwanted(message);
  Done done = std::move(found->second.done);
  pending_.erase(found);
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
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  Done done = std::move(found->second.done);
  pending_.erase(found);
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
