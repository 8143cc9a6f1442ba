#include "daemon/api/varlink.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <fmt/core.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/ids.h"
#include "base/prompt_release.h"
#include "base/socket.h"
#include "daemon/api/connection.h"
#include "protocol/envelope.h"
#include "protocol/errors.h"

namespace sandboxd::api {
namespace {

constexpr int kAcceptsAtOnce = 16;
constexpr std::uint64_t kAcceptPauseUsec = 100'000;
constexpr std::uint32_t kWarningsPerSecond = 20;
constexpr std::string_view kServiceInterface = "org.varlink.service";

constexpr std::string_view kServiceDescription =
    R"(# What every varlink service offers: who it is, and which interfaces it has.
interface org.varlink.service

# The service, and the names of its interfaces.
method GetInfo() -> (vendor: string, product: string, version: string, url: string, interfaces: []string)

# The definition of one of them.
method GetInterfaceDescription(interface: string) -> (description: string)

# The service has no interface of this name.
error InterfaceNotFound (interface: string)

# The interface has no method of this name.
error MethodNotFound (method: string)

# The interface has this method, the service does not implement it.
error MethodNotImplemented (method: string)

# A parameter is missing, of another type, or unknown.
error InvalidParameter (parameter: string)
)";

Status set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return sys_error("fcntl O_NONBLOCK");
  return {};
}

bool is_pool_peer(const Peer& peer) {
  return is_pool_id(peer.uid) || is_pool_id(peer.gid) ||
         std::any_of(peer.groups.begin(), peer.groups.end(), [](gid_t group) { return is_pool_id(group); });
}

// The connection is not one of ours yet: whoever does not read this loses nothing but the reason.
void refuse(int socket, std::uint32_t most, std::string_view scope) {
  std::string text = protocol::error_text(protocol::kLimitReached,
                                          {{"limit", "connections"}, {"most", most}, {"scope", std::string(scope)}});
  text.push_back('\0');
  [[maybe_unused]] const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

struct VarlinkServer::Listener {
  VarlinkServer& server;
  UniqueFd socket;
  bool admin = false;
  EventSource io{};
  EventSource pause{};

  void ready(std::uint32_t) { server.accept_some(*this); }
  void go_on() { sd_event_source_set_enabled(io.get(), SD_EVENT_ON); }
};

VarlinkServer::VarlinkServer(sd_event* loop, ServerOptions options)
    : loop_(sd_event_ref(loop)), options_(std::move(options)), users_(options_.limits) {
  if (!options_.warn) options_.warn = [](const std::string& line) { spdlog::warn("{}", line); };
}

VarlinkServer::~VarlinkServer() = default;

Result<std::unique_ptr<VarlinkServer>> VarlinkServer::create(sd_event* loop, ServerOptions options) {
  std::unique_ptr<VarlinkServer> server(new VarlinkServer(loop, std::move(options)));
  server->add_service_interface();
  return server;
}

void VarlinkServer::add(Interface interface) {
  const std::string_view name = interface.name;
  interfaces_.insert_or_assign(name, std::move(interface));
}

Status VarlinkServer::listen(UniqueFd socket, bool admin) {
  TRY(set_nonblocking(socket.get()).context("listening socket"));
  refuse_descriptors(socket.get());
  auto listener = std::make_unique<Listener>(Listener{*this, std::move(socket), admin});
  sd_event_source* source = nullptr;
  const int code = sd_event_add_io(loop_.get(), &source, listener->socket.get(), EPOLLIN,
                                   on_io<Listener, &Listener::ready>, listener.get());
  if (code < 0) return sys_error_code(-code, "watch listening socket");
  listener->io.reset(source);
  // Made now: it takes a descriptor, and is for the moment when there is none.
  const int timer = sd_event_add_time_relative(loop_.get(), &source, CLOCK_MONOTONIC, 0, 0,
                                               on_time<Listener, &Listener::go_on>, listener.get());
  if (timer < 0) return sys_error_code(-timer, "add timer of listening socket");
  listener->pause.reset(source);
  sd_event_source_set_enabled(source, SD_EVENT_OFF);
  listeners_.push_back(std::move(listener));
  return {};
}

void VarlinkServer::accept_some(Listener& listener) {
  for (int i = 0; i < kAcceptsAtOnce; ++i) {
    UniqueFd socket(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket) {
      accept_one(std::move(socket), listener.admin);
      continue;
    }
    if (errno == EAGAIN) return;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    // EMFILE and the like: the connection stays in the backlog, and asking again at once would be a busy loop.
    warn(sys_error("accept connection").message());
    if (sd_event_source_set_time_relative(listener.pause.get(), kAcceptPauseUsec) < 0) return;
    sd_event_source_set_enabled(listener.pause.get(), SD_EVENT_ONESHOT);
    sd_event_source_set_enabled(listener.io.get(), SD_EVENT_OFF);
    return;
  }
}

Result<Peer> VarlinkServer::peer_of(int socket, bool admin) {
  TRY_ASSIGN(const PeerCredentials who, peer_credentials(socket));
  TRY_ASSIGN(std::vector<gid_t> groups, peer_groups(socket));
  Peer peer{who.uid, who.gid, who.pid, std::move(groups), admin, ++last_connection_};
  if (is_pool_peer(peer)) return make_error("its uid {} or a group of it is a jail's", peer.uid);
  return peer;
}

void VarlinkServer::accept_one(UniqueFd socket, bool admin) {
  Result<Peer> peer = peer_of(socket.get(), admin);
  if (!peer) {
    warn("refuse connection: " + peer.error().message());
    return release_promptly(std::move(socket));
  }
  const uid_t charged = options_.charged && !admin ? options_.charged(peer->uid) : peer->uid;
  User* user = users_.open(charged, admin, monotonic_usec());
  if (user == nullptr) {
    const bool host = !admin && users_.connections() >= options_.limits.all_connections;
    warn(fmt::format("refuse connection of uid {}: {} has as many as it may", peer->uid, host ? "the host" : "it"));
    refuse(socket.get(), host ? options_.limits.all_connections : options_.limits.connections, host ? "host" : "user");
    return release_promptly(std::move(socket));
  }
  const std::uint64_t id = peer->connection;
  auto connection = std::make_unique<Connection>(*this, std::move(socket), std::move(peer).value(), *user);
  if (const Status started = connection->start(); !started) {
    warn(started.error().message());
    connection.reset();
    users_.close(*user);
    return;
  }
  connections_.emplace(id, std::move(connection));
}

void VarlinkServer::dispatch(const CallPtr& call, std::string_view method) {
  const std::size_t dot = method.rfind('.');
  const std::string_view name = method.substr(0, dot == std::string_view::npos ? method.size() : dot);
  const std::string_view member = dot == std::string_view::npos ? std::string_view() : method.substr(dot + 1);
  const auto found = interfaces_.find(name);
  if (found == interfaces_.end()) return call->fail(protocol::kInterfaceNotFound, {{"interface", name}});
  const std::vector<Method>& methods = found->second.methods;
  const auto row = std::find_if(methods.begin(), methods.end(), [&](const Method& m) { return m.name == member; });
  if (row == methods.end()) return call->fail(protocol::kMethodNotFound, {{"method", member}});
  if (!row->run) return call->fail(protocol::kMethodNotImplemented, {{"method", member}});
  row->run(call);
}

void VarlinkServer::add_service_interface() {
  const auto info = [this](const CallPtr& call) {
    if (!call->parameters().empty()) {
      return call->fail(protocol::kInvalidParameter, {{"parameter", call->parameters().begin().key()}});
    }
    Json names = Json::array();
    for (const auto& [name, interface] : interfaces_) names.push_back(name);
    call->reply({{"vendor", options_.vendor},
                 {"product", options_.product},
                 {"version", options_.version},
                 {"url", options_.url},
                 {"interfaces", std::move(names)}});
  };
  add({kServiceInterface,
       kServiceDescription,
       {{"GetInfo", info}, {"GetInterfaceDescription", [this](const CallPtr& call) { describe(call); }}}});
}

void VarlinkServer::describe(const CallPtr& call) {
  const Json& parameters = call->parameters();
  for (const auto& [key, value] : parameters.items()) {
    if (key != "interface") return call->fail(protocol::kInvalidParameter, {{"parameter", key}});
  }
  const auto wanted = parameters.find("interface");
  if (wanted == parameters.end() || !wanted->is_string()) {
    return call->fail(protocol::kInvalidParameter, {{"parameter", "interface"}});
  }
  const auto found = interfaces_.find(wanted->get_ref<const std::string&>());
  if (found == interfaces_.end()) return call->fail(protocol::kInterfaceNotFound, {{"interface", *wanted}});
  call->reply({{"description", found->second.description}});
}

void VarlinkServer::ended(const Connection& connection) {
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization): it outlives the connection.
  const Peer peer = connection.peer();
  User& user = connection.user();
  connections_.erase(peer.connection);
  users_.close(user);
  if (options_.disconnected) options_.disconnected(peer);
}

// A client can bring about as many of these as it likes: a log that is flooded hides what matters.
void VarlinkServer::warn(const std::string& line) {
  const std::uint64_t now = monotonic_usec();
  if (now - warned_ >= 1'000'000) {
    if (warnings_ > kWarningsPerSecond)
      options_.warn(fmt::format("{} more such warnings", warnings_ - kWarningsPerSecond));
    warned_ = now;
    warnings_ = 0;
  }
  if (++warnings_ <= kWarningsPerSecond) options_.warn(line);
}

}  // namespace sandboxd::api
