// sandboxd-doctor: what this kernel and host offer for jails (sandboxctl doctor).
#include <cstdlib>

#include <unistd.h>
#include <CLI/CLI.hpp>

#include "base/file.h"
#include "daemon/tools/doctor/doctor.h"

int main(int argc, char** argv) {
  using namespace sandboxd;
  constexpr int kOwnFailure = 125;
  CLI::App app("Says what this kernel and host offer for jails, what is missing and what that turns off.",
               "sandboxd-doctor");
  const char* state_dir = std::getenv("SANDBOXD_STATE_DIR");
  doctor::Context context{.is_root = ::geteuid() == 0,
                          .state_dir = state_dir != nullptr ? state_dir : "/var/lib/sandboxd"};
  bool json = false;
  app.add_flag("--json", json, "print one JSON value");
  app.add_option("--state-dir", context.state_dir, "the daemon's state directory, whose file system is tried")
      ->type_name("DIR");
  app.set_version_flag("--version", "sandboxd-doctor " SANDBOXD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kOwnFailure;
  }
  const auto findings = doctor::examine(context);
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  const bool colour = terminal && (no_color == nullptr || *no_color == '\0');
  const std::string text = json ? doctor::to_json(findings) : doctor::to_text(findings, terminal, colour);
  return write_all(STDOUT_FILENO, text).ok() ? doctor::verdict(findings) : kOwnFailure;
}
