#include "fixture.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/socket.h"

namespace sandboxd::test {
namespace {

constexpr std::uint64_t kDeadlineUsec = 5'000'000;
constexpr std::uint64_t kTurnUsec = 10'000;  // how long a turn waits for something to do

}  // namespace

Loop::Loop() {
  sd_event* loop = nullptr;
  if (sd_event_new(&loop) < 0) std::abort();
  loop_.reset(loop);
}

bool Loop::until(const std::function<bool()>& holds) {
  const std::uint64_t deadline = monotonic_usec() + kDeadlineUsec;
  while (!holds()) {
    if (monotonic_usec() > deadline) return false;
    if (sd_event_run(loop_.get(), kTurnUsec) < 0) return false;
  }
  return true;
}

void Loop::settle() {
  while (sd_event_run(loop_.get(), 0) > 0) {
  }
}

Client::Client(Loop& loop, const std::string& path) : loop_(loop) {
  auto socket = connect_unix(path, SOCK_STREAM);
  if (!socket) std::abort();
  socket_ = std::move(socket).value();
}

void Client::send_raw(std::string_view bytes) {
  loop_.until([&] {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return true;
    if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
    return bytes.empty();
  });
}

void Client::send(const Json& frame) { send_raw(frame.dump() + '\0'); }

void Client::call(const std::string& method, const Json& parameters, bool more) {
  Json frame = {{"method", method}, {"parameters", parameters}};
  if (more) frame["more"] = true;
  send(frame);
}

void Client::receive() {
  std::array<char, 65536> buffer;
  alignas(cmsghdr) std::array<char, 1024> control;
  iovec part{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  end_ = got <= 0;
  if (end_) return;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    for (std::size_t at = CMSG_LEN(0); at < c->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, reinterpret_cast<const char*>(c) + at, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  EXPECT_TRUE(frames_.feed(std::string_view(buffer.data(), static_cast<std::size_t>(got))));
  while (const auto frame = frames_.next()) replies_.push_back(Json::parse(*frame));
}

bool Client::has_reply() {
  receive();
  return !replies_.empty();
}

Json Client::reply() {
  const bool came = loop_.until([&] {
    if (replies_.empty()) receive();
    return !replies_.empty() || end_;
  });
  EXPECT_TRUE(came) << "no reply";
  if (replies_.empty()) return {};
  Json first = std::move(replies_.front());
  replies_.pop_front();
  return first;
}

Json Client::ask(const std::string& method, const Json& parameters) {
  call(method, parameters);
  return reply();
}

bool Client::closed() {
  return loop_.until([&] {
    receive();
    return end_;
  });
}

void Client::stop_sending() { ::shutdown(socket_.get(), SHUT_WR); }

SocketTest::SocketTest() {
  std::string name = "/tmp/sandboxd-api-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  std::filesystem::permissions(name, std::filesystem::perms(0755));
  directory_ = name;
}

SocketTest::~SocketTest() { std::filesystem::remove_all(directory_); }

UniqueFd SocketTest::listen_at(const std::string& name) {
  auto socket = listen_unix(path(name), SOCK_STREAM, 0666, ::geteuid(), 128);
  if (!socket) std::abort();
  return std::move(socket).value();
}

bool SocketTest::warned(std::string_view part) const {
  for (const std::string& line : warnings) {
    if (line.find(part) != std::string::npos) return true;
  }
  return false;
}

ServerTest::ServerTest(const api::Limits& limits) {
  const auto warn = [&lines = warnings](const std::string& line) { lines.push_back(line); };
  auto made = api::Server::create(loop.get(), listen_at("public"), listen_at("admin"), supervisor, limits, warn,
                                  UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  if (!made) std::abort();
  server = std::move(made).value();
}

std::string ServerTest::run(Client& client, const Json& spec, bool more) {
  const std::size_t before = supervisor.clients.size();
  client.call("org.sandboxd.Jail.Run", {{"spec", spec}}, more);
  EXPECT_TRUE(loop.until([&] { return supervisor.clients.size() > before; }));
  return "jail-" + std::to_string(supervisor.clients.size());
}

}  // namespace sandboxd::test
