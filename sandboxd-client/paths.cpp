#include "sandboxd-client/paths.h"

#include <string_view>

namespace sandboxd::client {
namespace {

constexpr std::string_view kPublicName = "sandboxd.sock";
constexpr std::string_view kAdminName = "admin.sock";

std::string beside(const std::string& path, std::string_view name) {
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? std::string() : path.substr(0, slash + 1)) + std::string(name);
}

std::string_view last_part(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return std::string_view(path).substr(slash == std::string::npos ? 0 : slash + 1);
}

}  // namespace

SocketPaths socket_paths(const std::string& calls) {
  return {calls, beside(calls, last_part(calls) == kAdminName ? "broker-admin.sock" : "broker.sock")};
}

std::vector<SocketPaths> sockets_to_try(const std::optional<std::string>& argument, const char* environment,
                                        bool is_root) {
  const bool from_environment = environment != nullptr && *environment != '\0';
  const std::string chosen = argument ? *argument : from_environment ? environment : kDefaultSocket;
  std::vector<SocketPaths> pairs;
  if (is_root && last_part(chosen) == kPublicName) pairs.push_back(socket_paths(beside(chosen, kAdminName)));
  pairs.push_back(socket_paths(chosen));
  return pairs;
}

}  // namespace sandboxd::client
