#include "daemon/api/server.h"

#include "daemon/api/failure.h"
#include "daemon/api/host_service.h"

namespace sandboxd::api {

Result<std::unique_ptr<Server>> Server::create(sd_event* loop, UniqueFd public_listen, UniqueFd admin_listen,
                                               jails::Supervisor& supervisor, const Limits& limits,
                                               std::function<void(const std::string& line)> warn, UniqueFd jail_files) {
  std::unique_ptr<Server> server(new Server(supervisor, std::move(jail_files)));
  ServerOptions options{.limits = limits, .warn = std::move(warn)};
  options.disconnected = [&supervisor](const Peer& peer) { supervisor.disconnected(client_of(peer)); };
  options.charged = [&supervisor](uid_t uid) { return supervisor.charged(uid); };
  TRY_ASSIGN(server->varlink_, VarlinkServer::create(loop, std::move(options)));
  server->varlink_->add(common_interface());
  server->varlink_->add(server->jails_.interface());
  server->varlink_->add(server->files_.interface());
  server->varlink_->add(host_interface(supervisor));
  TRY(server->varlink_->listen(std::move(public_listen), false).context("public socket"));
  if (admin_listen) TRY(server->varlink_->listen(std::move(admin_listen), true).context("admin socket"));
  return server;
}

}  // namespace sandboxd::api
