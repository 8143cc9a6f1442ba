// events: what happened to jails, and where something is missing.
#include <array>
#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "protocol/json.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {
namespace {

using client::Client;
using client::Event;
using client::EventUpdate;
using client::Expected;

struct EventOptions {
  bool follow = false;
  std::uint64_t after = 0;
  std::string epoch{};
};

Json detail_of(const Event& event) {
  Json detail;
  return protocol::parse_json(event.detail, detail) ? Json(event.detail) : detail;
}

Json event_json(const Event& event) {
  return {{"cursor", event.cursor}, {"time", event.time}, {"epoch", event.epoch},      {"jail", event.jail},
          {"kind", event.kind},     {"uid", event.uid},   {"detail", detail_of(event)}};
}

int print_update(const Invocation& invocation, const EventUpdate& update, const Style& style) {
  if (update.gap) {
    const std::string missing =
        *update.gap == 0 ? "events are missing here" : fmt::format("at least {} events are missing here", *update.gap);
    const Table table{.rows = {{"-", "gap", "-", "-", missing, "-"}}};
    const int printed = invocation.globals.json
                            ? print(invocation, json_line({{"gap", *update.gap}}))
                            : print(invocation, render(table, {.terminal = false, .colour = style.colour}));
    if (printed != 0) return printed;
  }
  if (!update.event) return 0;
  const Event& event = *update.event;
  if (invocation.globals.json) return print(invocation, json_line(event_json(event)));
  const Table table{.rows = {{fmt::format("{}", event.cursor), event.kind, event.jail, fmt::format("{}", event.uid),
                              event.detail, event.epoch}}};
  // Rows come one by one: there is nothing to align them with, so a terminal gets no header.
  return print(invocation, render(table, {.terminal = false, .colour = style.colour}));
}

int show_events(const Invocation& invocation, const EventOptions& options) {
  return with_client(invocation, [&](Client& client) {
    Expected<client::Events> events = client.events({.after = options.after, .epoch = options.epoch}, options.follow);
    if (!events) return fail(invocation, events.error());
    const Style style = output_style();
    for (;;) {
      const Expected<std::optional<EventUpdate>> update = events->next();
      if (!update) return fail(invocation, update.error());
      if (!update.value()) return 0;
      if (const int printed = print_update(invocation, **update, style); printed != 0) return printed;
    }
  });
}

Action bind_events(Options& options) {
  auto wanted = std::make_shared<EventOptions>();
  options.flag("--follow,-f", wanted->follow, "go on with those to come, until interrupted");
  options.number("--after", wanted->after, "CURSOR", "only those with a higher cursor");
  options.text("--epoch", wanted->epoch, "EPOCH",
               "the daemon's life that the cursor is of: what is missing since is told");
  return [wanted](const Invocation& invocation) { return show_events(invocation, *wanted); };
}

constexpr std::array kVerbs = {
    Verb{"", "events", "show what happened to the caller's jails", "", Runs::kNothing, bind_events},
};

}  // namespace

const std::span<const Verb> kEventVerbs = kVerbs;

}  // namespace sandboxd::ctl
