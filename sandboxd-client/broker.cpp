#include "sandboxd-client/broker.h"

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/broker_message.h"
#include "base/socket.h"
#include "base/text.h"

namespace sandboxd::client {
namespace {

constexpr const char* kOwnMountNamespace = "/proc/self/ns/mnt";

std::string_view refusal_text(std::uint8_t code) {
  switch (static_cast<BrokerRefusal>(code)) {
    case BrokerRefusal::kMalformed: return "it could not read the message: client and daemon are of different versions";
    case BrokerRefusal::kTokenInUse: return "the token is in use";
    case BrokerRefusal::kTooMany: return "too many descriptors, or too many connections of this user";
    case BrokerRefusal::kNotAllowed: return "this user may hand in no files here (uid 0 needs the admin's sockets)";
  }
  return "for a reason that this client does not know";
}

std::string link_target(const char* path) {
  char target[64];
  const ssize_t length = ::readlink(path, target, sizeof target);
  return length <= 0 ? std::string() : std::string(target, static_cast<std::size_t>(length));
}

}  // namespace

Result<Token> random_token() {
  Token token{};
  // Under 256 bytes getrandom never returns less than asked for and is not interrupted (getrandom(2)).
  if (::getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) return sys_error("getrandom");
  return token;
}

Result<HandedIn> hand_in(const std::string& broker_socket, std::span<const int> fds, bool mount_namespace) {
  if (fds.size() > kBrokerMaxFds) {
    return sys_error_code(E2BIG, "hand in {} files and directories (at most {})", fds.size(), kBrokerMaxFds);
  }
  HandedIn handed_in;
  TRY_ASSIGN(handed_in.token, random_token());
  std::vector<int> all(fds.begin(), fds.end());
  UniqueFd namespace_fd;
  if (mount_namespace) {
    namespace_fd.reset(::open(kOwnMountNamespace, O_RDONLY | O_CLOEXEC));
    if (!namespace_fd) return sys_error("open {}", sandboxd::quoted(kOwnMountNamespace));
    all.push_back(namespace_fd.get());
  }
  BrokerMessage message;
  message.token = handed_in.token;
  message.fds = static_cast<std::uint32_t>(all.size());
  message.has_mount_ns = mount_namespace ? 1 : 0;
  TRY_ASSIGN(handed_in.connection, connect_unix(broker_socket, SOCK_SEQPACKET));
  const std::span<const std::uint8_t> bytes(reinterpret_cast<const std::uint8_t*>(&message), sizeof message);
  TRY(send_packet(handed_in.connection.get(), bytes, all)
          .context("hand descriptors to {}", sandboxd::quoted(broker_socket)));
  return handed_in;
}

std::optional<std::string> refusal(const HandedIn& handed_in) {
  std::uint8_t code = 0;
  if (!handed_in.connection || ::recv(handed_in.connection.get(), &code, 1, MSG_DONTWAIT) != 1) return std::nullopt;
  return std::string("the broker refused the files: ") + std::string(refusal_text(code));
}

bool in_other_mount_namespace() {
  const std::string own = link_target(kOwnMountNamespace);
  const std::string first = link_target("/proc/1/ns/mnt");
  return !own.empty() && !first.empty() && own != first;
}

}  // namespace sandboxd::client
