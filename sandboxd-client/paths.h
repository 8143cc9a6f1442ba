// Where sandboxd's sockets are. The broker's lies beside the one that is called: broker.sock, and broker-admin.sock beside
// admin.sock. Pure: opens nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace sandboxd::client {

inline constexpr const char* kDefaultSocket = "/run/sandboxd/sandboxd.sock";

struct SocketPaths {
  std::string calls{};   // SOCK_STREAM, varlink
  std::string broker{};  // SOCK_SEQPACKET
  bool operator==(const SocketPaths&) const = default;
};

[[nodiscard]] SocketPaths socket_paths(const std::string& calls);

// The pairs to try, in order. The first of `argument`, `environment` (SANDBOXD_SOCKET) and kDefaultSocket that is given
// counts. For uid 0 the admin's pair comes before the public one: on the public socket uid 0 is an ordinary client
// (a container's root has it too), and the broker vouches for no file of it there.
[[nodiscard]] std::vector<SocketPaths> sockets_to_try(const std::optional<std::string>& argument,
                                                      const char* environment, bool is_root);

}  // namespace sandboxd::client
