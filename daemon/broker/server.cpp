#include "daemon/broker/server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/listen_fds.h"
#include "base/prompt_release.h"
#include "base/socket.h"
#include "base/text.h"
#include "daemon/broker/client.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/claim.h"
#include "daemon/wire/message.h"

namespace sandboxd::broker {
namespace {

constexpr std::size_t kMaxClaims = 1024;
// More would not fit one packet, and no program checks so many.
constexpr std::size_t kMaxGroups = 8192;
constexpr int kAcceptsAtOnce = 16;  // then the others have their turn
constexpr std::uint64_t kPauseUsec = 100'000;
// A channel a child, a connection a claim, and what is open anyway.
constexpr rlim_t kDescriptors = kInAll + kMaxClaims + 64;

constexpr std::uint64_t tag_of(std::uint8_t source, std::uint64_t id) { return id << 8 | source; }

void say(std::string_view text) { fmt::print(stderr, "sandboxd-broker: {}\n", text); }

Result<UniqueFd> listener(std::string_view name) {
  TRY_ASSIGN(UniqueFd fd, take_listen_fd(name));
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) < 0)
    return sys_error("socket {}: make non-blocking", quoted(name));
  return fd;
}

Result<UniqueFd> open_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT}) ::sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return sys_error("block signals");
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return sys_error("signalfd");
  return fd;
}

Status raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return sys_error("getrlimit RLIMIT_NOFILE");
  if (limit.rlim_cur >= kDescriptors) return {};
  if (limit.rlim_max < kDescriptors) {
    return make_error("RLIMIT_NOFILE is at most {}, must be {} or more", limit.rlim_max, kDescriptors);
  }
  limit.rlim_cur = kDescriptors;
  if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) return sys_error("setrlimit RLIMIT_NOFILE {}", kDescriptors);
  return {};
}

// No memory or no descriptor, here or in the whole system: the connection stays in the queue, so the next try must wait.
bool is_shortage(int code) { return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM; }

// Takes the client's packet off the queue without receiving it (no buffer, no control buffer): closing a socket with something
// in its queue resets it, and the client would read ECONNRESET where its refusal lies.
void discard_queue(int connection) {
  for (int i = 0; i < 4 && ::recv(connection, nullptr, 0, MSG_DONTWAIT | MSG_TRUNC) > 0; ++i) {
  }
}

void refuse(UniqueFd connection, BrokerRefusal refusal) {
  send_refusal(connection.get(), refusal);
  const PromptRelease prompt;
  discard_queue(connection.get());
  connection.reset();
}

// Asked of the socket before anything of the client is read.
Result<wire::Claimant> identify(int connection, bool admin) {
  TRY_ASSIGN(const PeerCredentials peer, peer_credentials(connection));
  TRY_ASSIGN(const std::vector<gid_t> groups, peer_groups(connection));
  if (groups.size() > kMaxGroups) return sys_error_code(E2BIG, "{} groups", groups.size());
  return wire::Claimant{peer.uid, peer.gid, {groups.begin(), groups.end()}, admin};
}

}  // namespace

Result<Server> Server::make() {
  Server server;
  TRY(raise_descriptor_limit());
  TRY_ASSIGN(std::vector<OwnedIds> owners, load_id_owners());
  server.table_ = Table(std::move(owners));
  TRY_ASSIGN(server.public_, listener("broker"));
  TRY_ASSIGN(server.admin_, listener("broker-admin"));
  TRY_ASSIGN(server.claim_listener_, listener("broker-claim"));
  forget_listen_fds();
  TRY_ASSIGN(server.signals_, open_signals());
  server.epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!server.epoll_) return sys_error("epoll_create1");
  TRY(server.watch(server.public_.get(), Source::kPublic, 0));
  TRY(server.watch(server.admin_.get(), Source::kAdmin, 0));
  TRY(server.watch(server.claim_listener_.get(), Source::kClaims, 0));
  TRY(server.watch(server.signals_.get(), Source::kSignals, 0));
  return server;
}

Status Server::run() {
  std::array<epoll_event, 64> events{};
  while (!stop_) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), wait_ms());
    if (ready < 0 && errno != EINTR) return sys_error("epoll_wait");
    for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(std::max(ready, 0)))) {
      TRY(dispatch(event.data.u64));
    }
    expire();
  }
  return {};
}

Status Server::watch(int fd, Source source, std::uint64_t id) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag_of(static_cast<std::uint8_t>(source), id);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) < 0) return sys_error("epoll_ctl");
  return {};
}

Status Server::dispatch(std::uint64_t tag) {
  const std::uint64_t id = tag >> 8;
  switch (static_cast<Source>(tag & 0xFF)) {
    case Source::kPublic: accept_clients(public_.get(), false); break;
    case Source::kAdmin: accept_clients(admin_.get(), true); break;
    case Source::kClaims: accept_claims(); break;
    case Source::kSignals: read_signals(); break;
    case Source::kChild: read_child(id); break;
    case Source::kClaim: read_claim(id); break;
    default: return make_error("epoll event {:#x}", tag);
  }
  return {};
}

void Server::pause_accepting(std::string_view what, int code) {
  say(fmt::format("{}: {}; not accepting for {} ms", what, errno_name(code), kPauseUsec / 1000));
  accept_again_ = monotonic_usec() + kPauseUsec;
  // The listeners stay readable: out of the set, or the loop would spin.
  for (const UniqueFd* fd : {&public_, &admin_}) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd->get(), nullptr);
}

void Server::accept_clients(int listener, bool admin) {
  for (int i = 0; i < kAcceptsAtOnce && accept_again_ == 0; ++i) {
    if (!accept_one(listener, admin)) return;
  }
}

bool Server::accept_one(int listener, bool admin) {
  UniqueFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection) {
    const int code = errno;
    if (is_shortage(code)) pause_accepting("accept", code);
    return code == ECONNABORTED || code == EINTR;
  }
  Result<wire::Claimant> who = identify(connection.get(), admin);
  if (const auto refusal = who.ok() ? table_.refusal(who->uid, admin) : BrokerRefusal::kNotAllowed) {
    refuse(std::move(connection), *refusal);
    return true;
  }
  return start_child(std::move(connection), std::move(who).value());
}

bool Server::start_child(UniqueFd connection, wire::Claimant who) {
  // Before fork: the child never learns anything else of this process.
  Result<std::pair<UniqueFd, UniqueFd>> channel = socket_pair(SOCK_SEQPACKET | SOCK_NONBLOCK);
  const pid_t pid = channel.ok() ? ::fork() : -1;
  if (pid == 0) serve_client(std::move(connection), std::move(channel->second));
  if (pid < 0) {
    pause_accepting("start a child", channel.ok() ? errno : channel.error().code);
    refuse(std::move(connection), BrokerRefusal::kTooMany);
    return false;
  }
  release_promptly(std::move(connection));  // the child may have ended before, which leaves the last one here
  const ChildId id = table_.add(who.uid);
  pids_.emplace(pid, id);
  const int fd = channel->first.get();
  children_.emplace(id, Child{pid, std::move(channel->first), monotonic_usec() + kBrokerHoldUsec, std::move(who)});
  if (!watch(fd, Source::kChild, id).ok()) forget_child(id);
  return true;
}

// From now on only its place in the limits is kept, until it is reaped. Its token is free.
void Server::forget_child(ChildId id) {
  const auto found = children_.find(id);
  if (found == children_.end()) return;
  ::kill(found->second.pid, SIGKILL);
  table_.drop_token(id);
  children_.erase(found);
}

void Server::read_child(ChildId id) {
  const auto found = children_.find(id);
  if (found == children_.end()) return;
  const Result<Packet> packet = receive_packet(found->second.channel.get(), sizeof(ChildToken), 0, MSG_DONTWAIT);
  if (!packet.ok() && packet.error().code == EAGAIN) return;
  ChildToken token{};
  if (!packet.ok() || packet->bytes.size() != token.size()) return forget_child(id);
  std::copy(packet->bytes.begin(), packet->bytes.end(), token.begin());
  if (!table_.hold(id, token)) return refuse_token(id);
  serve_parked(token);
}

void Server::refuse_token(ChildId id) {
  const Child& child = children_.at(id);
  Order order{OrderKind::kRefuse, BrokerRefusal::kTokenInUse};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&order);
  if (!send_packet(child.channel.get(), {bytes, sizeof order}, {}, MSG_DONTWAIT).ok()) forget_child(id);
}

void Server::accept_claims() {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    if (!accept_claim()) return;
  }
}

bool Server::accept_claim() {
  UniqueFd connection(::accept4(claim_listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection) return errno == ECONNABORTED || errno == EINTR;
  const Result<PeerCredentials> peer = peer_credentials(connection.get());
  // The socket is root's by its mode; by its peer too, whatever happened to the mode.
  if (!peer.ok() || peer->uid != 0) return true;
  if (claims_.size() >= kMaxClaims) {
    (void)wire::send(connection.get(), wire::ClaimMessage::kClaimFailed, 0,
                     wire::Refused{EAGAIN, "too many claims wait"}, {}, MSG_DONTWAIT);
    return true;
  }
  const ClaimId id = next_claim_++;
  const int fd = connection.get();
  claims_.emplace(id, Claim{std::move(connection), monotonic_usec() + wire::kClaimWaitUsec});
  if (!watch(fd, Source::kClaim, id).ok())
    claims_.erase(id);
  else
    read_claim(id);  // it is there already, as a rule: one wait less
  return true;
}

void Server::read_claim(ClaimId id) {
  const auto found = claims_.find(id);
  if (found == claims_.end()) return;
  Claim& claim = found->second;
  const Result<wire::Message> message = wire::receive_message(claim.connection.get(), 0, MSG_DONTWAIT);
  if (!message.ok() && message.error().code == EAGAIN) return;
  if (message.ok() && message->end) {
    claims_.erase(found);
    return;
  }
  if (claim.read || !message.ok() || message->type != static_cast<std::uint16_t>(wire::ClaimMessage::kClaim)) {
    return fail_claim(id, EPROTO, "malformed claim");
  }
  const Result<wire::Claim> body = wire::body_of<wire::Claim>(*message);
  if (!body.ok()) return fail_claim(id, EPROTO, "malformed claim");
  claim.id = message->id;
  claim.token = body->token;
  claim.read = true;
  serve_claim(id);
}

void Server::serve_claim(ClaimId id) {
  const Claim& claim = claims_.at(id);
  const std::optional<ChildId> holder = table_.take(claim.token);
  if (!holder) return;  // parked
  const auto child = children_.find(*holder);
  if (child == children_.end()) return fail_claim(id, ESRCH, "the client's child has ended");
  if (!hand_on(claim, child->second).ok()) return fail_claim(id, ESRCH, "the client's child has ended");
  claims_.erase(id);
}

// Whose it is first: a packet of ours can't come after one of the child's, which does not have the connection yet.
Status Server::hand_on(const Claim& claim, const Child& child) {
  TRY(wire::send(claim.connection.get(), wire::ClaimMessage::kClaimant, claim.id, child.who, {}, MSG_DONTWAIT));
  Order order{OrderKind::kAnswer, {}, {}, claim.id};
  const int fd = claim.connection.get();
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&order);
  return send_packet(child.channel.get(), {bytes, sizeof order}, {&fd, 1}, MSG_DONTWAIT);
}

void Server::serve_parked(const Token& token) {
  for (const auto& [id, claim] : claims_) {
    if (claim.read && claim.token == token) return serve_claim(id);
  }
}

void Server::fail_claim(ClaimId id, int code, const std::string& why) {
  const Claim& claim = claims_.at(id);
  (void)wire::send(claim.connection.get(), wire::ClaimMessage::kClaimFailed, claim.id, wire::Refused{code, why}, {},
                   MSG_DONTWAIT);
  claims_.erase(id);
}

void Server::read_signals() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) {
      reap();
    } else {
      stop_ = true;
    }
  }
}

void Server::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    const auto found = pids_.find(pid);
    if (found == pids_.end()) continue;
    const ChildId id = found->second;
    pids_.erase(found);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
      say(fmt::format("a client's child ended by signal {}", WTERMSIG(status)));
    children_.erase(id);
    table_.remove(id);
  }
}

void Server::expire() {
  const std::uint64_t now = monotonic_usec();
  while (!children_.empty() && children_.begin()->second.deadline <= now) forget_child(children_.begin()->first);
  while (!claims_.empty() && claims_.begin()->second.deadline <= now) {
    fail_claim(claims_.begin()->first, ETIMEDOUT, "no client has sent this token");
  }
  if (accept_again_ == 0 || accept_again_ > now) return;
  accept_again_ = 0;
  if (!watch(public_.get(), Source::kPublic, 0).ok() || !watch(admin_.get(), Source::kAdmin, 0).ok()) {
    pause_accepting("watch the listening sockets", ENOMEM);
  }
}

int Server::wait_ms() const {
  std::uint64_t next = ~std::uint64_t{0};
  if (!children_.empty()) next = std::min(next, children_.begin()->second.deadline);
  if (!claims_.empty()) next = std::min(next, claims_.begin()->second.deadline);
  if (accept_again_ != 0) next = std::min(next, accept_again_);
  if (next == ~std::uint64_t{0}) return -1;
  const std::uint64_t now = monotonic_usec();
  return next <= now ? 0 : static_cast<int>((next - now + 999) / 1000);
}

}  // namespace sandboxd::broker
