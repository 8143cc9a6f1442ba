// The launcher's loop: one thread, poll(2). It parses flat messages of sandboxd and nothing else, forks a child for each
// launch, reaps, and answers the cheap verbs itself. It keeps no jail state: a jail is its cgroup.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "cgroups/root.h"
#include "daemon/launcher/launch.h"
#include "daemon/launcher/network_pool.h"
#include "daemon/launcher/read_back.h"
#include "daemon/launcher/template.h"
#include "daemon/wire/run_profilec.h"

namespace sandboxd::launcher {

class Server {
 public:
  struct Parts {
    UniqueFd listener{};
    UniqueFd signals{};  // signalfd of SIGCHLD, SIGHUP, SIGTERM, SIGINT
    UniqueFd proc_dir{};
    UniqueFd init_program{};
    Template base{};
    cgroups::Root jails;
    wire::LoadedProfiles profiles{};
    wire::ProfilecRun profilec{};
    std::uint32_t slice_first = 0;
    int landlock_abi = 0;
    std::string runtime_dir{};
    HostNamespaces namespaces{};
    NetworkPool networks{};
  };
  explicit Server(Parts parts) : parts_(std::move(parts)) {}

  // Until SIGTERM: then every jail of the slice is killed and removed.
  Status run();

 private:
  struct Launching {
    std::uint64_t connection = 0;
    std::uint64_t request = 0;
    std::uint64_t deadline = 0;
    std::uint32_t number = 0;
    bool killed = false;
    const char* what = "launch";  // or "update"
  };

  [[nodiscard]] bool hangs(std::uint32_t number) const;
  Status accept_one();
  void serve(std::uint64_t connection);
  Status handle(std::uint64_t connection, const wire::Message& message);
  Status fork_child(std::uint64_t connection, const wire::Message& message);
  Status number_verb(int socket, const wire::Message& message);
  Status send_profiles(int socket, std::uint64_t id);
  void read_signals();
  void reap();
  void enforce_deadlines();
  void reload_profiles();
  void end_all_jails();
  [[nodiscard]] int poll_timeout_ms() const;

  Parts parts_;
  std::map<std::uint64_t, UniqueFd> connections_{};
  std::map<int, Launching> launching_{};  // by pid of the launch child
  std::uint64_t next_connection_ = 1;
  bool ending_ = false;
};

}  // namespace sandboxd::launcher
