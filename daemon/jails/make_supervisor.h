// Builds the jail table behind the Supervisor interface. It connects to the launcher and the audit program by itself and again
// after either was restarted; until both are there, run() says Unavailable.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <systemd/sd-event.h>

#include "base/ids.h"
#include "daemon/jails/supervisor.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::jails {

struct Deps {
  std::string launcher_socket{};
  std::string audit_socket{};
  std::map<uid_t, std::string> user_names{};  // what the synthetic passwd calls a client
  std::uint32_t slice_first = kPoolFirst;
  std::uint32_t numbers = kNumbersPerSlice;  // jails' numbers are 1 .. numbers - 1
  std::string log_directory{};               // ours alone; empty: no job can be started with log
  std::string features = "{}";               // what was found on this host before we locked ourselves in: a JSON object
  std::uint64_t descriptors = 0;             // that jails, jobs and logs of all users may take of ours; 0: no bound
  std::uint64_t terminals = 0;               // that all jails may have of the host's; 0: no bound
  std::uint64_t stuck_after = 10'000'000;    // microseconds
  std::uint64_t end_grace = 2'000'000;       // microseconds from SIGTERM to SIGKILL when the daemon ends
  std::function<void(const wire::Config&)>
      ready{};  // once: both programs are there, what an earlier life left is known
};

// `loop` must outlive it.
std::unique_ptr<Supervisor> make_supervisor(sd_event* loop, Deps deps);

}  // namespace sandboxd::jails
