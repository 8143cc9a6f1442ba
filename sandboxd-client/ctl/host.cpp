#include <array>
#include <memory>

#include <fmt/core.h>

#include "base/text.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {
namespace {

using client::Json;
using client::Message;

std::string text_of(const Json& object, const char* key) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : value.is_null() ? std::string() : value.dump();
}

Action bind_info(Options& options) {
  auto features = std::make_shared<bool>(false);
  options.flag("--features", *features, "what the daemon's kernel and host offer, in place of what the daemon is");
  return [features](const Invocation& invocation) {
    const char* key = *features ? "features" : "info";
    const std::string_view method = *features ? "org.sandboxd.Host.Features" : "org.sandboxd.Host.Info";
    return ask(invocation, method, Json::object(), [&](const Json& answer) {
      const Json value = answer.value(key, Json::object());
      return invocation.globals.json ? print_value(invocation, value)
                                     : print(invocation, render(flatten(value), output_style()));
    });
  };
}

int list_profiles(const Invocation& invocation) {
  return ask(invocation, "org.sandboxd.Host.Profiles", Json::object(), [&](const Json& answer) {
    const Json profiles = answer.value("profiles", Json::array());
    if (invocation.globals.json) return print_value(invocation, profiles);
    Table table{.header = {"PROFILE", "DESCRIPTION"}};
    for (const Json& profile : profiles)
      table.rows.push_back({text_of(profile, "name"), text_of(profile, "description")});
    return print(invocation, render(table, output_style()));
  });
}

Action bind_profile_list(Options&) { return list_profiles; }

Action bind_profile_show(Options& options) {
  auto name = std::make_shared<std::string>();
  options.argument("NAME", *name, "the profile's name");
  return [name](const Invocation& invocation) {
    return ask(invocation, "org.sandboxd.Host.Profiles", {{"name", *name}}, [&](const Json& answer) {
      const Json profiles = answer.value("profiles", Json::array());
      if (profiles.empty())
        return fail(invocation, fmt::format("no profile {}; see 'sandboxctl profile list'", sandboxd::quoted(*name)));
      return print_value(invocation, profiles[0]);
    });
  };
}

struct EventOptions {
  bool follow = false;
  std::uint64_t after = 0;
};

int print_event(const Invocation& invocation, const Json& event, const Style& style) {
  if (invocation.globals.json) return print(invocation, json_line(event));
  const Table table{.rows = {{text_of(event, "cursor"), text_of(event, "kind"), text_of(event, "jail"),
                              text_of(event, "uid"), text_of(event, "detail")}}};
  // Rows come one by one: there is nothing to align them with, so a terminal gets no header.
  return print(invocation, render(table, {.terminal = false, .colour = style.colour}));
}

int show_events(const Invocation& invocation, const EventOptions& options) {
  Result<client::Connection> connection = connect(invocation.globals);
  if (!connection.ok()) return fail(invocation, connection.error());
  Json parameters = {{"after", options.after}};
  if (!options.follow) parameters["follow"] = false;
  if (const Status sent = connection->send("org.sandboxd.Jail.Events", parameters, /*more=*/true); !sent.ok()) {
    return fail(invocation, sent.error());
  }
  const Style style = output_style();
  for (;;) {
    const Result<Message> message = connection->receive();
    if (!message.ok()) return fail(invocation, message.error());
    if (!message->error.empty()) return fail(invocation, *message);
    const Json event = message->parameters.value("event", Json());
    if (event.is_object()) {
      if (const int printed = print_event(invocation, event, style); printed != 0) return printed;
    }
    if (!message->continues) return 0;
  }
}

Action bind_events(Options& options) {
  auto wanted = std::make_shared<EventOptions>();
  options.flag("--follow,-f", wanted->follow, "go on with those to come, until interrupted");
  options.number("--after", wanted->after, "CURSOR", "only those with a higher cursor");
  return [wanted](const Invocation& invocation) { return show_events(invocation, *wanted); };
}

constexpr std::array kVerbs = {
    Verb{"", "events", "show what happened to the caller's jails", "", Runs::kNothing, bind_events},
    Verb{"profile", "list", "list the profiles that the daemon has loaded", "", Runs::kNothing, bind_profile_list},
    Verb{"profile", "show", "show a profile as the daemon has resolved it", "NAME", Runs::kNothing, bind_profile_show},
    Verb{"", "info", "show the daemon and its host", "", Runs::kNothing, bind_info},
};

}  // namespace

const std::span<const Verb> kHostVerbs = kVerbs;

}  // namespace sandboxd::ctl
