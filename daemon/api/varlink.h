// A varlink server (varlink.org) on sd-event, for any interfaces: connections, frames, calls in order, `more`, `oneway`, and
// org.varlink.service. Nothing blocks; a method answers at once or later, on the same thread.
// It receives with recv(2), without a control buffer: the kernel drops descriptors that a client sends before they enter this
// process. It may send descriptors with a reply. Each user is held to Limits; who exceeds them is refused or disconnected,
// with a logged reason.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/api/event_source.h"
#include "daemon/api/users.h"
#include "protocol/json.h"

namespace sandboxd::api {

using protocol::Json;

// Who is at the other end: SO_PEERCRED and SO_PEERGROUPS, taken when the connection was accepted.
struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups{};
  bool admin = false;            // came by a listener for admins
  std::uint64_t connection = 0;  // never used again while the server lives
};

class Connection;

// One call that is being answered. Methods keep the shared_ptr for as long as they have something to say; when the client has
// gone (or the call was answered) everything here does nothing.
class Call {
 public:
  Call(Connection& connection, Peer peer, Json parameters, bool more, bool oneway);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // An object; until the method returns.
  [[nodiscard]] const Json& parameters() const noexcept { return *parameters_; }
  [[nodiscard]] const Peer& peer() const noexcept { return peer_; }
  [[nodiscard]] bool more() const noexcept { return more_; }
  [[nodiscard]] bool oneway() const noexcept { return oneway_; }
  [[nodiscard]] bool open() const noexcept;  // an answer would be sent

  void reply(const Json& parameters);  // the last one
  // One of several; only when more(). The descriptors go with the reply's first byte.
  void reply_more(const Json& parameters, std::vector<UniqueFd> fds = {});
  void fail(std::string_view error, const Json& parameters);
  void fail(const protocol::Invalid& wrong);  // org.sandboxd.InvalidArgument

  // True while much is waiting to be read by the client: say no more until `changed(false)`. A method that goes on ends with a
  // closed connection when the user's bound is reached. Called at once when it is true now.
  void on_pressure(std::function<void(bool pressed)> changed);
  [[nodiscard]] bool pressed() const;
  // Bytes that are kept for this call's answer count as the user's; false when there are too many.
  [[nodiscard]] bool hold(std::size_t bytes);
  // It takes the daemon as long as so many others, and counts as such: who asks for much may ask less often.
  void charge(double calls);
  // Dropped with the call, never in the middle of one of its methods.
  void keep(std::shared_ptr<void> object);

 private:
  friend class Connection;
  void finish(std::string text);
  void clear();  // of everything that may refer back to the call

  Connection* connection_;
  Peer peer_;
  std::unique_ptr<Json> parameters_;
  bool more_;
  bool oneway_;
  std::size_t held_ = 0;
  std::function<void(bool)> pressure_{};
  std::vector<std::shared_ptr<void>> kept_{};
};
using CallPtr = std::shared_ptr<Call>;

struct Method {
  std::string_view name;
  std::function<void(const CallPtr&)> run;  // none: declared, but not implemented here
};

struct Interface {
  std::string_view name;
  std::string_view description;  // varlink interface definition; lives as long as the server
  std::vector<Method> methods;
};

struct ServerOptions {
  Limits limits{};
  std::string vendor = "sandboxd", product = "sandboxd", version = SANDBOXD_VERSION, url{};
  // Called once for each connection that ends, after its calls were dropped.
  std::function<void(const Peer&)> disconnected{};
  // A line for the log; not called faster than a log can bear.
  std::function<void(const std::string& line)> warn{};
  // The uid whose share a peer of this one uses; none: its own.
  std::function<uid_t(uid_t uid)> charged{};
};

class VarlinkServer {
 public:
  static Result<std::unique_ptr<VarlinkServer>> create(sd_event* loop, ServerOptions options);
  ~VarlinkServer();
  VarlinkServer(const VarlinkServer&) = delete;
  VarlinkServer& operator=(const VarlinkServer&) = delete;

  void add(Interface interface);
  // Takes connections from a listening SOCK_STREAM socket.
  Status listen(UniqueFd socket, bool admin);
  [[nodiscard]] std::size_t connections() const noexcept { return connections_.size(); }

 private:
  friend class Connection;
  struct Listener;
  VarlinkServer(sd_event* loop, ServerOptions options);

  void accept_some(Listener& listener);
  void accept_one(UniqueFd socket, bool admin);
  Result<Peer> peer_of(int socket, bool admin);
  void dispatch(const CallPtr& call, std::string_view method);
  void add_service_interface();
  void describe(const CallPtr& call);
  void ended(const Connection& connection);
  void warn(const std::string& line);

  EventLoop loop_;
  ServerOptions options_;
  UserTable users_;
  std::map<std::string_view, Interface, std::less<>> interfaces_{};
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::uint64_t last_connection_ = 0;
  std::uint64_t warned_ = 0;    // CLOCK_MONOTONIC, microseconds: when the current second of warnings began
  std::uint32_t warnings_ = 0;  // since then
};

}  // namespace sandboxd::api
