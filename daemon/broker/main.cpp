// sandboxd-broker: takes clients' descriptors and vouches for whose they are (base/broker_message.h, daemon/wire/claim.h).
// Started with its sockets, under an id of its own, with nothing else: no configuration, no capability, and of the
// host no file but /etc/subuid and /etc/passwd, read once before it locks itself in.
#include <csignal>

#include <fmt/core.h>

#include "daemon/broker/server.h"
#include "daemon/confine/confine.h"

namespace {

sandboxd::Status run() {
  std::signal(SIGPIPE, SIG_IGN);
  TRY_ASSIGN(sandboxd::broker::Server server, sandboxd::broker::Server::make());
  TRY(sandboxd::confine_self(sandboxd::Program::kBroker, {}));
  return server.run();
}

}  // namespace

int main() {
  const sandboxd::Status done = run();
  if (done.ok()) return 0;
  fmt::print(stderr, "sandboxd-broker: {}\n", done.error().message());
  return 1;
}
