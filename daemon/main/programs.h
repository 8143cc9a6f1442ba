// The programs of one daemon: which they are, where they lie, with which rights and sockets each is started. A program that
// others than root could have changed is refused.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/main/places.h"

namespace sandboxd::main {

struct Program {
  std::string_view name;
  bool root = false;  // the launcher; everything else gets an id of its own and no capability
  OwnId id = OwnId::kSandboxd;
  std::array<std::string_view, 3> sockets{};
};

// In the order of their start. sandboxd is the last: it takes clients.
inline constexpr std::array kPrograms = {
    Program{"sandboxd-audit", false, OwnId::kAudit, {"audit", "audit-launcher"}},
    Program{"sandboxd-broker", false, OwnId::kBroker, {"broker", "broker-admin", "broker-claim"}},
    Program{"sandboxd-launcher", true, OwnId::kSandboxd, {"launcher"}},
    Program{"sandboxd", false, OwnId::kSandboxd, {"sandboxd", "admin"}},
};

struct Settings {
  std::string config{};  // empty: the defaults
  std::string runtime_dir{};
  std::string state_dir{};
  std::string own_directory{};  // of this binary
  std::string prefix{};
  std::uint32_t slice_first = 0;
  std::uint32_t numbers = 0;
};

// The directory of the running binary, and the prefix that it belongs to.
Result<std::string> own_directory();
[[nodiscard]] std::string prefix_of(const std::string& own_directory);
// Beside this binary, else in ../libexec/sandboxd. Opened O_PATH; its directory is checked too.
Result<UniqueFd> open_program(const std::string& own_directory, std::string_view name);
Result<std::string> path_of_program(const std::string& own_directory, std::string_view name);

// Forks and execs. `ready`: -1, or a pipe's write end that the program gets as SANDBOXD_READY_FD. One thread only.
Result<UniquePid> start_program(const Program& program, const Settings& settings, const Places& places, int ready);

}  // namespace sandboxd::main
