#include "sandboxd-client/ctl/parse.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include <fmt/core.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "base/file.h"
#include "base/text.h"
#include "sandboxd-client/ctl/command.h"

namespace sandboxd::ctl {
namespace {

// CLI11's help, with the verb's own usage line.
class Help : public CLI::Formatter {
 public:
  explicit Help(std::string usage) : usage_(std::move(usage)) { column_width(36); }
  std::string make_usage(const CLI::App*, std::string) const override { return "Usage: sandboxctl " + usage_ + "\n\n"; }
  // A flag's default value is in CLI11's name for it: "--workspace{ro}".
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    const std::string name = CLI::Formatter::make_option_name(option, is_positional);
    const std::size_t brace = name.find('{');
    return brace == std::string::npos ? name : name.substr(0, brace) + "[=VALUE]";
  }

 private:
  std::string usage_;
};

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
    Group{"files", "single files of a live jail"},
    Group{"audit", "the audit log"},
};

void add_globals(Options options, Globals& globals) {
  options.flag("--json", globals.json, "print JSON: one value, or one a line");
  options.text("--socket", globals.socket, "PATH",
               "the daemon's socket (else SANDBOXD_SOCKET, else /run/sandboxd/sandboxd.sock)");
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
  Options options(*app);
  add_globals(options, globals);
  bound.push_back({&verb, app, verb.bind(options)});
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

}  // namespace

void Options::flag(const char* name, bool& value, const char* help) { app_.add_flag(name, value, help); }

void Options::flag_or_value(const char* name, const char* without, std::string& value, const char* help) {
  app_.add_flag(fmt::format("{}{{{}}}", name, without), value, help);
}

void Options::text(const char* name, std::optional<std::string>& value, const char* type, const char* help) {
  app_.add_option(name, value, help)->type_name(type);
}

void Options::text(const char* name, std::string& value, const char* type, const char* help) {
  app_.add_option(name, value, help)->type_name(type)->capture_default_str();
}

void Options::number(const char* name, std::uint64_t& value, const char* type, const char* help) {
  const auto number = [](const std::string& text) {
    return parse_uint(text, std::numeric_limits<std::uint64_t>::max())
               ? std::string()
               : fmt::format("{} must be a number, 0 or more", sandboxd::quoted(text));
  };
  app_.add_option(name, value, help)->check(number)->type_name(type)->capture_default_str();
}

void Options::choice(const char* name, std::string& value, std::vector<std::string> choices, const char* help) {
  app_.add_option(name, value, help)->check(CLI::IsMember(std::move(choices)))->capture_default_str();
}

void Options::list(const char* name, std::vector<std::string>& values, const char* type, const char* help) {
  // One value each time: a list without an end would swallow the command.
  app_.add_option(name, values, help)->type_name(type)->allow_extra_args(false)->expected(1)->take_all();
}

void Options::refused(const char* name, const char* why) {
  const auto refuse = [why](const std::string& text) {
    return fmt::format("{} can't be chosen here; expected no such option: {}", sandboxd::quoted(text), why);
  };
  app_.add_option(name)->check(refuse)->group("");
}

void Options::argument(const char* name, std::string& value, const char* help) {
  app_.add_option(name, value, help)->required()->type_name("");
}

void Options::optional_argument(const char* name, std::vector<std::string>& value, const char* help) {
  app_.add_option(name, value, help)->expected(0, 1)->type_name("");
}

std::optional<std::string> parse_options(const std::function<void(Options&)>& add, std::vector<std::string> words) {
  CLI::App app;
  Options options(app);
  add(options);
  try {
    std::ranges::reverse(words);  // as CLI11 wants them
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return std::nullopt;
}

int run_command_line(std::vector<std::string> words) {
  // What follows the first "--" is the command's, whatever it looks like; CLI11 never sees it.
  const auto dashes = std::ranges::find(words, "--");
  const bool had_dashes = dashes != words.end();
  std::vector<std::string> trailing(had_dashes ? dashes + 1 : words.end(), words.end());
  words.erase(dashes, words.end());

  CLI::App root("Runs commands in jails, by sandboxd.", "sandboxctl");
  root.set_version_flag("--version", "sandboxctl " SANDBOXD_VERSION);
  root.require_subcommand(1);
  Globals globals;
  add_globals(Options(root), globals);
  std::vector<Bound> bound;
  for (const auto verbs : {kRunVerbs, kLearnVerbs, kJailVerbs, kLimitVerbs, kJobVerbs, kCopyVerbs, kFileVerbs,
                           kEventVerbs, kHostVerbs, kToolVerbs}) {
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

}  // namespace sandboxd::ctl
