#include "daemon/broker/client.h"

#include <cerrno>
#include <cstring>
#include <optional>

#include <linux/close_range.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/socket.h"
#include "daemon/broker/vet.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/claim.h"
#include "daemon/wire/message.h"

namespace sandboxd::broker {
namespace {

// What the listeners, other clients' children and other claims are to this process: nothing. A child that hangs would keep
// them open for ever.
void close_all_but(int a, int b) {
  const auto low = static_cast<unsigned>(std::min(a, b));
  const auto high = static_cast<unsigned>(std::max(a, b));
  if (low > 3) ::close_range(3, low - 1, 0);
  if (high > low + 1) ::close_range(low + 1, high - 1, 0);
  ::close_range(high + 1, ~0U, 0);
}

enum class Woken : std::uint8_t { kMain, kClient, kFailed };

// Main first: an order is answered even when the client has gone at the same moment.
Woken wait_for_either(int channel, int connection) {
  pollfd both[2] = {{channel, POLLIN, 0}, {connection, POLLIN | POLLRDHUP, 0}};
  for (;;) {
    const int ready = ::poll(both, 2, -1);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return Woken::kFailed;
    return both[0].revents != 0 ? Woken::kMain : Woken::kClient;
  }
}

bool client_has_gone(int connection) {
  pollfd one{connection, POLLRDHUP, 0};
  return ::poll(&one, 1, 0) != 0;
}

std::optional<Vetted> receive(int connection) {
  Result<Packet> packet = receive_packet(connection, sizeof(BrokerMessage), kMaxFdsPerMessage, MSG_DONTWAIT);
  if (!packet.ok()) {
    send_refusal(connection, BrokerRefusal::kMalformed);
    return std::nullopt;
  }
  if (packet->end && packet->fds.empty()) return std::nullopt;
  auto vetted = vet(packet->bytes, packet->fds);
  if (const auto* refusal = std::get_if<BrokerRefusal>(&vetted)) {
    send_refusal(connection, *refusal);
    // Before the descriptors are closed, which may hang: the client sees its end now.
    ::shutdown(connection, SHUT_RDWR);
    return std::nullopt;
  }
  return std::get<Vetted>(std::move(vetted));
}

void answer(int claim, std::uint64_t id, const Vetted& held, bool gone) {
  if (gone) {
    const wire::Refused refused{ECANCELED, "the client has closed its connection to the broker"};
    (void)wire::send(claim, wire::ClaimMessage::kClaimFailed, id, refused, {}, MSG_DONTWAIT);
    return;
  }
  std::vector<int> fds;
  for (const UniqueFd& fd : held.fds) fds.push_back(fd.get());
  const Status sent =
      wire::send(claim, wire::ClaimMessage::kClaimed, id, wire::Claimed{held.has_mount_ns}, fds, MSG_DONTWAIT);
  if (sent.ok()) return;
  const wire::Refused refused{sent.error().code, "the broker can't send the client's descriptors"};
  (void)wire::send(claim, wire::ClaimMessage::kClaimFailed, id, refused, {}, MSG_DONTWAIT);
}

void obey(int channel, int connection, const Vetted& held) {
  const Result<Packet> packet = receive_packet(channel, sizeof(Order), 1, MSG_DONTWAIT);
  Order order;
  if (!packet.ok() || packet->bytes.size() != sizeof order) return;
  std::memcpy(&order, packet->bytes.data(), sizeof order);
  if (order.kind == OrderKind::kRefuse) send_refusal(connection, order.refusal);
  if (order.kind == OrderKind::kAnswer && packet->fds.size() == 1) {
    answer(packet->fds.front().get(), order.id, held, client_has_gone(connection));
  }
}

void serve(int connection, int channel, std::optional<Vetted>& held) {
  if (wait_for_either(channel, connection) != Woken::kClient) return;
  held = receive(connection);
  if (!held) return;
  if (!send_packet(channel, held->token, {}, MSG_DONTWAIT).ok()) return;
  // A client that closes takes its descriptors back; one that sends more has not read the protocol.
  if (wait_for_either(channel, connection) == Woken::kMain) obey(channel, connection, *held);
}

}  // namespace

void send_refusal(int connection, BrokerRefusal refusal) {
  const auto byte = static_cast<std::uint8_t>(refusal);
  (void)send_packet(connection, {&byte, 1}, {}, MSG_DONTWAIT);
}

void serve_client(UniqueFd connection, UniqueFd channel) {
  close_all_but(connection.get(), channel.get());
  std::optional<Vetted> held;
  serve(connection.get(), channel.get(), held);
  // By hand and first: an exiting process closes everything before it lets go of anything, and one of the client's own
  // descriptors may never close (FUSE answers FLUSH when it likes).
  connection.reset();
  channel.reset();
  ::_exit(0);
}

}  // namespace sandboxd::broker
