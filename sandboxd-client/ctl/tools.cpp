// The verbs that need no daemon: small programs in libexec, found beside our own binary or in its prefix. They are exec'd
// with the caller's rights; nothing is looked up in PATH.
#include <array>
#include <cerrno>
#include <climits>
#include <memory>

#include <unistd.h>

#include "base/text.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/options.h"

namespace sandboxd::ctl {
namespace {

Result<std::string> own_directory() {
  char path[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0) return sys_error("readlink '/proc/self/exe'");
  const std::string_view text(path, static_cast<std::size_t>(length));
  return std::string(text.substr(0, text.rfind('/')));
}

// Returns only when it fails.
Error exec_tool(const std::string& program, std::vector<std::string> arguments) {
  TRY_ASSIGN(const std::string directory, own_directory());
  std::vector<char*> argv;
  arguments.insert(arguments.begin(), program);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  for (const std::string& path : {directory + "/" + program, directory + "/../libexec/sandboxd/" + program}) {
    ::execv(path.c_str(), argv.data());
    if (errno != ENOENT) return sys_error("execute {}", sandboxd::quoted(path));
  }
  return sys_error_code(ENOENT, "find {} in {} or '../libexec/sandboxd' beside it", sandboxd::quoted(program),
                        sandboxd::quoted(directory));
}

Action tool(std::string program, std::vector<std::string> arguments) {
  return [program = std::move(program), arguments = std::move(arguments)](const Invocation& invocation) {
    return run_tool(invocation, program, arguments);
  };
}

Action bind_doctor(Options& options) {
  auto state_dir = std::make_shared<std::string>();
  options.text("--state-dir", *state_dir, "DIR", "the daemon's state directory, whose file system is tried");
  auto config = std::make_shared<std::string>();
  options.text("--config", *config, "FILE", "the daemon's configuration, which may leave limits unenforced");
  return [state_dir, config](const Invocation& invocation) {
    std::vector<std::string> arguments;
    if (!state_dir->empty()) arguments = {"--state-dir", *state_dir};
    if (!config->empty()) arguments.insert(arguments.end(), {"--config", *config});
    return run_tool(invocation, "sandboxd-doctor", std::move(arguments));
  };
}

Action bind_profile_check(Options&) { return tool("sandboxd-profile", {"check"}); }
Action bind_profile_explain(Options&) { return tool("sandboxd-profile", {"explain"}); }
Action bind_profile_diff(Options&) { return tool("sandboxd-profile", {"diff"}); }
Action bind_profile_compile(Options&) { return tool("sandboxd-profile", {"compile"}); }
Action bind_audit_verify(Options&) { return tool("sandboxd-audit-verify", {}); }

constexpr std::array kVerbs = {
    Verb{"", "doctor", "say what this kernel and host offer, what is missing and what that turns off", "",
         Runs::kNothing, bind_doctor},
    Verb{"profile", "check", "check profile files as the daemon would", "FILE...", Runs::kTool, bind_profile_check},
    Verb{"profile", "explain", "say which rules decide a system call, and why", "SYSCALL", Runs::kTool,
         bind_profile_explain},
    Verb{"profile", "diff", "say what two profiles or filter files do differently", "A B", Runs::kTool,
         bind_profile_diff},
    Verb{"profile", "compile", "make the BPF program of a profile or filter file", "[PROFILE]", Runs::kTool,
         bind_profile_compile},
    Verb{"audit", "verify", "check that an audit log is whole", "[DIR]", Runs::kTool, bind_audit_verify},
};

}  // namespace

int run_tool(const Invocation& invocation, const std::string& program, std::vector<std::string> arguments) {
  if (invocation.globals.json) arguments.emplace_back("--json");
  arguments.insert(arguments.end(), invocation.command.begin(), invocation.command.end());
  return fail(invocation, exec_tool(program, std::move(arguments)));
}

const std::span<const Verb> kToolVerbs = kVerbs;

}  // namespace sandboxd::ctl
