#include "sandboxd-client/ctl/run_options.h"

#include "sandboxd-client/ctl/options.h"

namespace sandboxd::ctl {

void add_run_options(Options& options, RunOptions& wanted) {
  options.text("--profile", wanted.profile, "NAME", "the profile that says the most this jail may have");
  options.text("--name", wanted.name, "NAME", "a name to use in place of the jail's id");
  options.flag_or_value(
      "--workspace", "ro", wanted.workspace,
      "show the current directory in the jail, at the same path; --workspace=rw lets the job write to it");
  options.text("--workspace-dir", wanted.workspace_dir, "DIR", "the workspace, in place of the current directory");
  options.text("--at", wanted.at, "PATH", "where the workspace appears in the jail");
  options.text("--workdir,-w", wanted.workdir, "PATH", "the job's current directory, else the workspace, else /");
  options.list("--bind", wanted.binds, "SRC[:DST]", "show a file or directory, writable");
  options.list("--ro-bind", wanted.ro_binds, "SRC[:DST]", "show a file or directory, read-only");
  options.text("--root", wanted.root, "DIR|host",
               "the jail's root, in place of /usr and a made-up /etc; always read-only");
  options.list("--tmpfs", wanted.tmpfs, "PATH[:SIZE]", "an empty writable directory in memory");
  options.list("--dir", wanted.dirs, "PATH", "an empty directory");
  options.text("--hostname", wanted.hostname, "NAME", "the host name in the jail");
  options.list("--env,-e", wanted.env, "NAME[=VALUE]", "set a variable; NAME alone copies the caller's");
  options.list("--env-file", wanted.env_files, "FILE", "set variables from the lines of a file");
  options.choice("--user", wanted.user, {"root", "self"},
                 "whom the job sees itself as; it has no capability either way");
  options.text("--timeout", wanted.timeout, "TIME", "kill the job after this long: 90s, 5min, 2h");
  options.choice("--network", wanted.network, {"none", "host"}, "the job's network");
  options.choice("--stdio", wanted.stdio, {"relay", "pass", "inherit", "null"},
                 "how the job's standard input and output reach this command's");
  options.flag("--mount-namespace", wanted.mount_namespace,
               "send this process's mount namespace too: needed in a container or a unit with PrivateTmp=");
}

}  // namespace sandboxd::ctl
