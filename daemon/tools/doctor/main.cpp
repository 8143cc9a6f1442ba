// sandboxd-doctor: what this kernel and host offer for jails (sandboxctl doctor).
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include "base/file.h"
#include "daemon/profilec/config.h"
#include "daemon/tools/doctor/doctor.h"

namespace {

// What it says of the host's cgroups. One that is named must be there.
sandboxd::Status read_config(const std::string& named, sandboxd::doctor::Context& context) {
  using namespace sandboxd;
  const std::string path = named.empty() ? std::string(profilec::kDefaultConfigPath) : named;
  const auto text = read_file(AT_FDCWD, path);
  if (!text.ok() && text.error().code == ENOENT && named.empty()) return {};
  if (!text.ok()) return text.error();
  TRY_ASSIGN(const wire::Config config, profilec::parse_config(*text, path));
  context.cgroup_root = config.cgroup_root;
  context.unenforced = config.unenforced_limits;
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  using namespace sandboxd;
  constexpr int kOwnFailure = 125;
  CLI::App app("Says what this kernel and host offer for jails, what is missing and what that turns off.",
               "sandboxd-doctor");
  const char* state_dir = std::getenv("SANDBOXD_STATE_DIR");
  doctor::Context context{.is_root = ::geteuid() == 0,
                          .state_dir = state_dir != nullptr ? state_dir : "/var/lib/sandboxd",
                          .cgroup_root = {},
                          .unenforced = {}};
  bool json = false;
  app.add_flag("--json", json, "print one JSON value");
  app.add_option("--state-dir", context.state_dir, "the daemon's state directory, whose file system is tried")
      ->type_name("DIR");
  std::string config;
  app.add_option("--config", config,
                 "the daemon's configuration; by default /etc/sandboxd/sandboxd.json, if it is there")
      ->type_name("FILE");
  bool list = false;
  app.add_flag("--unenforceable", list, "print only the limits that this host's cgroups can't hold, as a JSON list");
  app.set_version_flag("--version", "sandboxd-doctor " SANDBOXD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kOwnFailure;
  }
  if (const Status read = read_config(config, context); !read.ok()) {
    std::fprintf(stderr, "sandboxd-doctor: %s\n", read.error().message().c_str());
    return kOwnFailure;
  }
  if (list) return write_all(STDOUT_FILENO, doctor::unenforceable_limits(context)).ok() ? 0 : kOwnFailure;
  const auto findings = doctor::examine(context);
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  const bool colour = terminal && (no_color == nullptr || *no_color == '\0');
  const std::string text = json ? doctor::to_json(findings) : doctor::to_text(findings, terminal, colour);
  return write_all(STDOUT_FILENO, text).ok() ? doctor::verdict(findings) : kOwnFailure;
}
