#include "daemon/launcher/network_pool.h"

#include <csignal>
#include <cstdint>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket.h"
#include "daemon/launcher/namespaces.h"

namespace sandboxd::launcher {
namespace {

constexpr std::size_t kPoolSize = 8;
constexpr std::uint8_t kRequest = 1;

[[noreturn]] void make_networks(int requests) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    const auto request = receive_packet(requests, sizeof kRequest, 0);
    if (!request.ok() || request->end) ::_exit(0);
    if (!enter_new_network().ok()) ::_exit(1);
    const UniqueFd made(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    const int fd = made.get();
    if (!made || !send_packet(requests, std::span(&kRequest, 1), std::span(&fd, 1)).ok()) ::_exit(1);
  }
}

}  // namespace

Status NetworkPool::start() {
  TRY_ASSIGN(auto pair, socket_pair(SOCK_SEQPACKET));
  const pid_t child = ::fork();
  if (child < 0) return sys_error("fork");
  if (child == 0) {
    pair.first.reset();
    make_networks(pair.second.get());
  }
  maker_ = std::move(pair.first);
  refill();
  return {};
}

bool NetworkPool::wants_more() const { return maker_ && ready_.size() + asked_ < kPoolSize; }

void NetworkPool::refill() {
  while (wants_more()) {
    if (!send_packet(maker_.get(), std::span(&kRequest, 1), {}, MSG_DONTWAIT).ok()) return maker_.reset();
    ++asked_;
  }
}

void NetworkPool::read_made() {
  auto made = receive_packet(maker_.get(), sizeof kRequest, 1, MSG_DONTWAIT);
  if (!made.ok() && made.error().code == EAGAIN) return;
  if (!made.ok() || made->fds.size() != 1) return maker_.reset();  // launches go on without the pool
  ready_.push_back(std::move(made->fds.front()));
  --asked_;
}

UniqueFd NetworkPool::take() {
  if (ready_.empty()) return {};
  UniqueFd network = std::move(ready_.back());
  ready_.pop_back();
  return network;
}

}  // namespace sandboxd::launcher
