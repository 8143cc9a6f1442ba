// `sandboxd --standalone`: a small supervising parent, started as root, for hosts without systemd and for tests; several run
// side by side. It parses nothing from clients: it makes directories and sockets, starts the programs under ids of its share of
// the pool, restarts one that dies, and at its end ends the jails before it goes. A program that dies before the daemon was
// ready ends it: a start that fails says so.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"

namespace sandboxd::main {

struct StandaloneOptions {
  std::string config{};  // empty: the defaults
  std::string runtime_dir = "/run/sandboxd";
  std::string state_dir = "/var/lib/sandboxd";
  std::function<void()> ready{};  // clients are served
};

// Returns when SIGTERM or SIGINT has ended it, and all of it.
Status run_standalone(const StandaloneOptions& options);

}  // namespace sandboxd::main
