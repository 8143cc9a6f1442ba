#include "sandboxd-client/ctl/command.h"

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

int fail(const Invocation& invocation, const client::Error& error) { return fail(invocation, error.text); }

client::Expected<client::Client> connect(const Globals& globals, client::Milliseconds timeout) {
  return client::Client::connect({.socket = globals.socket.value_or(""), .timeout = timeout});
}

}  // namespace sandboxd::ctl
