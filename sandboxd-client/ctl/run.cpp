// run, exec, attach, create and explain.
#include <array>
#include <memory>

#include <fmt/core.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/exit_status.h"
#include "sandboxd-client/ctl/job_name.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"
#include "sandboxd-client/ctl/run_options.h"
#include "sandboxd-client/ctl/session.h"
#include "sandboxd-client/ctl/terminal.h"

namespace sandboxd::ctl {
namespace {

using client::Client;
using client::Expected;
using client::Job;
using protocol::Stdio;

// Calls of a session that goes on meanwhile: streams wait for the answer.
constexpr client::Milliseconds kTimeout = std::chrono::seconds(10);

// --stdio=relay sends what the job reads with the call. A terminal has no end to wait for.
template <class Spec> Status read_input_for_relay(Spec& spec) {
  if (spec.stdio != Stdio::kRelay || spec.detach || spec.tty || ::isatty(STDIN_FILENO) == 1) return {};
  TRY_ASSIGN(spec.stdin_data, read_fd(STDIN_FILENO, protocol::kMaxStdin)
                                  .context("standard input (--stdio=relay sends it whole, --stdio=pass has no bound)"));
  return {};
}

template <class Spec> Status finish_streams(const Invocation& invocation, Spec& spec) {
  if (invocation.globals.json && spec.stdio == Stdio::kInherit) {
    return make_error("--json and --stdio=inherit both want standard output");
  }
  if (spec.tty && !spec.detach) {
    if (invocation.globals.json) return make_error("--json and --tty both want standard output");
    if (spec.stdio != Stdio::kPass) return make_error("--tty needs --stdio=pass");
    if (::isatty(STDIN_FILENO) != 1) {
      return make_error("--tty: standard input is not a terminal; leave --tty out, or give it one");
    }
  }
  if (spec.tty) spec.tty = window_size(STDIN_FILENO);
  return read_input_for_relay(spec);
}

// Its name, for the shell.
int print_detached(const Invocation& invocation, Expected<Job> job) {
  const Expected<std::optional<client::Update>> started = job ? job->next() : job.error();
  if (!started) return fail(invocation, started.error().text, exit_status(started.error()));
  if (invocation.globals.json) {
    const Json info = job->jail_info() ? protocol::encode(*job->jail_info()) : protocol::encode(*job->job_info());
    return print(invocation, json_line({{"started", info}}));
  }
  const JobName name{job->jail(), job->jail_info() ? 0 : job->number()};
  return print(invocation, escaped(to_text(name)) + "\n");
}

int run_session(const Invocation& invocation, Expected<Job> job, UniqueFd signals, SessionOptions options) {
  if (!job) return fail(invocation, job.error().text, exit_status(job.error()));
  return Session(invocation, std::move(job).value(), std::move(signals), std::move(options)).run();
}

// `begin`: the call.
template <class Begin> int start(const Invocation& invocation, const CommandOptions& options, Begin begin) {
  Result<UniqueFd> signals = options.detach ? Result<UniqueFd>(UniqueFd()) : watch_signals();
  if (!signals.ok()) return fail(invocation, signals.error());
  Expected<Client> client = connect(invocation.globals, kTimeout);
  if (!client) return fail(invocation, client.error());
  Expected<Job> job = begin(*client);
  if (options.detach) return print_detached(invocation, std::move(job));
  return run_session(invocation, std::move(job), std::move(signals).value(),
                     {.detach_keys = options.tty ? *detach_keys_from_text(options.detach_keys) : std::string()});
}

Action bind_run(Options& options) {
  auto wanted = std::make_shared<RunOptions>();
  add_run_options(options, *wanted);
  return [wanted](const Invocation& invocation) {
    Result<Request> request = make_request(*wanted, invocation.command, ::environ);
    if (!request.ok()) return fail(invocation, request.error());
    if (const Status ready = finish_streams(invocation, request->spec); !ready.ok()) {
      return fail(invocation, ready.error());
    }
    return start(invocation, *wanted, [&](Client& client) { return client.begin_run(std::move(request).value()); });
  };
}

struct ExecWanted {
  std::string jail{};
  ExecOptions options{};
};

Action bind_exec(Options& options) {
  auto wanted = std::make_shared<ExecWanted>();
  options.argument("JAIL", wanted->jail, "the jail's id or name");
  add_exec_options(options, wanted->options);
  return [wanted](const Invocation& invocation) {
    Result<protocol::ExecSpec> spec = make_exec_spec(wanted->options, invocation.command, ::environ);
    if (!spec.ok()) return fail(invocation, spec.error());
    if (const Status ready = finish_streams(invocation, *spec); !ready.ok()) return fail(invocation, ready.error());
    return start(invocation, wanted->options,
                 [&](Client& client) { return client.begin_exec(wanted->jail, spec.value()); });
  };
}

struct AttachWanted {
  std::string job{}, detach_keys{kDefaultDetachKeys};
  std::optional<std::string> replay{};
};

int run_attach(const Invocation& invocation, const AttachWanted& wanted) {
  const std::optional<JobName> name = job_name_from_text(wanted.job);
  if (!name) return fail(invocation, fmt::format("{}: must be JAIL or JAIL/N", sandboxd::quoted(wanted.job)));
  const std::optional<std::string> keys = detach_keys_from_text(wanted.detach_keys);
  if (!keys)
    return fail(invocation, fmt::format("--detach-keys {}: must be keys like ctrl-p or ~ with commas between, or none",
                                        sandboxd::quoted(wanted.detach_keys)));
  std::optional<std::uint64_t> replay;
  if (wanted.replay) {
    replay = parse_size(*wanted.replay);
    if (!replay)
      return fail(invocation,
                  fmt::format("--replay {}: must be a number with K, M or G", sandboxd::quoted(*wanted.replay)));
  }
  Result<UniqueFd> signals = watch_signals();
  if (!signals.ok()) return fail(invocation, signals.error());
  Expected<Client> client = connect(invocation.globals, kTimeout);
  if (!client) return fail(invocation, client.error());
  return run_session(invocation, client->begin_attach(name->jail, name->job, replay), std::move(signals).value(),
                     {.owns_job = false, .close_input = false, .detach_keys = *keys});
}

Action bind_attach(Options& options) {
  auto wanted = std::make_shared<AttachWanted>();
  options.argument("JOB", wanted->job, "JAIL, or JAIL/N for its job N");
  options.text("--detach-keys", wanted->detach_keys, "KEYS", "what leaves a terminal: ctrl-p,ctrl-q; none");
  options.text("--replay", wanted->replay, "SIZE",
               "show so much of what it last wrote first: 0, 4K; else all that is kept");
  return [wanted](const Invocation& invocation) { return run_attach(invocation, *wanted); };
}

Action bind_create(Options& options) {
  auto wanted = std::make_shared<CreateOptions>();
  add_create_options(options, *wanted);
  return [wanted](const Invocation& invocation) {
    Result<Request> request = make_create_request(*wanted, ::environ);
    if (!request.ok()) return fail(invocation, request.error());
    return with_client(invocation, [&](Client& client) {
      const Expected<protocol::JailInfo> jail = client.create(std::move(request).value());
      if (!jail) return fail(invocation, jail.error());
      if (invocation.globals.json) return print_value(invocation, protocol::encode(*jail));
      return print(invocation, escaped(jail->jail) + "\n");
    });
  };
}

Action bind_explain(Options& options) {
  auto wanted = std::make_shared<RunOptions>();
  add_run_options(options, *wanted);
  return [wanted](const Invocation& invocation) {
    Result<Request> request = make_request(*wanted, invocation.command, ::environ);
    if (!request.ok()) return fail(invocation, request.error());
    return with_client(invocation, [&](Client& client) {
      const Expected<std::string> plan = client.explain(std::move(request).value());
      if (!plan) return fail(invocation, plan.error());
      Json value;
      if (const auto wrong = protocol::parse_json(*plan, value)) return fail(invocation, wrong->message());
      return print_value(invocation, value);
    });
  };
}

constexpr std::array kVerbs = {
    Verb{"", "run", "start a jail and run a command in it", "[--] COMMAND [ARGUMENT...]", Runs::kCommand, bind_run},
    Verb{"", "explain", "show what a run would get; nothing is started", "[--] COMMAND [ARGUMENT...]", Runs::kCommand,
         bind_explain},
    Verb{"", "create", "start a session: a jail that waits for jobs", "", Runs::kNothing, bind_create},
    Verb{"", "exec", "run one more command in a jail", "JAIL [--] COMMAND [ARGUMENT...]", Runs::kCommand, bind_exec},
    Verb{"", "attach", "take over the streams of a job that runs by itself", "JOB", Runs::kNothing, bind_attach},
};

}  // namespace

const std::span<const Verb> kRunVerbs = kVerbs;

}  // namespace sandboxd::ctl
