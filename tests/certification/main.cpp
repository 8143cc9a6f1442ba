// The varlink certification server on sandboxd's own server code: certification_server FD, a listening socket that it inherits.
// It ends on SIGTERM.
#include <cstdio>

#include <fmt/core.h>
#include <signal.h>

#include "base/text.h"
#include "daemon/api/varlink.h"
#include "steps.h"

namespace {

using namespace sandboxd;

Status serve(int socket) {
  sd_event* raw = nullptr;
  int code = sd_event_new(&raw);
  if (code < 0) return sys_error_code(-code, "make event loop");
  const api::EventLoop loop(raw);
  sigset_t terminate;
  sigemptyset(&terminate);
  sigaddset(&terminate, SIGTERM);
  sigprocmask(SIG_BLOCK, &terminate, nullptr);
  code = sd_event_add_signal(raw, nullptr, SIGTERM, nullptr, nullptr);
  if (code < 0) return sys_error_code(-code, "watch SIGTERM");
  TRY_ASSIGN(const auto server, api::VarlinkServer::create(raw, {.product = "certification"}));
  certification::Steps steps;
  server->add(steps.interface());
  TRY(server->listen(UniqueFd(socket), false));
  code = sd_event_loop(raw);
  if (code < 0) return sys_error_code(-code, "run event loop");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const auto socket = argc == 2 ? parse_uint(argv[1], 1023) : std::nullopt;
  if (!socket) {
    fmt::print(stderr, "usage: certification_server FD\n");
    return 2;
  }
  const Status served = serve(static_cast<int>(*socket));
  if (!served) fmt::print(stderr, "certification_server: {}\n", served.error().message());
  return served ? 0 : 1;
}
