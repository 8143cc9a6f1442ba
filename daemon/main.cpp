// sandboxd: without options the daemon itself, started with its sockets and without any right; with --standalone the parent
// that starts it and the other programs.
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include <fmt/core.h>
#include <systemd/sd-daemon.h>

#include "daemon/main/role.h"
#include "daemon/main/standalone.h"

namespace {

constexpr std::string_view kUsage =
    "usage: sandboxd --standalone [--config FILE] [--runtime-dir DIR] [--state-dir DIR]\n"
    "       sandboxd              (with sockets: LISTEN_FDS)\n"
    "       sandboxd --version | --help\n";

struct Options {
  bool standalone = false;
  bool version = false;
  bool help = false;
  bool wrong = false;
  sandboxd::main::StandaloneOptions parent{};
};

Options parse(int argc, char** argv) {
  Options options;
  const auto value_of = [&](std::string_view word, std::string_view name, int& at) -> const char* {
    if (word == name) return at + 1 < argc ? argv[++at] : nullptr;
    if (word.size() > name.size() && word.substr(0, name.size()) == name && word[name.size()] == '=')
      return argv[at] + name.size() + 1;
    return nullptr;
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--standalone") {
      options.standalone = true;
    } else if (word == "--version") {
      options.version = true;
    } else if (word == "--help" || word == "-h") {
      options.help = true;
    } else if (const char* config = value_of(word, "--config", i)) {
      options.parent.config = config;
    } else if (const char* runtime = value_of(word, "--runtime-dir", i)) {
      options.parent.runtime_dir = runtime;
    } else if (const char* state = value_of(word, "--state-dir", i)) {
      options.parent.state_dir = state;
    } else {
      options.wrong = true;
    }
  }
  return options;
}

int run(int argc, char** argv) {
  Options options = parse(argc, argv);
  if (options.wrong) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  if (options.help) {
    fmt::print("{}", kUsage);
    return 0;
  }
  if (options.version) {
    fmt::print("sandboxd {}\n", SANDBOXD_VERSION);
    return 0;
  }
  options.parent.ready = [] { sd_notify(0, "READY=1"); };
  const sandboxd::Status done =
      options.standalone ? sandboxd::main::run_standalone(options.parent) : sandboxd::main::run_role();
  if (done.ok()) return 0;
  fmt::print(stderr, "sandboxd: {}\n", done.error().message());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sandboxd: %s\n", error.what());
  }
  return 1;
}
