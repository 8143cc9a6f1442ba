// stats, why and update: what live jails use, what was refused in one, and new limits for one.
#include <array>
#include <csignal>
#include <ctime>
#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "protocol/codec.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/limit_options.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {
namespace {

using client::Client;
using client::Expected;
using protocol::JailStats;

constexpr const char* kClear = "\033[H\033[J";  // to the top, and all below it away

// A second, or until somebody interrupts: then false.
bool pause_for_a_second() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  const timespec second{1, 0};
  return ::sigtimedwait(&set, nullptr, &second) < 0;
}

int print_stats(const Invocation& invocation, const std::vector<JailStats>& stats, bool again) {
  const Style style = output_style();
  if (invocation.globals.json || (again && !style.terminal)) {
    std::string lines;
    for (const JailStats& one : stats) lines += json_line(protocol::encode(one));
    return print(invocation, lines);
  }
  const std::string table = render(stats_table(stats), style);
  return print(invocation, again ? kClear + table : table);
}

int show_stats(const Invocation& invocation, const std::string& jail, bool watch) {
  return with_client(invocation, [&](Client& client) {
    for (;;) {
      const Expected<std::vector<JailStats>> stats = client.stats(jail);
      if (!stats) return fail(invocation, stats.error());
      if (const int status = print_stats(invocation, *stats, watch); status != 0 || !watch) return status;
      if (!pause_for_a_second()) return 0;
    }
  });
}

struct StatsOptions {
  std::vector<std::string> jail{};
  bool watch = false;
};

Action bind_stats(Options& options) {
  auto wanted = std::make_shared<StatsOptions>();
  options.optional_argument("JAIL", wanted->jail, "the jail's id or name; all of the caller's when left out");
  options.flag("--watch,-w", wanted->watch, "again each second, until interrupted");
  return [wanted](const Invocation& invocation) {
    return show_stats(invocation, wanted->jail.empty() ? "" : wanted->jail.front(), wanted->watch);
  };
}

int show_why(const Invocation& invocation, const std::string& jail) {
  return with_client(invocation, [&](Client& client) {
    const Expected<protocol::Denials> denials = client.why(jail);
    if (!denials) return fail(invocation, denials.error());
    if (invocation.globals.json) return print_value(invocation, protocol::encode(*denials));
    std::string text =
        output_style().terminal ? denials_text(*denials) : render(denial_table(*denials), output_style());
    if (denials->forgotten != 0) text += fmt::format("# {} older ones are forgotten\n", denials->forgotten);
    if (denials->untold != 0)
      text += fmt::format("# {} more calls were refused too fast to be told\n", denials->untold);
    return print(invocation, text);
  });
}

Action bind_why(Options& options) {
  auto jail = std::make_shared<std::string>();
  options.argument("JAIL", *jail, "the jail's id or name; also one that has ended");
  return [jail](const Invocation& invocation) { return show_why(invocation, *jail); };
}

struct UpdateOptions {
  std::string jail{};
  LimitOptions limits{};
};

Action bind_update(Options& options) {
  auto wanted = std::make_shared<UpdateOptions>();
  options.argument("JAIL", wanted->jail, "the jail's id or name");
  add_limit_options(options, wanted->limits, LimitSet::kLive);
  return [wanted](const Invocation& invocation) {
    const Result<protocol::AskedLimits> limits = limits_from_options(wanted->limits);
    if (!limits.ok()) return fail(invocation, limits.error());
    return with_client(invocation, [&](Client& client) {
      const Expected<std::vector<protocol::Fact>> facts = client.update(wanted->jail, *limits);
      if (!facts) return fail(invocation, facts.error());
      Json all = Json::array();
      Fields fields;
      for (const protocol::Fact& fact : *facts) {
        all.push_back({{"name", fact.name}, {"value", fact.value}});
        fields.emplace_back(fact.name, fact.value);
      }
      if (invocation.globals.json) return print_value(invocation, {{"in_force", std::move(all)}});
      return print(invocation, render(fields, output_style()));
    });
  };
}

constexpr std::array kVerbs = {
    Verb{"", "stats", "show what live jails use", "[JAIL]", Runs::kNothing, bind_stats},
    Verb{"", "why", "show what a jail's jobs were refused, and what to do", "JAIL", Runs::kNothing, bind_why},
    Verb{"", "update", "give a live jail other limits", "JAIL", Runs::kNothing, bind_update},
};

}  // namespace

const std::span<const Verb> kLimitVerbs = kVerbs;

}  // namespace sandboxd::ctl
