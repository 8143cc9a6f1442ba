// The options of `run`, `explain`, `create` and `exec`, and what they ask for. The client's files are opened here, with the
// caller's rights (sandboxd/request.h); nothing is created.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sandboxd/request.h>

#include "base/result.h"
#include "sandboxd-client/ctl/detach_keys.h"
#include "sandboxd-client/ctl/limit_options.h"

namespace sandboxd::ctl {

class Options;

// What a jail is.
struct JailOptions {
  std::optional<std::string> profile{}, name{}, hostname{}, root{};
  std::string workspace{};  // empty: not asked for; ro | rw
  std::optional<std::string> workspace_dir{}, at{};
  std::vector<std::string> binds{}, ro_binds{}, tmpfs{}, dirs{}, labels{};
  std::string user = "self", network = "none";
  bool mount_namespace = false;
  std::optional<std::string> preset{};
  bool explain_denials = false;
  LimitOptions limits{};
};

// How a command is run.
struct CommandOptions {
  std::optional<std::string> workdir{}, timeout{};
  std::vector<std::string> env{}, env_files{};
  std::string stdio = "pass";
  std::string detach_keys{kDefaultDetachKeys};
  bool tty = false, detach = false, log = false, merge_stderr = false;
};

struct RunOptions : JailOptions, CommandOptions {};

struct CreateOptions : JailOptions {
  std::optional<std::string> workdir{}, timeout{}, ttl{};
  std::vector<std::string> env{}, env_files{};
};

struct ExecOptions : CommandOptions {
  std::optional<std::string> nofile{}, file_size{}, output_max{};
  bool keep_survivors = false, explain_denials = false;
};

void add_run_options(Options& options, RunOptions& wanted);
void add_create_options(Options& options, CreateOptions& wanted);
void add_exec_options(Options& options, ExecOptions& wanted);

using client::Request;

// `own_environment`: environ(7).
Result<Request> make_request(const RunOptions& options, const std::vector<std::string>& command,
                             const char* const* own_environment);
Result<Request> make_create_request(const CreateOptions& options, const char* const* own_environment);
Result<protocol::ExecSpec> make_exec_spec(const ExecOptions& options, const std::vector<std::string>& command,
                                          const char* const* own_environment);
// "k=v"; nothing before the '=' is an error.
Result<protocol::Labels> labels_from_text(const std::vector<std::string>& texts);
// "90s", "2h"; more than 0. `option` is for the message.
Result<std::uint64_t> time_from_text(std::string_view option, const std::string& text);

}  // namespace sandboxd::ctl
