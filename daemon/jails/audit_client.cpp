#include "daemon/jails/audit_client.h"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "base/socket.h"
#include "daemon/jails/random_id.h"

namespace sandboxd::jails {
namespace {

constexpr std::uint64_t kSoon = 5'000;

}  // namespace

AuditClient::AuditClient(sd_event* loop, std::string path, std::function<void()> connected)
    : loop_(loop),
      on_connected_(std::move(connected)),
      link_(loop, "audit", std::move(path), 0,
            {[this] { on_connected(); }, [this](const wire::Message& message) { take(message); }, [this] { flush(); },
             [this](const Error& why) { on_lost(why); }}) {}

void AuditClient::on_connected() {
  flush();
  on_connected_();
}

void AuditClient::on_lost(const Error& why) {
  sent_ = 0;
  std::vector<Done> intents;
  std::erase_if(pending_, [&intents](Pending& entry) {
    if (entry.record.phase != wire::AuditPhase::kIntent) return false;
    intents.push_back(std::move(entry.done));
    return true;
  });
  for (const Done& done : intents) {
    if (done) done(why);
  }
}

void AuditClient::append(wire::AuditRecord record, Done done) {
  keep(std::move(record), std::move(done));
  if (connected()) flush();
}

void AuditClient::append_soon(wire::AuditRecord record, Done done) {
  keep(std::move(record), std::move(done));
  if (!connected() || soon_.active()) return;
  const auto send = [this] {
    if (connected()) flush();
  };
  if (!soon_.arm(loop_, kSoon, send).ok()) send();
}

void AuditClient::keep(wire::AuditRecord record, Done done) {
  const bool intent = record.phase == wire::AuditPhase::kIntent;
  if (pending_.size() >= kMostPending || (intent && !connected())) {
    failed_.emplace_back(std::move(done), sys_error_code(intent ? ENOTCONN : ENOBUFS, "the audit log is away"));
    const Status armed = wake_.arm(loop_, 0, [this] {
      auto failed = std::exchange(failed_, {});
      for (auto& [callback, error] : failed) {
        if (callback) callback(error);
      }
    });
    if (!armed.ok()) spdlog::error("audit: {}", armed.error().message());
    return;
  }
  if (!intent) record.id = random_id("e-");
  pending_.push_back({std::move(record), std::move(done), next_id_++});
}

void AuditClient::flush() {
  while (sent_ < pending_.size()) {
    const Pending& next = pending_[sent_];
    const Status sent = wire::send(link_.fd(), wire::AuditMessage::kAppend, next.id, next.record, {}, MSG_DONTWAIT);
    if (!sent.ok()) break;  // full: EPOLLOUT comes; anything else shows as a hang-up in the loop
    ++sent_;
  }
  link_.set_full(sent_ != pending_.size());
}

void AuditClient::take(const wire::Message& message) {
  if (sent_ == 0 || pending_.front().id != message.id) {
    return link_.drop(sys_error_code(EPROTO, "an answer to record {} that was not asked", message.id));
  }
  const bool acked = message.type == static_cast<std::uint16_t>(wire::AuditMessage::kAck);
  const auto ack = wire::body_of<wire::Ack>(message);
  const auto refused = wire::body_of<wire::Refused>(message);
  if (acked ? !ack.ok() : !refused.ok()) return link_.drop(sys_error_code(EPROTO, "a malformed answer"));
  const Done done = std::move(pending_.front().done);
  pending_.pop_front();
  --sent_;
  if (!done) return;
  if (acked) return done(ack->index);
  done(sys_error_code(refused->code, "the audit log refused a record: {}", refused->detail));
}

}  // namespace sandboxd::jails
