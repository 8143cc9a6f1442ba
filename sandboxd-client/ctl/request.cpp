#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/path.h"
#include "base/text.h"
#include "sandboxd-client/ctl/environment.h"
#include "sandboxd-client/ctl/run_options.h"

namespace sandboxd::ctl {
namespace {

using protocol::Access;
using protocol::Bind;
using protocol::Stdio;

Result<std::string> real_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) return sys_error("{}", sandboxd::quoted(path));
  return std::string(resolved);
}

// A mistake that the daemon would find too; found here it names the option instead of a place in a frame.
Status check_target(std::string_view option, const std::string& path) {
  if (is_canonical_path(path)) return {};
  return make_error("{} {}: a path in the jail must be absolute, without '//', '.', '..' or a '/' at its end", option,
                    sandboxd::quoted(path));
}

// The index of what was opened.
Result<std::uint32_t> open_directory(const std::string& path, std::vector<UniqueFd>& fds) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open directory {}", sandboxd::quoted(path));
  fds.push_back(std::move(fd));
  return static_cast<std::uint32_t>(fds.size() - 1);
}

Result<std::uint32_t> open_file_or_directory(const std::string& path, std::vector<UniqueFd>& fds) {
  // Not blocking: a FIFO without a writer would hold the open for ever (fifo(7)).
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return sys_error("open {}", sandboxd::quoted(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) < 0) return sys_error("fstat {}", sandboxd::quoted(path));
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    return make_error("{} is neither a regular file nor a directory", sandboxd::quoted(path));
  }
  fds.push_back(std::move(fd));
  return static_cast<std::uint32_t>(fds.size() - 1);
}

// SRC[:DST]. DST is absolute, so the last ":/" parts them and SRC may hold colons.
Result<Bind> make_bind(std::string_view option, const std::string& text, Access access, std::vector<UniqueFd>& fds) {
  const std::size_t colon = text.rfind(":/");
  TRY_ASSIGN(const std::string source, real_path(text.substr(0, colon)).context("{}", option));
  Bind bind;
  bind.access = access;
  bind.target = colon == std::string::npos ? source : text.substr(colon + 1);
  TRY(check_target(option, bind.target));
  TRY_ASSIGN(bind.fd, open_file_or_directory(source, fds).context("{}", option));
  return bind;
}

Status add_workspace(const RunOptions& options, Request& request) {
  const bool wanted = !options.workspace.empty() || options.workspace_dir.has_value();
  if (!wanted && options.at) return make_error("--at needs --workspace or --workspace-dir");
  if (!wanted) return {};
  if (!options.workspace.empty() && options.workspace != "ro" && options.workspace != "rw") {
    return make_error("--workspace={}: must be ro or rw; a directory is given by --workspace-dir",
                      sandboxd::quoted(options.workspace));
  }
  TRY_ASSIGN(const std::string directory, real_path(options.workspace_dir.value_or(".")).context("workspace"));
  Bind bind;
  bind.access = options.workspace == "rw" ? Access::kRw : Access::kRo;
  bind.target = options.at.value_or(directory);
  TRY(check_target("--at", bind.target));
  TRY_ASSIGN(bind.fd, open_directory(directory, request.fds).context("workspace"));
  request.spec.workspace = bind;
  return {};
}

Status add_binds(const RunOptions& options, Request& request) {
  for (const std::string& text : options.binds) {
    TRY_ASSIGN(Bind bind, make_bind("--bind", text, Access::kRw, request.fds));
    request.spec.binds.push_back(std::move(bind));
  }
  for (const std::string& text : options.ro_binds) {
    TRY_ASSIGN(Bind bind, make_bind("--ro-bind", text, Access::kRo, request.fds));
    request.spec.binds.push_back(std::move(bind));
  }
  return {};
}

Status add_root(const RunOptions& options, Request& request) {
  if (!options.root) return {};
  if (*options.root == "host") {  // a directory of that name is ./host
    request.spec.root = protocol::Root::kHost;
    return {};
  }
  request.spec.root = protocol::Root::kDirectory;
  TRY_ASSIGN(request.spec.root_fd, open_directory(*options.root, request.fds).context("--root"));
  return {};
}

Status add_places(const RunOptions& options, protocol::JobSpec& spec) {
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
  if (options.workdir) TRY(check_target("--workdir", *options.workdir));
  spec.workdir = options.workdir;
  return {};
}

// A directory as standard input is a way out of the jail, and a terminal outlives the command (TIOCSTI, tty_ioctl(4)).
Status add_inherited(Request& request) {
  constexpr std::array<const char*, 3> kNames = {"standard input", "standard output", "standard error"};
  for (int fd = 0; fd < 3; ++fd) {
    struct stat info {};
    if (::fstat(fd, &info) < 0) return sys_error("--stdio=inherit: {}", kNames.at(static_cast<std::size_t>(fd)));
    const bool null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
    if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode) && !null) {
      return make_error("--stdio=inherit: {} is not a pipe, a regular file or /dev/null; use --stdio=pass",
                        kNames.at(static_cast<std::size_t>(fd)));
    }
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) return sys_error("--stdio=inherit: duplicate {}", kNames.at(static_cast<std::size_t>(fd)));
    request.spec.stdio_fds.at(static_cast<std::size_t>(fd)) = static_cast<std::uint32_t>(request.fds.size());
    request.fds.push_back(std::move(copy));
  }
  return {};
}

Status add_stdio(const RunOptions& options, Request& request) {
  constexpr std::array<std::pair<std::string_view, Stdio>, 4> kNames = {
      {{"relay", Stdio::kRelay}, {"pass", Stdio::kPass}, {"inherit", Stdio::kInherit}, {"null", Stdio::kNull}}};
  for (const auto& [name, stdio] : kNames) {
    if (options.stdio == name) request.spec.stdio = stdio;
  }
  return request.spec.stdio == Stdio::kInherit ? add_inherited(request) : Status();
}

}  // namespace

Result<Request> make_request(const RunOptions& options, const std::vector<std::string>& command,
                             const char* const* own_environment) {
  Request request;
  protocol::JobSpec& spec = request.spec;
  spec.argv = command;
  if (command.empty() || command.front().empty()) return make_error("no command: give it after '--'");
  TRY_ASSIGN(spec.env, make_environment(options.env_files, options.env, own_environment));
  spec.profile = options.profile;
  spec.name = options.name;
  spec.hostname = options.hostname;
  spec.user_root = options.user == "root";
  spec.network = options.network == "host" ? protocol::Network::kHost : protocol::Network::kNone;
  if (options.timeout) {
    spec.wall_time = parse_timespan_usec(*options.timeout);
    if (!spec.wall_time || *spec.wall_time == 0) {
      return make_error("--timeout {}: must be a time like 90s, 5min or 2h, more than 0",
                        sandboxd::quoted(*options.timeout));
    }
  }
  TRY(add_workspace(options, request));
  TRY(add_binds(options, request));
  TRY(add_root(options, request));
  TRY(add_places(options, spec));
  TRY(add_stdio(options, request));
  return request;
}

}  // namespace sandboxd::ctl
