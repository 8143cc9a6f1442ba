#include <array>
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "sandboxd-client/broker.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/exit_status.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"
#include "sandboxd-client/ctl/run_options.h"
#include "sandboxd-client/ctl/session.h"

namespace sandboxd::ctl {
namespace {

using client::Json;
using protocol::Stdio;

// --stdio=relay sends what the job reads with the call. A terminal has no end to wait for.
Status read_input_for_relay(protocol::JobSpec& spec) {
  if (spec.stdio != Stdio::kRelay || ::isatty(STDIN_FILENO) == 1) return {};
  TRY_ASSIGN(spec.stdin_data, read_fd(STDIN_FILENO, protocol::kMaxStdin)
                                  .context("standard input (--stdio=relay sends it whole, --stdio=pass has no bound)"));
  return {};
}

Result<client::HandedIn> hand_in(Request& request, const client::Connection& connection, const RunOptions& options) {
  if (request.fds.empty()) return client::HandedIn();
  std::vector<int> fds;
  for (const UniqueFd& fd : request.fds) fds.push_back(fd.get());
  const bool other = options.mount_namespace || client::in_other_mount_namespace();
  TRY_ASSIGN(client::HandedIn handed_in, client::hand_in(connection.paths().broker, fds, other));
  request.spec.token = handed_in.token;
  request.fds.clear();
  return handed_in;
}

Result<Session> start(const Invocation& invocation, const RunOptions& options) {
  TRY_ASSIGN(UniqueFd signals, watch_signals());
  TRY_ASSIGN(Request request, make_request(options, invocation.command, ::environ));
  if (invocation.globals.json && request.spec.stdio == Stdio::kInherit) {
    return make_error("--json and --stdio=inherit both want standard output");
  }
  TRY(read_input_for_relay(request.spec));
  TRY_ASSIGN(client::Connection connection, connect(invocation.globals));
  TRY_ASSIGN(client::HandedIn handed_in, hand_in(request, connection, options));
  TRY(connection.send("org.sandboxd.Jail.Run", {{"spec", protocol::encode(request.spec)}}, /*more=*/true));
  return Session(invocation, std::move(connection), std::move(handed_in), std::move(signals));
}

Action bind_run(Options& options) {
  auto wanted = std::make_shared<RunOptions>();
  add_run_options(options, *wanted);
  return [wanted](const Invocation& invocation) {
    Result<Session> session = start(invocation, *wanted);
    return session.ok() ? session.value().run() : fail(invocation, session.error());
  };
}

Result<client::Message> explain(const Invocation& invocation, const RunOptions& options) {
  TRY_ASSIGN(Request request, make_request(options, invocation.command, ::environ));
  // Nothing claims descriptors here, so none are handed in; the token only stands for them.
  if (!request.fds.empty()) {
    TRY_ASSIGN(request.spec.token, client::random_token());
  }
  TRY_ASSIGN(client::Connection connection, connect(invocation.globals));
  return connection.call("org.sandboxd.Jail.Explain", {{"spec", protocol::encode(request.spec)}});
}

Action bind_explain(Options& options) {
  auto wanted = std::make_shared<RunOptions>();
  add_run_options(options, *wanted);
  return [wanted](const Invocation& invocation) {
    const Result<client::Message> answer = explain(invocation, *wanted);
    if (!answer.ok()) return fail(invocation, answer.error());
    if (!answer->error.empty()) return fail(invocation, *answer);
    return print_value(invocation, answer->parameters.value("plan", Json::object()));
  };
}

constexpr std::array kVerbs = {
    Verb{"", "run", "start a jail and run a command in it", "[--] COMMAND [ARGUMENT...]", Runs::kCommand, bind_run},
    Verb{"", "explain", "show what a run would get; nothing is started", "[--] COMMAND [ARGUMENT...]", Runs::kCommand,
         bind_explain},
};

}  // namespace

const std::span<const Verb> kRunVerbs = kVerbs;

}  // namespace sandboxd::ctl
