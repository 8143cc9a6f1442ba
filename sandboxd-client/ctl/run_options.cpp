#include "sandboxd-client/ctl/run_options.h"

#include <CLI/CLI.hpp>

namespace sandboxd::ctl {
namespace {

void add_list(CLI::App& app, const char* name, std::vector<std::string>& values, const char* type, const char* help) {
  // One value each time, given as often as wished: a list without an end would swallow the command.
  app.add_option(name, values, help)->type_name(type)->allow_extra_args(false)->expected(1)->take_all();
}

void add_text(CLI::App& app, const char* name, std::optional<std::string>& value, const char* type, const char* help) {
  app.add_option(name, value, help)->type_name(type);
}

void add_choice(CLI::App& app, const char* name, std::string& value, std::vector<std::string> choices,
                const char* help) {
  app.add_option(name, value, help)->check(CLI::IsMember(std::move(choices)))->capture_default_str();
}

}  // namespace

void add_run_options(CLI::App& app, RunOptions& options) {
  add_text(app, "--profile", options.profile, "NAME", "the profile that says the most this jail may have");
  add_text(app, "--name", options.name, "NAME", "a name to use in place of the jail's id");
  app.add_flag("--workspace{ro}", options.workspace,
               "show the current directory in the jail, at the same path; --workspace=rw lets the job write to it");
  add_text(app, "--workspace-dir", options.workspace_dir, "DIR", "the workspace, in place of the current directory");
  add_text(app, "--at", options.at, "PATH", "where the workspace appears in the jail");
  add_text(app, "--workdir,-w", options.workdir, "PATH", "the job's current directory, else the workspace, else /");
  add_list(app, "--bind", options.binds, "SRC[:DST]", "show a file or directory, writable");
  add_list(app, "--ro-bind", options.ro_binds, "SRC[:DST]", "show a file or directory, read-only");
  add_text(app, "--root", options.root, "DIR|host",
           "the jail's root, in place of /usr and a made-up /etc; always read-only");
  add_list(app, "--tmpfs", options.tmpfs, "PATH[:SIZE]", "an empty writable directory in memory");
  add_list(app, "--dir", options.dirs, "PATH", "an empty directory");
  add_text(app, "--hostname", options.hostname, "NAME", "the host name in the jail");
  add_list(app, "--env,-e", options.env, "NAME[=VALUE]", "set a variable; NAME alone copies the caller's");
  add_list(app, "--env-file", options.env_files, "FILE", "set variables from the lines of a file");
  add_choice(app, "--user", options.user, {"root", "self"},
             "whom the job sees itself as; it has no capability either way");
  add_text(app, "--timeout", options.timeout, "TIME", "kill the job after this long: 90s, 5min, 2h");
  add_choice(app, "--network", options.network, {"none", "host"}, "the job's network");
  add_choice(app, "--stdio", options.stdio, {"relay", "pass", "inherit", "null"},
             "how the job's standard input and output reach this command's");
  app.add_flag("--mount-namespace", options.mount_namespace,
               "send this process's mount namespace too: needed in a container or a unit with PrivateTmp=");
}

}  // namespace sandboxd::ctl
