#include "sandboxd-client/ctl/run_options.h"

#include "sandboxd-client/ctl/options.h"

namespace sandboxd::ctl {
namespace {

void add_jail_options(Options& options, JailOptions& wanted) {
  options.text("--profile", wanted.profile, "NAME", "the profile that says the most this jail may have");
  options.text("--name", wanted.name, "NAME", "a name to use in place of the jail's id");
  options.list("--label", wanted.labels, "NAME=VALUE", "a label, for 'ps --label'");
  options.flag_or_value(
      "--workspace", "ro", wanted.workspace,
      "show the current directory in the jail, at the same path; --workspace=rw lets the job write to it");
  options.text("--workspace-dir", wanted.workspace_dir, "DIR", "the workspace, in place of the current directory");
  options.text("--at", wanted.at, "PATH", "where the workspace appears in the jail");
  options.list("--bind", wanted.binds, "SRC[:DST]", "show a file or directory, writable");
  options.list("--ro-bind", wanted.ro_binds, "SRC[:DST]", "show a file or directory, read-only");
  options.text("--root", wanted.root, "DIR|host",
               "the jail's root, in place of /usr and a made-up /etc; always read-only");
  options.list("--tmpfs", wanted.tmpfs, "PATH[:SIZE]", "an empty writable directory in memory");
  options.list("--dir", wanted.dirs, "PATH", "an empty directory");
  options.text("--hostname", wanted.hostname, "NAME", "the host name in the jail");
  options.choice("--user", wanted.user, {"root", "self"},
                 "whom the job sees itself as; it has no capability either way");
  options.choice("--network", wanted.network, {"none", "host"}, "the job's network");
  options.flag("--mount-namespace", wanted.mount_namespace,
               "send this process's mount namespace too: needed in a container or a unit with PrivateTmp=");
  options.text("--preset", wanted.preset, "NAME", "where limits come from that no option names; default");
  add_limit_options(options, wanted.limits, LimitSet::kAll);
  options.flag("--explain-denials", wanted.explain_denials,
               "say on the job's standard error what its filter refuses, why, and what to do; see 'why'");
}

template <class Wanted> void add_environment_options(Options& options, Wanted& wanted, const char* workdir) {
  options.text("--workdir,-w", wanted.workdir, "PATH", workdir);
  options.list("--env,-e", wanted.env, "NAME[=VALUE]", "set a variable; NAME alone copies the caller's");
  options.list("--env-file", wanted.env_files, "FILE", "set variables from the lines of a file");
}

void add_stream_options(Options& options, CommandOptions& wanted) {
  options.text("--timeout", wanted.timeout, "TIME", "kill the job after this long: 90s, 5min, 2h");
  options.flag("--tty,-t", wanted.tty, "give the job a terminal; this one is its keyboard and screen");
  options.flag("--detach,-d", wanted.detach, "leave the job running and print its name; 'attach' and 'wait' find it");
  options.text("--detach-keys", wanted.detach_keys, "KEYS", "what leaves a terminal: ctrl-p,ctrl-q; none");
  options.flag("--log", wanted.log, "keep what the job writes, for 'logs'");
  options.flag("--merge-stderr", wanted.merge_stderr, "standard error goes where standard output goes, in order");
}

}  // namespace

void add_run_options(Options& options, RunOptions& wanted) {
  add_jail_options(options, wanted);
  add_environment_options(options, wanted, "the job's current directory, else the workspace, else /");
  add_stream_options(options, wanted);
  options.choice("--stdio", wanted.stdio, {"relay", "pass", "inherit", "null"},
                 "how the job's standard input and output reach this command's");
}

void add_create_options(Options& options, CreateOptions& wanted) {
  add_jail_options(options, wanted);
  add_environment_options(options, wanted, "the jobs' current directory, else the workspace, else /");
  options.text("--timeout", wanted.timeout, "TIME",
               "kill the session with all its jobs after this long, extended or not: 90s, 5min, 2h");
  options.text("--ttl", wanted.ttl, "TIME", "end the session after this long, unless it is extended; an hour");
}

void add_exec_options(Options& options, ExecOptions& wanted) {
  add_environment_options(options, wanted, "the job's current directory, else the jail's");
  add_stream_options(options, wanted);
  options.choice("--stdio", wanted.stdio, {"relay", "pass", "null"},
                 "how the job's standard input and output reach this command's");
  options.text("--nofile", wanted.nofile, "N", "the most files that the job may have open");
  options.text("--output-max", wanted.output_max, "SIZE", "the most bytes of output; past it the job is killed");
  options.text("--file-size-max,--file-size", wanted.file_size, "SIZE",
               "the largest file that the job may write: 10M, 1G");
  options.flag("--explain-denials", wanted.explain_denials,
               "say on the job's standard error what is refused; of a jail that was created with it");
  options.flag("--keep-survivors", wanted.keep_survivors,
               "let processes live that outlive the job's first one; else they are killed");
  options.refused("--user", "all jobs of a jail have its id, which 'create --user' or 'run --user' has chosen");
}

}  // namespace sandboxd::ctl
