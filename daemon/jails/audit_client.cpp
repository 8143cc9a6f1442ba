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
constexpr std::uint64_t kFirstRetry = 20'000;
constexpr std::uint64_t kLastRetry = 1'000'000;

}  // namespace

AuditClient::AuditClient(sd_event* loop, std::string path, std::function<void()> connected)
    : loop_(loop), path_(std::move(path)), on_connected_(std::move(connected)), retry_usec_(kFirstRetry) {}

AuditClient::~AuditClient() { watch_.stop(); }

void AuditClient::start() { connect(); }

void AuditClient::connect() {
  auto socket = connect_unix(path_, SOCK_SEQPACKET | SOCK_NONBLOCK);
  if (!socket.ok()) {
    spdlog::debug("audit: {}", socket.error().message());
    reconnect_later();
    return;
  }
  socket_ = std::move(socket).value();
  const Status watched = watch_.start(loop_, socket_.get(), EPOLLIN, [this](std::uint32_t events) { on_io(events); });
  if (!watched.ok()) return disconnect(watched.error());
  retry_usec_ = kFirstRetry;
  flush();
  on_connected_();
}

void AuditClient::reconnect_later() {
  const Status armed = retry_.arm(loop_, retry_usec_, [this] { connect(); });
  if (!armed.ok()) spdlog::error("audit: {}", armed.error().message());
  retry_usec_ = std::min(retry_usec_ * 2, kLastRetry);
}

void AuditClient::disconnect(const Error& why) {
  watch_.stop();
  socket_.reset();
  sent_ = 0;
  spdlog::warn("audit: connection lost: {}", why.message());
  std::vector<Done> intents;
  std::erase_if(pending_, [&intents](Pending& entry) {
    if (entry.record.phase != wire::AuditPhase::kIntent) return false;
    intents.push_back(std::move(entry.done));
    return true;
  });
  for (const Done& done : intents) {
    if (done) done(why);
  }
  reconnect_later();
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
    const Status sent = wire::send(socket_.get(), wire::AuditMessage::kAppend, next.id, next.record, {}, MSG_DONTWAIT);
    if (!sent.ok()) break;  // full: EPOLLOUT comes; anything else shows as a hang-up in the loop
    ++sent_;
  }
  const Status set =
      watch_.set_events(sent_ == pending_.size() ? std::uint32_t{EPOLLIN} : std::uint32_t{EPOLLIN | EPOLLOUT});
  if (!set.ok()) spdlog::error("audit: {}", set.error().message());
}

void AuditClient::on_io(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush();
  for (int i = 0; i < 64 && connected(); ++i) {
    auto message = wire::receive_message(socket_.get(), 0, MSG_DONTWAIT);
    if (!message.ok()) {
      if (message.error().code == EAGAIN) return;
      return disconnect(message.error());
    }
    if (message->end) return disconnect(sys_error_code(EPIPE, "the audit program has closed it"));
    take(*message);
  }
}

void AuditClient::take(const wire::Message& message) {
  if (sent_ == 0 || pending_.front().id != message.id) {
    return disconnect(sys_error_code(EPROTO, "an answer to record {} that was not asked", message.id));
  }
  const bool acked = message.type == static_cast<std::uint16_t>(wire::AuditMessage::kAck);
  const auto ack = wire::body_of<wire::Ack>(message);
  const auto refused = wire::body_of<wire::Refused>(message);
  if (acked ? !ack.ok() : !refused.ok()) return disconnect(sys_error_code(EPROTO, "a malformed answer"));
  const Done done = std::move(pending_.front().done);
  pending_.pop_front();
  --sent_;
  if (!done) return;
  if (acked) return done(ack->index);
  done(sys_error_code(refused->code, "the audit log refused a record: {}", refused->detail));
}

}  // namespace sandboxd::jails
