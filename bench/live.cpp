#include "bench/live.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/core.h>
#include <sys/socket.h>

#include "base/socket.h"

namespace sandboxd::bench {
namespace {

constexpr std::size_t kMostFds = 4;

void take(const msghdr& header, std::vector<UniqueFd>& fds) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(const_cast<msghdr*>(&header), c)) {
    if (c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
}

// The value of a key that is known to be there once, and to hold no escape.
std::string text_of(const std::string& frame, const std::string& key) {
  const std::string start = "\"" + key + "\":\"";
  const std::size_t at = frame.find(start);
  if (at == std::string::npos) return {};
  const std::size_t from = at + start.size();
  return frame.substr(from, frame.find('"', from) - from);
}

}  // namespace

Result<std::unique_ptr<Live>> Live::open(const std::string& socket) {
  TRY_ASSIGN(UniqueFd connected, connect_unix(socket, SOCK_STREAM));
  std::unique_ptr<Live> live(new Live(std::move(connected)));
  if (!live->send(R"({"method":"org.sandboxd.Jail.Create","parameters":{"spec":{}}})")) return sys_error("send");
  const auto reply = live->receive();
  live->jail_ = reply ? text_of(*reply, "jail") : "";
  if (live->jail_.empty()) return make_error("create a session: {}", reply.value_or("the connection ended"));
  return live;
}

Live::~Live() {
  if (jail_.empty()) return;
  const std::string call =
      fmt::format(R"({{"method":"org.sandboxd.Jail.Remove","parameters":{{"jail":"{}","force":true}}}})", jail_);
  if (send(call)) (void)receive();
}

bool Live::send(const std::string& call) {
  return ::send(socket_.get(), call.c_str(), call.size() + 1, MSG_NOSIGNAL) == static_cast<ssize_t>(call.size() + 1);
}

bool Live::send_exec(const std::string& spec, bool more) {
  return send(fmt::format(R"({{"method":"org.sandboxd.Jail.Exec","parameters":{{"jail":"{}","spec":{}}}{}}})", jail_,
                          spec, more ? R"(,"more":true)" : ""));
}

std::optional<std::string> Live::receive(std::vector<UniqueFd>* fds) {
  for (;;) {
    if (const std::size_t end = pending_.find('\0'); end != std::string::npos) {
      std::string frame = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return frame;
    }
    std::array<char, 65536> bytes;
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kMostFds)> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    std::vector<UniqueFd> came;
    take(header, came);
    if (fds != nullptr) {
      for (UniqueFd& fd : came) fds->push_back(std::move(fd));
    }
    pending_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

bool Live::exec(const std::string& spec) {
  if (!send_exec(spec, /*more=*/false)) return false;
  const auto reply = receive();
  const bool ended = reply && reply->find(R"("exit_code":0)") != std::string::npos;
  if (!ended) fmt::print(stderr, "exec: {}\n", reply.value_or("the connection ended"));
  return ended;
}

}  // namespace sandboxd::bench
