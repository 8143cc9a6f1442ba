// ps, inspect, rm, freeze, thaw and extend: verbs about jails as a whole.
#include <algorithm>
#include <array>
#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"
#include "sandboxd-client/ctl/run_options.h"

namespace sandboxd::ctl {
namespace {

using client::Client;
using client::Expected;
using protocol::JailInfo;

void add_jail(Options& options, std::string& jail) { options.argument("JAIL", jail, "the jail's id or name"); }

int show_jails(const Invocation& invocation, const std::vector<std::string>& labels) {
  return with_client(invocation, [&](Client& client) {
    Expected<std::vector<JailInfo>> jails = client.list();
    if (!jails) return fail(invocation, jails.error());
    std::erase_if(*jails, [&](const JailInfo& jail) { return !has_labels(jail, labels); });
    std::ranges::stable_sort(*jails, {}, &JailInfo::started);
    if (!invocation.globals.json) return print(invocation, render(jail_table(*jails, realtime_usec()), output_style()));
    Json all = Json::array();
    for (const JailInfo& jail : *jails) all.push_back(protocol::encode(jail));
    return print_value(invocation, all);
  });
}

Action bind_ps(Options& options) {
  auto labels = std::make_shared<std::vector<std::string>>();
  options.list("--label", *labels, "NAME[=VALUE]", "only jails with this label; all of them when given several times");
  return [labels](const Invocation& invocation) { return show_jails(invocation, *labels); };
}

Action bind_inspect(Options& options) {
  auto jail = std::make_shared<std::string>();
  add_jail(options, *jail);
  return [jail](const Invocation& invocation) {
    return with_client(invocation, [&](Client& client) {
      const Expected<JailInfo> info = client.inspect(*jail);
      if (!info) return fail(invocation, info.error());
      if (invocation.globals.json) return print_value(invocation, protocol::encode(*info));
      return print(invocation, render(jail_fields(*info), output_style()));
    });
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
    return order(invocation, [&](Client& client) { return client.remove(wanted->jail, wanted->force); });
  };
}

Action bind_freeze(Options& options) {
  auto jail = std::make_shared<std::string>();
  add_jail(options, *jail);
  return [jail](const Invocation& invocation) {
    return order(invocation, [&](Client& client) { return client.freeze(*jail); });
  };
}

Action bind_thaw(Options& options) {
  auto jail = std::make_shared<std::string>();
  add_jail(options, *jail);
  return [jail](const Invocation& invocation) {
    return order(invocation, [&](Client& client) { return client.thaw(*jail); });
  };
}

struct ExtendOptions {
  std::string jail{}, ttl{};
};

Action bind_extend(Options& options) {
  auto wanted = std::make_shared<ExtendOptions>();
  add_jail(options, wanted->jail);
  options.argument("TIME", wanted->ttl, "how long from now: 30min, 2h");
  return [wanted](const Invocation& invocation) {
    const Result<std::uint64_t> ttl = time_from_text("TIME", wanted->ttl);
    if (!ttl.ok()) return fail(invocation, ttl.error());
    return with_client(invocation, [&](Client& client) {
      const std::chrono::microseconds span(*ttl);
      const auto expires = client.extend(wanted->jail, std::chrono::ceil<client::Milliseconds>(span));
      if (!expires) return fail(invocation, expires.error());
      return invocation.globals.json ? print_value(invocation, {{"expires", *expires}}) : 0;
    });
  };
}

constexpr std::array kVerbs = {
    Verb{"", "ps", "list the caller's jails, as uid 0 everybody's", "", Runs::kNothing, bind_ps},
    Verb{"", "inspect", "show a jail, and what is in force in it", "JAIL", Runs::kNothing, bind_inspect},
    Verb{"", "freeze", "stop every process of a jail for a while", "JAIL", Runs::kNothing, bind_freeze},
    Verb{"", "thaw", "let a frozen jail go on", "JAIL", Runs::kNothing, bind_thaw},
    Verb{"", "extend", "let a session end later", "JAIL TIME", Runs::kNothing, bind_extend},
    Verb{"", "rm", "forget an ended jail and its report", "JAIL", Runs::kNothing, bind_rm},
};

}  // namespace

const std::span<const Verb> kJailVerbs = kVerbs;

}  // namespace sandboxd::ctl
