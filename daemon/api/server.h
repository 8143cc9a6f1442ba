// sandboxd's varlink server: org.sandboxd, org.sandboxd.Jail, org.sandboxd.Files and org.sandboxd.Host on a Supervisor. On the public socket uid 0
// is a client like any other, since a container's root has it too; admin.sock, which only root can open, makes an admin.
// Peers with an id of the jails' pool are refused.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/api/files_service.h"
#include "daemon/api/jail_service.h"
#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

class Server {
 public:
  // The descriptors are listening SOCK_STREAM sockets; an admin socket may be missing (invalid). `supervisor` outlives the server.
  // `warn`: a line for the log, spdlog's when it is empty. `jail_files`: sandboxd-jail-files as a sealed memfd; without it
  // org.sandboxd.Files says Unavailable.
  static Result<std::unique_ptr<Server>> create(sd_event* loop, UniqueFd public_listen, UniqueFd admin_listen,
                                                jails::Supervisor& supervisor, const Limits& limits,
                                                std::function<void(const std::string& line)> warn = {},
                                                UniqueFd jail_files = UniqueFd());

  [[nodiscard]] std::size_t connections() const { return varlink_->connections(); }

 private:
  Server(jails::Supervisor& supervisor, UniqueFd jail_files)
      : jails_(supervisor), files_(supervisor, std::move(jail_files)) {}

  JailService jails_;
  FilesService files_;
  std::unique_ptr<VarlinkServer> varlink_{};
};

}  // namespace sandboxd::api
