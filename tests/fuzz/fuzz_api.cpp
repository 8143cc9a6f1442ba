// A client's bytes on a real socket into the whole server, over a supervisor without jails. Beside memory faults this looks
// for replies that are not varlink, and for connections that outlive their client.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include <sys/socket.h>
#include <unistd.h>

#include "base/socket.h"
#include "daemon/api/server.h"
#include "fake_supervisor.h"
#include "protocol/frame.h"

namespace sandboxd::test {
namespace {

struct World {
  std::string path = "/tmp/sandboxd-fuzz-api-" + std::to_string(::getpid());
  api::EventLoop loop{};
  FakeSupervisor supervisor{};
  std::unique_ptr<api::Server> server{};

  World() {
    sd_event* raw = nullptr;
    if (sd_event_new(&raw) < 0) std::abort();
    loop.reset(raw);
    auto made = api::Server::create(raw, listen_unix(path, SOCK_STREAM, 0600, ::geteuid(), 8).value(), UniqueFd(),
                                    supervisor, {.calls_per_second = 100'000'000}, [](const std::string&) {});
    if (!made) std::abort();
    server = std::move(made).value();
  }
  ~World() { ::unlink(path.c_str()); }

  void turn() {
    while (sd_event_run(loop.get(), 0) > 0) {
    }
  }
};

void read_replies(int socket, protocol::FrameReader& replies) {
  std::array<char, 65536> buffer;
  ssize_t got = 0;
  while ((got = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
    if (!replies.feed(std::string_view(buffer.data(), static_cast<std::size_t>(got)))) std::abort();
    while (const auto frame = replies.next()) {
      if (!frame->starts_with("{\"") || !frame->ends_with("}") || frame->find('\n') != std::string::npos) std::abort();
    }
  }
}

}  // namespace
}  // namespace sandboxd::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sandboxd;
  static test::World world;
  auto client = connect_unix(world.path, SOCK_STREAM);
  if (!client) std::abort();
  protocol::FrameReader replies;
  for (const auto& [from, to] : {std::pair{std::size_t{0}, size / 2}, std::pair{size / 2, size}}) {
    (void)::send(client->get(), data + from, to - from, MSG_DONTWAIT | MSG_NOSIGNAL);
    world.turn();
    test::read_replies(client->get(), replies);
  }
  for (auto& [id, jail] : world.supervisor.jails) {
    if (!jail.info.report) world.supervisor.start(id);
    if (!jail.info.report) world.supervisor.output(id, 1, "output");
    if (!jail.info.report) world.supervisor.exit(id, 0);
  }
  world.turn();
  test::read_replies(client->get(), replies);
  client->reset();
  world.turn();
  if (world.server->connections() != 0 || world.supervisor.subscriptions != 0) std::abort();
  world.supervisor.jails.clear();
  world.supervisor.clients.clear();
  world.supervisor.gone.clear();
  world.supervisor.kills.clear();
  return 0;
}
