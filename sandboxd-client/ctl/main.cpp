// sandboxctl: finds the verb, parses its options, does it.
#include <algorithm>
#include <array>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "base/file.h"
#include "base/text.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/help.h"

namespace sandboxd::ctl {
namespace {

struct Bound {
  const Verb* verb = nullptr;
  CLI::App* app = nullptr;
  Action action{};
};

struct Group {
  std::string_view name, summary;
};
constexpr std::array kGroups = {
    Group{"profile", "the profiles: what jails may have"},
    Group{"audit", "the audit log"},
};

// Descriptors 0 to 2 must be something, or the next file that is opened becomes one of them.
void fill_standard_descriptors() {
  for (int fd = 0; fd < 3; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) ::_exit(kOwnFailure);
  }
}

void add_globals(CLI::App& app, Globals& globals) {
  app.add_flag("--json", globals.json, "print JSON: one value, or one a line");
  app.add_option("--socket", globals.socket,
                 "the daemon's socket (else SANDBOXD_SOCKET, else /run/sandboxd/sandboxd.sock)")
      ->type_name("PATH");
}

std::string verb_name(const Verb& verb) {
  return verb.group.empty() ? std::string(verb.name) : fmt::format("{} {}", verb.group, verb.name);
}

CLI::App& group_of(CLI::App& root, const Verb& verb) {
  if (verb.group.empty()) return root;
  const auto same = [&](const CLI::App* app) { return app->get_name() == verb.group; };
  if (const auto groups = root.get_subcommands(same); !groups.empty()) return *groups.front();
  const auto row = std::ranges::find(kGroups, verb.group, &Group::name);
  CLI::App* group = root.add_subcommand(std::string(verb.group), std::string(row->summary));
  group->require_subcommand(1);
  return *group;
}

// Options are added to the verb that is meant only: starting fast is worth more than a complete tree.
void add_verb(CLI::App& root, const Verb& verb, const std::vector<std::string>& words, Globals& globals,
              std::vector<Bound>& bound) {
  CLI::App* app = group_of(root, verb).add_subcommand(std::string(verb.name), std::string(verb.summary));
  if (std::ranges::find(words, verb.name) == words.end()) return;
  add_globals(*app, globals);
  bound.push_back({&verb, app, verb.bind(*app)});
  app->formatter(std::make_shared<Help>(fmt::format("{} [OPTION...] {}", verb_name(verb), verb.trailing)));
  app->prefix_command(verb.runs != Runs::kNothing);
}

// One line, like every other message of ours; `--help` and `--version` are not failures.
int report_parse(const CLI::App& root, const CLI::ParseError& error, const std::string& first_word) {
  if (error.get_exit_code() == 0) return root.exit(error);
  const bool no_verb = root.get_subcommands().empty() && !first_word.empty() && !first_word.starts_with('-');
  std::string text = no_verb ? fmt::format("unknown verb {}", sandboxd::quoted(first_word)) : escaped(error.what());
  if (const std::size_t end = text.find("\\x0a"); end != std::string::npos) text.resize(end);
  (void)write_all(STDERR_FILENO, fmt::format("sandboxctl: {}; see --help\n", text)).ok();
  return kOwnFailure;
}

int dispatch(const Bound& bound, const Globals& globals, std::vector<std::string> trailing, bool had_dashes) {
  Invocation invocation{.verb = verb_name(*bound.verb), .globals = globals, .command = bound.app->remaining()};
  if (bound.verb->runs == Runs::kCommand && !invocation.command.empty() &&
      invocation.command.front().starts_with('-')) {
    return fail(invocation, fmt::format("unknown option {}; see --help", sandboxd::quoted(invocation.command.front())));
  }
  if (bound.verb->runs == Runs::kNothing && had_dashes)
    return fail(invocation, "nothing may follow '--' here; see --help");
  if (!invocation.command.empty() && had_dashes) invocation.command.emplace_back("--");
  invocation.command.insert(invocation.command.end(), std::make_move_iterator(trailing.begin()),
                            std::make_move_iterator(trailing.end()));
  return bound.action(invocation);
}

int run(std::vector<std::string> words) {
  // What follows the first "--" is the command's, whatever it looks like; CLI11 never sees it.
  const auto dashes = std::ranges::find(words, "--");
  const bool had_dashes = dashes != words.end();
  std::vector<std::string> trailing(had_dashes ? dashes + 1 : words.end(), words.end());
  words.erase(dashes, words.end());

  CLI::App root("Runs commands in jails, by sandboxd.", "sandboxctl");
  root.set_version_flag("--version", "sandboxctl " SANDBOXD_VERSION);
  root.require_subcommand(1);
  Globals globals;
  add_globals(root, globals);
  std::vector<Bound> bound;
  for (const auto verbs : {kRunVerbs, kJailVerbs, kHostVerbs, kToolVerbs}) {
    for (const Verb& verb : verbs) add_verb(root, verb, words, globals, bound);
  }
  const std::string first_word = words.empty() ? std::string() : words.front();
  try {
    std::ranges::reverse(words);  // as CLI11 wants them
    root.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return report_parse(root, error, first_word);
  }
  const auto chosen = std::ranges::find_if(bound, [](const Bound& one) { return one.app->parsed(); });
  if (chosen == bound.end()) return kOwnFailure;  // require_subcommand has spoken
  return dispatch(*chosen, globals, std::move(trailing), had_dashes);
}

}  // namespace
}  // namespace sandboxd::ctl

int main(int argc, char** argv) {
  sandboxd::ctl::fill_standard_descriptors();
  return sandboxd::ctl::run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}
