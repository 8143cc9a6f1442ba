// A descriptor whose last close waits, as its owner asked for: a TCP connection with SO_LINGER and bytes that nobody reads.
#pragma once

#include <array>
#include <utility>

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/prompt_release.h"
#include "base/unique_fd.h"

namespace sandboxd::test {

class Lingering {
 public:
  static constexpr int kSeconds = 8;

  Lingering() {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener.get(), generic, size), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), generic, &size), 0);
    fd_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd_.get(), generic, size), 0);
    reader_.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::array<char, 65536> bytes{};
    while (::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
    const linger patience{1, kSeconds};
    EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &patience, sizeof patience), 0);
  }
  // Whoever ends with it hung up on what is not read; so the test does not wait for itself.
  ~Lingering() { reader_.reset(); }
  Lingering(const Lingering&) = delete;
  Lingering& operator=(const Lingering&) = delete;

  [[nodiscard]] int get() const { return fd_.get(); }
  // From now on what was sent on holds the last descriptor of it; if nobody has it any more, this must not wait.
  void close() { release_promptly(std::move(fd_)); }

 private:
  UniqueFd reader_, fd_;
};

}  // namespace sandboxd::test
