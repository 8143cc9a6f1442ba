#include <algorithm>
#include <array>
#include <memory>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/exit_status.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"
#include "sandboxd-client/ctl/signals.h"

namespace sandboxd::ctl {
namespace {

using client::Json;
using client::Message;

template <class Value> Result<Value> decoded(const Json& parameters, const char* key) {
  Value value;
  const auto wrong = protocol::decode(parameters.value(key, Json()), std::string("/parameters/") + key, value);
  if (wrong) return sys_error_code(EBADMSG, "the daemon's answer: {}", wrong->message());
  return value;
}

void add_jail(Options& options, std::string& jail) { options.argument("JAIL", jail, "the jail's id or name"); }

// Every reply of a long list.
Result<Json> list_jails(client::Connection& connection, std::optional<Message>& refused) {
  Json all = Json::array();
  TRY(connection.send("org.sandboxd.Jail.List", Json::object(), /*more=*/true));
  for (;;) {
    TRY_ASSIGN(Message message, connection.receive());
    if (!message.error.empty()) {
      refused = std::move(message);
      return all;
    }
    for (Json& jail : message.parameters["jails"]) all.push_back(std::move(jail));
    if (!message.continues) return all;
  }
}

int run_ps(const Invocation& invocation) {
  Result<client::Connection> connection = connect(invocation.globals);
  if (!connection.ok()) return fail(invocation, connection.error());
  std::optional<Message> refused;
  const Result<Json> jails = list_jails(*connection, refused);
  if (!jails.ok()) return fail(invocation, jails.error());
  if (refused) return fail(invocation, *refused);
  if (invocation.globals.json) return print_value(invocation, *jails);
  std::vector<protocol::JailInfo> infos;
  for (const Json& jail : *jails) {
    protocol::JailInfo info;
    if (const auto wrong = protocol::decode(jail, "/parameters/jails", info)) {
      return fail(invocation, sys_error_code(EBADMSG, "the daemon's answer: {}", wrong->message()));
    }
    infos.push_back(std::move(info));
  }
  std::ranges::stable_sort(infos, {}, &protocol::JailInfo::started);
  return print(invocation, render(jail_table(infos, realtime_usec()), output_style()));
}

Action bind_ps(Options&) { return run_ps; }

Action bind_inspect(Options& options) {
  auto jail = std::make_shared<std::string>();
  add_jail(options, *jail);
  return [jail](const Invocation& invocation) {
    return ask(invocation, "org.sandboxd.Jail.Inspect", {{"jail", *jail}}, [&](const Json& answer) {
      if (invocation.globals.json) return print_value(invocation, answer.value("jail", Json()));
      const Result<protocol::JailInfo> info = decoded<protocol::JailInfo>(answer, "jail");
      return info.ok() ? print(invocation, render(jail_fields(*info), output_style())) : fail(invocation, info.error());
    });
  };
}

Action bind_wait(Options& options) {
  auto jail = std::make_shared<std::string>();
  add_jail(options, *jail);
  return [jail](const Invocation& invocation) {
    return ask(invocation, "org.sandboxd.Jail.Wait", {{"jail", *jail}}, [&](const Json& answer) {
      const Result<protocol::JobReport> report = decoded<protocol::JobReport>(answer, "report");
      if (!report.ok()) return fail(invocation, report.error());
      const std::string text =
          invocation.globals.json ? json_line(answer["report"]) : render(report_fields(*report), output_style());
      const int printed = print(invocation, text);
      return printed != 0 ? printed : exit_status(*report);
    });
  };
}

struct KillOptions {
  std::string jail{}, signal = "TERM";
  std::optional<std::string> grace{};
};

Action bind_kill(Options& options) {
  auto wanted = std::make_shared<KillOptions>();
  add_jail(options, wanted->jail);
  options.text("--signal,-s", wanted->signal, "SIGNAL", "the signal's name or number");
  options.text("--grace", wanted->grace, "TIME",
               "kill all of the jail after this long: 0, 500ms, 10s; the daemon's default is 10s");
  return [wanted](const Invocation& invocation) {
    Json parameters = {{"jail", wanted->jail}};
    const std::optional<int> number = signal_number(wanted->signal);
    if (!number)
      return fail(invocation, fmt::format("unknown signal {}; 'kill -l' lists them", sandboxd::quoted(wanted->signal)));
    parameters["signal"] = *number;
    if (wanted->grace) {
      const auto grace = parse_timespan_usec(*wanted->grace);
      if (!grace)
        return fail(invocation,
                    fmt::format("--grace {}: must be a time like 500ms or 10s", sandboxd::quoted(*wanted->grace)));
      parameters["grace"] = *grace;
    }
    return ask(invocation, "org.sandboxd.Jail.Kill", parameters,
               [&](const Json& answer) { return invocation.globals.json ? print_value(invocation, answer) : 0; });
  };
}

struct RemoveOptions {
  std::string jail{};
  bool force = false;
};

Action bind_rm(Options& options) {
  auto wanted = std::make_shared<RemoveOptions>();
  add_jail(options, wanted->jail);
  options.flag("--force,-f", wanted->force, "kill it first when it still runs");
  return [wanted](const Invocation& invocation) {
    const Json parameters = {{"jail", wanted->jail}, {"force", wanted->force}};
    return ask(invocation, "org.sandboxd.Jail.Remove", parameters,
               [&](const Json& answer) { return invocation.globals.json ? print_value(invocation, answer) : 0; });
  };
}

constexpr std::array kVerbs = {
    Verb{"", "ps", "list the caller's jails, as uid 0 everybody's", "", Runs::kNothing, bind_ps},
    Verb{"", "inspect", "show a jail, and what is in force in it", "JAIL", Runs::kNothing, bind_inspect},
    Verb{"", "wait", "wait for a jail's end; the exit status is the job's", "JAIL", Runs::kNothing, bind_wait},
    Verb{"", "kill", "send a signal to a job, then kill its jail", "JAIL", Runs::kNothing, bind_kill},
    Verb{"", "rm", "forget an ended jail and its report", "JAIL", Runs::kNothing, bind_rm},
};

}  // namespace

const std::span<const Verb> kJailVerbs = kVerbs;

}  // namespace sandboxd::ctl
