#include "daemon/wire/message.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/socket.h"

namespace sandboxd::wire {
namespace {

constexpr std::uint32_t kSpilled = 1;

}  // namespace

Status send_message(int socket, std::uint16_t type, std::uint64_t id, std::span<const std::uint8_t> body,
                    std::span<const int> fds, int flags) {
  if (body.size() > kMaxBody)
    return sys_error_code(EMSGSIZE, "message body of {} bytes (at most {})", body.size(), kMaxBody);
  Header header;
  header.type = type;
  header.id = id;
  header.size = static_cast<std::uint32_t>(body.size());
  std::vector<int> all(fds.begin(), fds.end());
  UniqueFd spill;
  if (body.size() > kMaxInline - sizeof header) {
    TRY_ASSIGN(spill, sealed_memfd("message", body));
    header.flags = kSpilled;
    all.insert(all.begin(), spill.get());
    body = {};
  }
  std::vector<std::uint8_t> packet(sizeof header + body.size());
  std::memcpy(packet.data(), &header, sizeof header);
  std::copy(body.begin(), body.end(), packet.begin() + sizeof header);
  return send_packet(socket, packet, all, flags);
}

Result<Message> receive_message(int socket, std::size_t max_fds, int flags) {
  TRY_ASSIGN(Packet packet, receive_packet(socket, kMaxInline, max_fds + 1, flags));
  Message message;
  message.end = packet.end;
  if (packet.end) return message;
  Header header;
  if (packet.bytes.size() < sizeof header) return sys_error_code(EPROTO, "message of {} bytes", packet.bytes.size());
  std::memcpy(&header, packet.bytes.data(), sizeof header);
  if (header.magic != kMagic) return sys_error_code(EPROTO, "message with magic {:#x}", header.magic);
  if (header.version != kVersion) {
    return sys_error_code(EPROTO, "message of version {} (this program speaks {}): mixed releases are running",
                          header.version, kVersion);
  }
  if ((header.flags & ~kSpilled) != 0 || header.size > kMaxBody)
    return sys_error_code(EPROTO, "message with flags {:#x}, size {}", header.flags, header.size);
  message.type = header.type;
  message.id = header.id;
  if ((header.flags & kSpilled) != 0) {
    if (packet.fds.empty() || packet.bytes.size() != sizeof header)
      return sys_error_code(EPROTO, "spilled message without its memfd");
    TRY_ASSIGN(message.body, read_sealed(packet.fds.front().get(), kMaxBody));
    packet.fds.erase(packet.fds.begin());
  } else {
    message.body.assign(packet.bytes.begin() + sizeof header, packet.bytes.end());
  }
  if (message.body.size() != header.size)
    return sys_error_code(EPROTO, "message body of {} bytes, {} announced", message.body.size(), header.size);
  if (packet.fds.size() > max_fds)
    return sys_error_code(EPROTO, "message with {} descriptors (at most {})", packet.fds.size(), max_fds);
  message.fds = std::move(packet.fds);
  return message;
}

}  // namespace sandboxd::wire
