#include "daemon/jails/link.h"

#include <algorithm>
#include <cerrno>

#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "base/socket.h"

namespace sandboxd::jails {
namespace {

constexpr std::uint64_t kFirstRetry = 20'000;
constexpr std::uint64_t kLastRetry = 1'000'000;
constexpr int kMostAtOnce = 64;  // the loop has other work

}  // namespace

Link::Link(sd_event* loop, std::string name, std::string path, std::size_t max_fds, Callbacks callbacks)
    : loop_(loop),
      name_(std::move(name)),
      path_(std::move(path)),
      max_fds_(max_fds),
      callbacks_(std::move(callbacks)),
      retry_usec_(kFirstRetry) {}

Link::~Link() { watch_.stop(); }

void Link::connect() {
  auto socket = connect_unix(path_, SOCK_SEQPACKET | SOCK_NONBLOCK);
  if (!socket.ok()) {
    spdlog::debug("{}: {}", name_, socket.error().message());
    return connect_later();
  }
  socket_ = std::move(socket).value();
  const Status watched = watch_.start(loop_, socket_.get(), EPOLLIN, [this](std::uint32_t events) { on_io(events); });
  if (!watched.ok()) return drop(watched.error());
  retry_usec_ = kFirstRetry;
  callbacks_.connected();
}

void Link::connect_later() {
  const Status armed = retry_.arm(loop_, retry_usec_, [this] { connect(); });
  if (!armed.ok()) spdlog::error("{}: {}", name_, armed.error().message());
  retry_usec_ = std::min(retry_usec_ * 2, kLastRetry);
}

void Link::drop(const Error& why) {
  watch_.stop();
  socket_.reset();
  spdlog::warn("{}: connection lost: {}", name_, why.message());
  callbacks_.lost(why);
  connect_later();
}

void Link::set_full(bool full) {
  const Status set = watch_.set_events(full ? std::uint32_t{EPOLLIN | EPOLLOUT} : std::uint32_t{EPOLLIN});
  if (!set.ok()) spdlog::error("{}: {}", name_, set.error().message());
}

void Link::on_io(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) callbacks_.room();
  for (int i = 0; i < kMostAtOnce && connected(); ++i) {
    auto message = wire::receive_message(socket_.get(), max_fds_, MSG_DONTWAIT);
    if (!message.ok()) {
      if (message.error().code == EAGAIN) return;
      return drop(message.error());
    }
    if (message->end) return drop(sys_error_code(EPIPE, "the {} has closed it", name_));
    callbacks_.message(std::move(message).value());
  }
}

}  // namespace sandboxd::jails
