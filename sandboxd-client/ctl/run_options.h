// The options of `run` and `explain`, and what they ask for: a JobSpec with the client's files opened beside it. Files are
// opened here, with the caller's rights and for reading (O_PATH takes no right, the broker refuses it); nothing is created.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/job.h"

namespace sandboxd::ctl {

class Options;

struct RunOptions {
  std::optional<std::string> profile{}, name{}, hostname{}, workdir{}, root{}, timeout{};
  std::string workspace{};  // empty: not asked for; ro | rw
  std::optional<std::string> workspace_dir{}, at{};
  std::vector<std::string> binds{}, ro_binds{}, tmpfs{}, dirs{};
  std::vector<std::string> env{}, env_files{};
  std::string user = "self", network = "none", stdio = "pass";
  bool mount_namespace = false;
};

void add_run_options(Options& options, RunOptions& wanted);

struct Request {
  protocol::JobSpec spec{};     // without token
  std::vector<UniqueFd> fds{};  // what the spec's indexes mean
};

// `own_environment`: environ(7). Reads the file system: paths are made absolute and free of symbolic links, since they
// must name the same thing in the jail.
Result<Request> make_request(const RunOptions& options, const std::vector<std::string>& command,
                             const char* const* own_environment);

}  // namespace sandboxd::ctl
