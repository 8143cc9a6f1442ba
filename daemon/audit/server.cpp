#include "daemon/audit/server.h"

#include <algorithm>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/listen_fds.h"
#include "base/socket.h"
#include "base/text.h"

namespace sandboxd::audit {
namespace {

constexpr std::size_t kMaxIncoming = 256;  // of one connection, before it waits for the disk
constexpr std::size_t kMaxOfSandboxd = 16;
constexpr std::size_t kMaxOfLauncher = 512;  // a launch child each

Result<UniqueFd> listener(std::string_view name) {
  TRY_ASSIGN(UniqueFd fd, take_listen_fd(name));
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) < 0)
    return sys_error("socket {}: make non-blocking", sandboxd::quoted(name));
  return fd;
}

Result<UniqueFd> open_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT}) ::sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return sys_error("block signals");
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return sys_error("signalfd");
  return fd;
}

void say(const std::string& text) { fmt::print(stderr, "sandboxd-audit: {}\n", text); }

}  // namespace

Result<Sockets> take_sockets() {
  Sockets sockets;
  TRY_ASSIGN(sockets.sandboxd, listener("audit"));
  TRY_ASSIGN(sockets.launcher, listener("audit-launcher"));
  forget_listen_fds();
  TRY_ASSIGN(sockets.signals, open_signals());
  return sockets;
}

Server::Server(Log log, Sockets sockets, uid_t sandboxd_uid)
    : log_(std::move(log)), sockets_(std::move(sockets)), sandboxd_uid_(sandboxd_uid) {}

Status Server::run() {
  while (!stop_) {
    TRY(wait());
    // The launcher first to be read, sandboxd first to be written: an intent that was sent before a launcher's record cites it
    // is then in sandboxd's queue, and is read and written before that record.
    accept_all(sockets_.launcher.get(), Source::kLauncher);
    read_all(Source::kLauncher);
    accept_all(sockets_.sandboxd.get(), Source::kSandboxd);
    read_all(Source::kSandboxd);
    TRY(write_incoming(Source::kSandboxd));
    TRY(write_incoming(Source::kLauncher));
    TRY(commit());
    for (Connection& connection : connections_) answer(connection);
    drop_closed();
  }
  return {};
}

Status Server::wait() {
  polled_.assign({{sockets_.signals.get(), POLLIN, 0},
                  {sockets_.sandboxd.get(), POLLIN, 0},
                  {sockets_.launcher.get(), POLLIN, 0}});
  for (const Connection& connection : connections_) {
    short events = 0;
    if (!connection.outgoing.empty())
      events = POLLOUT;
    else if (connection.incoming.size() < kMaxIncoming)
      events = POLLIN;
    polled_.push_back({connection.fd.get(), events, 0});
  }
  const int idle_ms = log_.idle_wait_ms();
  const int ready = ::poll(polled_.data(), polled_.size(), idle_ms);
  if (ready < 0 && errno != EINTR) return sys_error("poll");
  if (ready == 0 && idle_ms >= 0) TRY(log_.prepare_step());
  stop_ = ready > 0 && polled_.front().revents != 0;
  return {};
}

std::size_t Server::count(Source source) const {
  return static_cast<std::size_t>(std::count_if(connections_.begin(), connections_.end(),
                                                [source](const Connection& c) { return c.source == source; }));
}

void Server::accept_all(int listener, Source source) {
  while (accept_one(listener, source)) {
  }
}

bool Server::accept_one(int listener, Source source) {
  UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return errno == ECONNABORTED || errno == EINTR;
  const Result<PeerCredentials> peer = peer_credentials(fd.get());
  const uid_t wanted = source == Source::kLauncher ? 0 : sandboxd_uid_;
  if (!peer.ok() || peer->uid != wanted) {
    say(fmt::format("refused a connection to the {}'s socket: not uid {}", to_text(source), wanted));
    return true;
  }
  if (count(source) >= (source == Source::kLauncher ? kMaxOfLauncher : kMaxOfSandboxd)) {
    say(fmt::format("refused a connection to the {}'s socket: too many", to_text(source)));
    return true;
  }
  Connection connection;
  connection.fd = std::move(fd);
  connection.source = source;
  connections_.push_back(std::move(connection));
  return true;
}

void Server::read_all(Source source) {
  for (Connection& connection : connections_) {
    if (connection.source == source && !connection.closed) read(connection);
  }
}

void Server::read(Connection& connection) {
  connection.more = true;
  // Answers that nobody takes: what it sends waits in its own socket.
  while (connection.outgoing.empty() && connection.incoming.size() < kMaxIncoming) {
    Result<wire::Message> message = wire::receive_message(connection.fd.get(), 0, MSG_DONTWAIT);
    if (!message.ok() && message.error().code == EAGAIN) {
      connection.more = false;
      return;
    }
    if (!message.ok() || message->end) {
      if (!message.ok())
        say(fmt::format("a connection of the {}: {}", to_text(connection.source), message.error().message()));
      connection.closed = true;
      connection.more = false;
      return;
    }
    Incoming incoming;
    incoming.id = message->id;
    Result<wire::AuditRecord> record = wire::body_of<wire::AuditRecord>(*message);
    if (message->type != static_cast<std::uint16_t>(wire::AuditMessage::kAppend)) {
      incoming.refused = sys_error_code(EPROTO, "message of type {}", message->type);
    } else if (!record.ok()) {
      incoming.refused = std::move(record).error();
    } else {
      incoming.record = std::move(*record);
    }
    connection.incoming.push_back(std::move(incoming));
  }
}

bool Server::sandboxd_has_more() const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [](const Connection& c) { return c.source == Source::kSandboxd && c.more; });
}

Status Server::write_incoming(Source source) {
  for (Connection& connection : connections_) {
    while (connection.source == source && !connection.incoming.empty()) {
      if (log_.is_full()) TRY(commit());
      if (!stage_front(connection)) break;
    }
  }
  return {};
}

// False: the record must wait for an intent that may be on its way.
bool Server::stage_front(Connection& connection) {
  const Incoming& incoming = connection.incoming.front();
  const wire::AuditRecord& record = incoming.record;
  Answer answer;
  answer.id = incoming.id;
  Error refused = incoming.refused;
  const bool cites = connection.source == Source::kLauncher && !record.request.empty();
  if (refused.context.empty() && cites && !log_.has_intent(record.request)) {
    if (sandboxd_has_more()) return false;
    refused = sys_error_code(EPERM, "no intent with request id {} is in the log", sandboxd::quoted(record.request));
  }
  if (refused.context.empty()) {
    Result<wire::Ack> staged = log_.stage(record, connection.source);
    if (staged.ok()) {
      answer.acked = true;
      answer.ack = *staged;
      batch_.emplace_back(&connection, connection.outgoing.size());
    } else {
      refused = std::move(staged).error();
    }
  }
  if (!answer.acked) answer.refused = {refused.code, refused.message()};
  connection.outgoing.push_back(std::move(answer));
  connection.incoming.pop_front();
  return true;
}

Status Server::commit() {
  TRY_ASSIGN(const Commit done, log_.commit());
  if (done == Commit::kNoSpace) {
    say("the disk is full: records are refused");
    for (const auto& [connection, at] : batch_) {
      Answer& answer = connection->outgoing[at];
      answer.acked = false;
      answer.refused = {ENOSPC, "the audit log's disk is full"};
    }
  }
  batch_.clear();
  return {};
}

void Server::answer(Connection& connection) {
  while (!connection.outgoing.empty()) {
    const Answer& front = connection.outgoing.front();
    const Status sent =
        front.acked
            ? wire::send(connection.fd.get(), wire::AuditMessage::kAck, front.id, front.ack, {}, MSG_DONTWAIT)
            : wire::send(connection.fd.get(), wire::AuditMessage::kRefused, front.id, front.refused, {}, MSG_DONTWAIT);
    if (!sent.ok() && sent.error().code == EAGAIN) return;
    if (!sent.ok()) connection.closed = true;
    if (!sent.ok())
      connection.outgoing.clear();
    else
      connection.outgoing.pop_front();
  }
}

// What a peer that has gone sent before is written all the same: it may have acted on it.
void Server::drop_closed() {
  connections_.remove_if([](const Connection& c) { return c.closed && c.incoming.empty(); });
}

}  // namespace sandboxd::audit
