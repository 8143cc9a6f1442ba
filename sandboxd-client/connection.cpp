#include "sandboxd-client/connection.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>
#include <unistd.h>

#include "base/socket.h"
#include "base/text.h"

namespace sandboxd::client {
namespace {

constexpr std::size_t kReadBytes = 65536;
constexpr std::size_t kMostFds = 16;

Status send_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return sys_error("send call");
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<Message> parse_message(std::string_view text) {
  Json json;
  if (const auto wrong = protocol::parse_json(text, json)) {
    return sys_error_code(EBADMSG, "the daemon's answer: {}", wrong->message());
  }
  Message message;
  const auto take = [&](const std::string& key, Json& value) {
    if (key == "parameters" && value.is_object()) {
      message.parameters = std::move(value);
    } else if (key == "error" && value.is_string()) {
      message.error = value.get<std::string>();
    } else if (key == "continues" && value.is_boolean()) {
      message.continues = value.get<bool>();
    } else {
      return value.is_null();  // varlink: an absent member may be written so
    }
    return true;
  };
  if (!json.is_object()) return sys_error_code(EBADMSG, "the daemon's answer is not a JSON object");
  for (auto member = json.begin(); member != json.end(); ++member) {
    if (take(member.key(), member.value())) continue;
    return sys_error_code(EBADMSG, "the daemon's answer has an unknown or ill-typed member {}",
                          sandboxd::quoted(member.key()));
  }
  return message;
}

void take_descriptors(msghdr& header, std::vector<UniqueFd>& fds) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
}

}  // namespace

Result<Connection> Connection::open(const std::vector<SocketPaths>& pairs, bool wait) {
  Error last = sys_error_code(EINVAL, "connect: no socket named");
  for (const SocketPaths& pair : pairs) {
    Result<UniqueFd> socket = connect_unix(pair.calls, SOCK_STREAM | (wait ? 0 : SOCK_NONBLOCK));
    if (socket.ok()) {
      Connection connection;
      connection.paths_ = pair;
      connection.socket_ = std::move(socket).value();
      return connection;
    }
    last = std::move(socket).error();
  }
  return last;
}

Status Connection::send(std::string_view method, const Json& parameters, bool more) {
  Json call = {{"method", method}, {"parameters", parameters}};
  if (more) call["more"] = true;
  std::string frame = protocol::to_text(call);
  if (frame.size() > protocol::kMaxFrame) {
    return sys_error_code(E2BIG, "call {}: {} bytes of arguments and environment (at most {})",
                          sandboxd::quoted(method), frame.size(), protocol::kMaxFrame);
  }
  frame.push_back('\0');
  return send_all(socket_.get(), frame).context("call {}", sandboxd::quoted(method));
}

Result<bool> Connection::read_ready() {
  char bytes[kReadBytes];
  iovec part{bytes, sizeof bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMostFds)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (got < 0 && errno == ECONNRESET) return false;
  if (got < 0) return sys_error("read the daemon's answer");
  take_descriptors(header, fds_);
  if ((header.msg_flags & MSG_CTRUNC) != 0 || fds_.size() > kMostFds) {
    return sys_error_code(EMSGSIZE, "the daemon's answer carries too many descriptors");
  }
  if (!frames_.feed({bytes, static_cast<std::size_t>(got)})) {
    return sys_error_code(EMSGSIZE, "the daemon's answer exceeds {} bytes", protocol::kMaxFrame);
  }
  return got > 0;
}

Result<std::optional<Message>> Connection::next() {
  const std::optional<std::string> frame = frames_.next();
  if (!frame) return std::optional<Message>();
  TRY_ASSIGN(Message message, parse_message(*frame));
  return std::optional<Message>(std::move(message));
}

Result<Message> Connection::receive(std::uint64_t deadline_usec) {
  for (;;) {
    TRY_ASSIGN(std::optional<Message> message, next());
    if (message) return std::move(*message);
    TRY_ASSIGN(const bool ready, wait_readable(socket_.get(), deadline_usec));
    if (!ready) return sys_error_code(ETIMEDOUT, "wait for the daemon's answer");
    TRY_ASSIGN(const bool open, read_ready());
    if (!open && !frames_.has_frame()) {
      return sys_error_code(EPIPE, "the daemon closed the connection before it answered");
    }
  }
}

Result<Message> Connection::call(std::string_view method, const Json& parameters, std::uint64_t deadline_usec) {
  TRY(send(method, parameters));
  return receive(deadline_usec).context("call {}", sandboxd::quoted(method));
}

}  // namespace sandboxd::client
