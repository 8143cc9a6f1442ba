#include <array>
#include <string_view>
#include <utility>

#include "base/limit_text.h"
#include "base/path.h"
#include "base/text.h"
#include "sandboxd-client/ctl/environment.h"
#include "sandboxd-client/ctl/run_options.h"

namespace sandboxd::ctl {
namespace {

using protocol::Access;
using protocol::Stdio;

// The library names the file; which option it came from is known here.
Status named(std::string_view option, const client::Expected<void>& done) {
  return done ? Status() : Status(make_error("{}: {}", option, done.error().text));
}

// A mistake that the daemon would find too; found here it names the option instead of a place in a frame.
Status check_target(std::string_view option, const std::string& path) {
  if (is_canonical_path(path)) return {};
  return make_error("{} {}: a path in the jail must be absolute, without '//', '.', '..' or a '/' at its end", option,
                    sandboxd::quoted(path));
}

// SRC[:DST]. DST is absolute, so the last ":/" parts them and SRC may hold colons.
Status add_bind(std::string_view option, const std::string& text, Access access, Request& request) {
  const std::size_t colon = text.rfind(":/");
  const std::string target = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  return named(option, request.bind(text.substr(0, colon), access, target));
}

Status add_workspace(const JailOptions& options, Request& request) {
  const bool wanted = !options.workspace.empty() || options.workspace_dir.has_value();
  if (!wanted && options.at) return make_error("--at needs --workspace or --workspace-dir");
  if (!wanted) return {};
  if (!options.workspace.empty() && options.workspace != "ro" && options.workspace != "rw") {
    return make_error("--workspace={}: must be ro or rw; a directory is given by --workspace-dir",
                      sandboxd::quoted(options.workspace));
  }
  if (options.at) TRY(check_target("--at", *options.at));
  const Access access = options.workspace == "rw" ? Access::kRw : Access::kRo;
  return named("workspace", request.workspace(options.workspace_dir.value_or("."), access, options.at.value_or("")));
}

Status add_files(const JailOptions& options, Request& request) {
  request.mount_namespace = options.mount_namespace;
  TRY(add_workspace(options, request));
  for (const std::string& text : options.binds) TRY(add_bind("--bind", text, Access::kRw, request));
  for (const std::string& text : options.ro_binds) TRY(add_bind("--ro-bind", text, Access::kRo, request));
  if (!options.root) return {};
  if (*options.root == "host") {  // a directory of that name is ./host
    request.spec.root = protocol::Root::kHost;
    return {};
  }
  return named("--root", request.root_directory(*options.root));
}

Status add_places(const JailOptions& options, protocol::JobSpec& spec) {
  for (const std::string& text : options.tmpfs) {
    const std::size_t colon = text.rfind(':');
    protocol::Tmpfs tmpfs{.path = text.substr(0, colon)};
    TRY(check_target("--tmpfs", tmpfs.path));
    if (colon != std::string::npos) {
      tmpfs.size = parse_size(std::string_view(text).substr(colon + 1));
      if (!tmpfs.size)
        return make_error("--tmpfs {}: the size must be a number with K, M or G", sandboxd::quoted(text));
    }
    spec.tmpfs.push_back(std::move(tmpfs));
  }
  for (const std::string& path : options.dirs) TRY(check_target("--dir", path));
  spec.dirs = options.dirs;
  return {};
}

Status add_jail(const JailOptions& options, Request& request) {
  protocol::JobSpec& spec = request.spec;
  spec.profile = options.profile;
  spec.name = options.name;
  spec.hostname = options.hostname;
  spec.user_root = options.user == "root";
  spec.network = options.network == "host" ? protocol::Network::kHost : protocol::Network::kNone;
  spec.preset = options.preset;
  spec.explain_denials = options.explain_denials;
  TRY_ASSIGN(spec.limits, limits_from_options(options.limits));
  TRY_ASSIGN(spec.labels, labels_from_text(options.labels));
  TRY(add_files(options, request));
  return add_places(options, spec);
}

// What a run's spec and an exec's have in common, but for the environment.
template <class Spec>
Status add_command(const CommandOptions& options, const std::vector<std::string>& command, Spec& spec) {
  constexpr std::array<std::pair<std::string_view, Stdio>, 4> kNames = {
      {{"relay", Stdio::kRelay}, {"pass", Stdio::kPass}, {"inherit", Stdio::kInherit}, {"null", Stdio::kNull}}};
  spec.argv = command;
  if (command.empty() || command.front().empty()) return make_error("no command: give it after '--'");
  if (options.workdir) TRY(check_target("--workdir", *options.workdir));
  spec.workdir = options.workdir;
  if (options.timeout) {
    TRY_ASSIGN(spec.wall_time, time_from_text("--timeout", *options.timeout));
  }
  for (const auto& [name, stdio] : kNames) {
    if (options.stdio == name) spec.stdio = stdio;
  }
  const bool has_streams = spec.stdio == Stdio::kPass || spec.stdio == Stdio::kRelay;
  if (!has_streams && (options.tty || options.detach || options.merge_stderr)) {
    return make_error("--stdio={} goes with none of --tty, --detach and --merge-stderr", options.stdio);
  }
  if (!detach_keys_from_text(options.detach_keys)) {
    return make_error("--detach-keys {}: must be keys like ctrl-p or ~ with commas between, or none",
                      sandboxd::quoted(options.detach_keys));
  }
  // Nobody is there to have the other ends.
  if (options.detach) spec.stdio = Stdio::kRelay;
  if (options.tty) spec.tty.emplace();
  spec.detach = options.detach;
  spec.log = options.log;
  spec.merge_stderr = options.merge_stderr;
  return {};
}

// A job's own: none is what the jail has.
Result<std::optional<std::uint64_t>> own_limit(std::string_view name, const std::optional<std::string>& text) {
  if (!text) return std::optional<std::uint64_t>();
  const LimitRow& row = *find_limit(name);
  const auto value = parse_limit(row, *text);
  if (!value || *value == 0)
    return make_error("{} {}: must be {}", option_of(row), sandboxd::quoted(*text), expected_of(row));
  return value;
}

}  // namespace

Result<std::uint64_t> time_from_text(std::string_view option, const std::string& text) {
  const auto time = parse_timespan_usec(text);
  if (time && *time != 0) return *time;
  return make_error("{} {}: must be a time like 90s, 5min or 2h, more than 0", option, sandboxd::quoted(text));
}

Result<protocol::Labels> labels_from_text(const std::vector<std::string>& texts) {
  protocol::Labels labels;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return make_error("--label {}: must be NAME=VALUE", sandboxd::quoted(text));
    }
    labels.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return labels;
}

Result<Request> make_request(const RunOptions& options, const std::vector<std::string>& command,
                             const char* const* own_environment) {
  Request request;
  TRY(add_command(options, command, request.spec));
  TRY_ASSIGN(request.spec.env, make_environment(options.env_files, options.env, own_environment));
  TRY(add_jail(options, request));
  if (request.spec.stdio == Stdio::kInherit && options.explain_denials)
    return make_error("--stdio=inherit goes not with --explain-denials: the lines need a stream that the daemon has");
  if (request.spec.stdio == Stdio::kInherit) TRY(named("--stdio=inherit", request.inherit_stdio()));
  return request;
}

Result<Request> make_create_request(const CreateOptions& options, const char* const* own_environment) {
  Request request;
  if (options.workdir) TRY(check_target("--workdir", *options.workdir));
  request.spec.workdir = options.workdir;
  if (options.timeout) {
    TRY_ASSIGN(request.spec.wall_time, time_from_text("--timeout", *options.timeout));
  }
  if (options.ttl) {
    TRY_ASSIGN(request.spec.session_ttl, time_from_text("--ttl", *options.ttl));
  }
  TRY_ASSIGN(request.spec.env, make_environment(options.env_files, options.env, own_environment));
  TRY(add_jail(options, request));
  return request;
}

Result<protocol::ExecSpec> make_exec_spec(const ExecOptions& options, const std::vector<std::string>& command,
                                          const char* const* own_environment) {
  protocol::ExecSpec spec;
  TRY(add_command(options, command, spec));
  TRY_ASSIGN(spec.env, make_additions(options.env_files, options.env, own_environment, options.tty));
  spec.explain_denials = options.explain_denials;
  spec.survivors = options.keep_survivors ? protocol::Survivors::kKeep : protocol::Survivors::kKill;
  TRY_ASSIGN(spec.nofile, own_limit("nofile", options.nofile));
  TRY_ASSIGN(spec.file_size_max, own_limit("file_size_max", options.file_size));
  TRY_ASSIGN(spec.output_max, own_limit("output_max", options.output_max));
  return spec;
}

}  // namespace sandboxd::ctl
