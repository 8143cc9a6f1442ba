#include <array>
#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {
namespace {

std::string text_of(const Json& object, const char* key) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : value.is_null() ? std::string() : value.dump();
}

Action bind_info(Options& options) {
  auto features = std::make_shared<bool>(false);
  options.flag("--features", *features, "what the daemon's kernel and host offer, in place of what the daemon is");
  return [features](const Invocation& invocation) {
    const char* key = *features ? "features" : "info";
    const std::string method = *features ? "org.sandboxd.Host.Features" : "org.sandboxd.Host.Info";
    return ask(invocation, method, Json::object(), [&](const Json& answer) {
      const Json value = answer.value(key, Json::object());
      return invocation.globals.json ? print_value(invocation, value)
                                     : print(invocation, render(flatten(value), output_style()));
    });
  };
}

// As sandboxd-profile takes it: no daemon is asked for a file.
bool is_file_name(std::string_view text) { return text.find('/') != std::string_view::npos || text.ends_with(".json"); }

int list_profiles(const Invocation& invocation) {
  return ask(invocation, "org.sandboxd.Host.Profiles", Json::object(), [&](const Json& answer) {
    const Json profiles = answer.value("profiles", Json::array());
    if (invocation.globals.json) return print_value(invocation, profiles);
    Table table{.header = {"PROFILE", "DESCRIPTION", "MAY USE"}};
    for (const Json& profile : profiles)
      table.rows.push_back({text_of(profile, "name"), text_of(profile, "description"), text_of(profile, "may_use")});
    return print(invocation, render(table, output_style()));
  });
}

Action bind_profile_list(Options&) { return list_profiles; }

Action bind_profile_show(Options& options) {
  auto name = std::make_shared<std::string>();
  options.argument("NAME", *name, "the profile's name, or a file");
  return [name](const Invocation& invocation) {
    if (is_file_name(*name)) return run_tool(invocation, "sandboxd-profile", {"show", *name});
    return ask(invocation, "org.sandboxd.Host.Profiles", {{"name", *name}}, [&](const Json& answer) {
      const Json profiles = answer.value("profiles", Json::array());
      if (profiles.empty())
        return fail(invocation, fmt::format("no profile {}; see 'sandboxctl profile list'", sandboxd::quoted(*name)));
      return print_value(invocation, profiles[0]);
    });
  };
}

constexpr std::array kVerbs = {
    Verb{"profile", "list", "list the profiles that the daemon has loaded", "", Runs::kNothing, bind_profile_list},
    Verb{"profile", "show", "show a profile as the daemon has resolved it, or a file", "NAME|FILE", Runs::kNothing,
         bind_profile_show},
    Verb{"", "info", "show the daemon and its host", "", Runs::kNothing, bind_info},
};

}  // namespace

const std::span<const Verb> kHostVerbs = kVerbs;

}  // namespace sandboxd::ctl
