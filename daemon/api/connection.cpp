#include "daemon/api/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fmt/core.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/prompt_release.h"
#include "base/socket.h"
#include "protocol/envelope.h"
#include "protocol/errors.h"

namespace sandboxd::api {
namespace {

constexpr std::size_t kReadSize = 65536;
constexpr std::size_t kHighWater = 256U << 10;  // bytes unsent: the methods are asked to pause
constexpr std::size_t kLowWater = 64U << 10;    // and to go on; a new call begins below this only
constexpr std::size_t kCallBytes = 16U << 10;   // of a call; one that has more counts as several
constexpr int kCallsAtOnce = 16;                // then the other connections have their turn
constexpr std::uint64_t kHoldUsec =
    100'000;  // how long a client is not read that calls too often, or leaves descriptors

}  // namespace

Connection::Connection(VarlinkServer& server, UniqueFd socket, Peer peer, User& user)
    : server_(server), socket_(std::move(socket)), peer_(std::move(peer)), user_(user) {}

Connection::~Connection() {
  clear_call();
  uncount(in_counted_ + out_size_);
  io_.reset();
  release_promptly(std::move(socket_));
}

Status Connection::start() {
  sd_event_source* source = nullptr;
  int code = sd_event_add_io(server_.loop_.get(), &source, socket_.get(), EPOLLIN,
                             on_io<Connection, &Connection::io_ready>, this);
  if (code < 0) return sys_error_code(-code, "watch connection");
  io_.reset(source);
  code = sd_event_add_defer(server_.loop_.get(), &source, on_defer<Connection, &Connection::deferred>, this);
  if (code < 0) return sys_error_code(-code, "add defer source");
  defer_.reset(source);
  code = sd_event_source_set_enabled(source, SD_EVENT_OFF);
  if (code < 0) return sys_error_code(-code, "disable defer source");
  return {};
}

void Connection::io_ready(std::uint32_t revents) {
  if (ended_) return;
  if ((revents & EPOLLOUT) != 0) flush();
  if (reading() && (revents & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    read_some();
  } else if ((revents & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0 && (call_ || held_ || !in_.has_frame())) {
    // Calls that came whole before the client left are still carried out, until one has to wait.
    end("");
  }
  step();
}

bool Connection::reading() const {
  return !ended_ && !call_ && !held_ && !closing_ && !in_.has_frame() && out_size_ < kLowWater;
}

// A descriptor that came with it is let go of in here.
ssize_t Connection::receive(std::span<char> buffer) const {
  const PromptRelease prompt;
  return ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
}

void Connection::read_some() {
  std::array<char, kReadSize> buffer;
  const ssize_t got = receive(buffer);
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) end("");
    return;
  }
  if (got == 0) {
    // A client that only shut down its sending half may still read what was answered before.
    closing_ = true;
    return;
  }
  if (!in_.feed(std::string_view(buffer.data(), static_cast<std::size_t>(got)))) {
    warn("closed: a frame is too large");
    const std::string expected = fmt::format("a frame of at most {} bytes", protocol::kMaxFrame);
    send(protocol::error_text(protocol::kInvalidArgument, {{"path", ""}, {"value", ""}, {"expected", expected}}), {});
    closing_ = true;
    return;
  }
  if (!recount_in()) end("bytes received for its user are over the bound");
}

bool Connection::recount_in() {
  uncount(in_counted_);
  in_counted_ = in_.size();
  return count(in_counted_);
}

// What can be done now. Called from the loop only, so that no method of a call is above.
void Connection::step() {
  for (int i = 0; !ended_ && !call_ && !held_ && out_size_ < kLowWater; ++i) {
    if (i == kCallsAtOnce) {
      later();
      break;
    }
    if (in_.has_frame() && must_wait()) {
      hold();
      break;
    }
    const auto frame = in_.next();
    if (!frame) break;
    (void)recount_in();  // less than before
    next_call(*frame);
  }
  if (closing_ && !call_ && out_size_ == 0 && !in_.has_frame()) end("");
  watch();
}

void Connection::next_call(const std::string& frame) {
  protocol::CallHead head;
  Json parameters;
  const bool too_many = !server_.users_.take_call(user_, monotonic_usec());
  const std::size_t further = frame.size() / kCallBytes;
  charge(static_cast<double>(further));
  const protocol::Checked wrong = protocol::parse_call(frame, head, parameters);
  if (too_many) return refuse_call(head.oneway);
  call_ = std::make_shared<Call>(*this, peer_, std::move(parameters), head.more, head.oneway);
  call_done_ = false;
  dispatching_ = true;
  const CallPtr call = call_;
  if (wrong) {
    call->fail(*wrong);
  } else {
    server_.dispatch(call, head.method);
  }
  dispatching_ = false;
  *call->parameters_ = nullptr;  // a call may run for days: it holds what it needs, in a smaller form
  if (call_done_) clear_call();
}

void Connection::refuse_call(bool oneway) {
  const std::uint32_t most = server_.options_.limits.calls_per_second;
  if (!oneway) {
    send(protocol::error_text(protocol::kLimitReached,
                              {{"limit", "calls_per_second"}, {"most", most}, {"scope", "user"}}),
         {});
  }
  hold();
}

// What is large takes as long to read as many calls: of a user who has made as many as it may, it is not even read.
bool Connection::must_wait() {
  const bool large = in_.front_size() > kCallBytes;
  return owes_descriptors() || (large && !server_.users_.may_call(user_, monotonic_usec()));
}

// Descriptors that wait here count as ours, and those that lie unread in the socket as our user's (unix(7), ETOOMANYREFS): who makes
// call after call without reading the replies would take everybody's.
bool Connection::owes_descriptors() {
  const auto has_fds = [](const Piece& piece) { return !piece.fds.empty(); };
  if (std::ranges::any_of(out_, has_fds)) return true;
  if (!sent_fds_) return false;
  int unread = 0;
  sent_fds_ = ::ioctl(socket_.get(), SIOCOUTQ, &unread) < 0 || unread > 0;
  return sent_fds_;
}

void Connection::hold() {
  held_ = true;
  sd_event_source* source = nullptr;
  const int code = sd_event_add_time_relative(server_.loop_.get(), &source, CLOCK_MONOTONIC, kHoldUsec, 0,
                                              on_time<Connection, &Connection::held_long_enough>, this);
  if (code < 0) return end("it can't be held back");
  hold_.reset(source);
}

void Connection::held_long_enough() {
  held_ = false;
  step();
}

void Connection::send(const std::string& text, std::vector<UniqueFd> fds) {
  if (ended_) return;
  if (fds.size() > kMaxFdsPerMessage) return end(fmt::format("a reply with {} descriptors", fds.size()));
  const std::size_t size = text.size() + 1;
  if (!count(size)) {
    uncount(size);
    return end("bytes that wait for its user to read them are over the bound");
  }
  out_size_ += size;
  // A piece with descriptors begins a sendmsg(2) of its own: they belong to its first byte.
  if (out_.empty() || !fds.empty() || out_.back().bytes.size() >= kReadSize) out_.emplace_back();
  out_.back().bytes.append(text).push_back('\0');
  if (!fds.empty()) out_.back().fds = std::move(fds);
  flush();
  if (out_size_ > kHighWater && !pressed_) {
    pressed_ = true;
    if (call_ && call_->pressure_) call_->pressure_(true);
  }
  // In a method that a client's call has not brought about, the loop has to be told.
  if (!dispatching_ && out_size_ > 0) watch();
}

void Connection::flush() {
  while (!out_.empty() && !ended_) {
    if (!send_piece(out_.front())) break;
    if (out_.front().sent == out_.front().bytes.size()) out_.pop_front();
  }
  if (pressed_ && out_size_ < kLowWater) {
    pressed_ = false;
    if (call_ && call_->pressure_) call_->pressure_(false);
  }
}

// False when the socket takes no more now.
bool Connection::send_piece(Piece& piece) {
  iovec part{piece.bytes.data() + piece.sent, piece.bytes.size() - piece.sent};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!piece.fds.empty()) {
    const std::size_t size = sizeof(int) * piece.fds.size();
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(size);
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    for (std::size_t i = 0; i < piece.fds.size(); ++i) {
      const int fd = piece.fds[i].get();
      std::memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  const ssize_t sent = ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) return false;
    end(errno == EPIPE || errno == ECONNRESET ? "" : sys_error("send").message());
    return false;
  }
  sent_fds_ = sent_fds_ || !piece.fds.empty();
  piece.fds.clear();
  piece.sent += static_cast<std::size_t>(sent);
  out_size_ -= static_cast<std::size_t>(sent);
  uncount(static_cast<std::size_t>(sent));
  return true;
}

void Connection::finished() {
  call_done_ = true;
  if (!dispatching_) later();
}

// The administrator may ask for what everybody has.
void Connection::charge(double calls) {
  if (!user_.admin) server_.users_.charge(user_, calls);
}

bool Connection::count(std::size_t bytes) {
  user_.pending += bytes;
  return !server_.users_.over_pending(user_);
}

void Connection::warn(const std::string& line) {
  server_.warn(fmt::format("connection {} of uid {} (pid {}): {}", peer_.connection, peer_.uid, peer_.pid, line));
}

// Level-triggered: what is not wanted now is not asked for, or the loop would spin.
void Connection::watch() {
  if (ended_) return;
  std::uint32_t events = 0;
  if (reading()) events |= EPOLLIN;
  if (call_ || held_) events |= EPOLLRDHUP;
  if (out_size_ > 0) events |= EPOLLOUT;
  if (sd_event_source_set_io_events(io_.get(), events) < 0) end("can't be watched");
}

void Connection::later() {
  if (sd_event_source_set_enabled(defer_.get(), SD_EVENT_ONESHOT) < 0) std::abort();
}

void Connection::deferred() {
  if (ended_) return server_.ended(*this);  // destroys this
  if (call_ && call_done_) clear_call();
  step();
}

void Connection::clear_call() {
  if (!call_) return;
  const CallPtr call = std::move(call_);
  call_ = nullptr;
  uncount(call->held_);
  call->clear();
}

void Connection::end(const std::string& reason) {
  if (ended_) return;
  if (!reason.empty()) warn("closed: " + reason);
  ended_ = true;
  // What a client did not read is not kept until the loop comes round.
  uncount(std::exchange(out_size_, 0));
  out_.clear();
  if (io_) sd_event_source_set_enabled(io_.get(), SD_EVENT_OFF);
  later();
}

}  // namespace sandboxd::api
