#include "sandboxd-client/ctl/command.h"

#include <cstdlib>

#include <fmt/core.h>
#include <unistd.h>

#include "base/file.h"
#include "sandboxd-client/failure.h"

namespace sandboxd::ctl {

int fail(const Invocation& invocation, std::string_view text, int status) {
  // Standard error may be closed: there is nobody left to tell.
  (void)write_all(STDERR_FILENO, fmt::format("sandboxctl: {}: {}\n", invocation.verb, text)).ok();
  return status;
}

int fail(const Invocation& invocation, const Error& error) { return fail(invocation, client::failure_text(error)); }

int fail(const Invocation& invocation, const client::Message& refused) {
  return fail(invocation, client::failure_text(refused));
}

Result<client::Connection> connect(const Globals& globals) {
  return client::Connection::open(
      client::sockets_to_try(globals.socket, ::secure_getenv("SANDBOXD_SOCKET"), ::geteuid() == 0));
}

Result<client::Connection> connect(const client::SocketPaths& same_daemon) {
  return client::Connection::open({same_daemon}, /*wait=*/false);
}

}  // namespace sandboxd::ctl
