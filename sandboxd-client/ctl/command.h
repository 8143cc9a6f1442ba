// What sandboxctl is made of: a table of verbs. A verb names its options and gives back what is to be
// done once they are parsed; that returns the exit status. Nothing here keeps state between the two but their closure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sandboxd/client.h>

#include "base/result.h"

namespace sandboxd::ctl {

class Options;

// Our own failures: nothing about the job is known, or nothing was started.
inline constexpr int kOwnFailure = 125;

// Options that every verb takes.
struct Globals {
  std::optional<std::string> socket{};
  bool json = false;
};

struct Invocation {
  std::string verb{};  // "profile list", for messages
  Globals globals{};
  std::vector<std::string> command{};  // what is to be run, or arguments for the program that does a verb's work
};

using Action = std::function<int(const Invocation&)>;

// What stands after a verb's own options: nothing; a command for a jail; options and arguments of the program that does it.
enum class Runs : std::uint8_t { kNothing, kCommand, kTool };

struct Verb {
  std::string_view group;  // "profile" of "profile list"; empty for most
  std::string_view name;
  std::string_view summary;
  std::string_view trailing;  // for the usage line
  Runs runs;
  Action (*bind)(Options& options);
};

// One for each file of verbs.
extern const std::span<const Verb> kRunVerbs;
extern const std::span<const Verb> kLearnVerbs;
extern const std::span<const Verb> kJailVerbs;
extern const std::span<const Verb> kLimitVerbs;
extern const std::span<const Verb> kJobVerbs;
extern const std::span<const Verb> kEventVerbs;
extern const std::span<const Verb> kCopyVerbs;
extern const std::span<const Verb> kFileVerbs;
extern const std::span<const Verb> kHostVerbs;
extern const std::span<const Verb> kToolVerbs;

// Writes "sandboxctl: VERB: TEXT" to standard error, in one write. `text` must be escaped already.
int fail(const Invocation& invocation, std::string_view text, int status = kOwnFailure);
int fail(const Invocation& invocation, const Error& error);
int fail(const Invocation& invocation, const client::Error& error);

// Runs a program of ours beside this one or in its libexec, in place of this process. `arguments` come before the command
// line's own. Returns only when that fails.
int run_tool(const Invocation& invocation, const std::string& program, std::vector<std::string> arguments);

// To the daemon that --socket, SANDBOXD_SOCKET and the caller's uid choose. A person can interrupt what waits for ever.
client::Expected<client::Client> connect(const Globals& globals, client::Milliseconds timeout = client::kForever);

}  // namespace sandboxd::ctl
