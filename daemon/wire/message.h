// One message between our own programs: a header, a flat body and descriptors, as one SOCK_SEQPACKET packet. A body over
// 64 KiB travels as a sealed memfd in front of the other descriptors (a packet over SO_SNDBUF is EMSGSIZE).
// Errors: EPROTO for a wrong magic, version, length or flag; EMSGSIZE, EPERM (unsealed) from below.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/wire/codec.h"

namespace sandboxd::wire {

inline constexpr std::uint32_t kMagic = 0x31584253;  // "SBX1"
inline constexpr std::uint16_t kVersion = 1;
inline constexpr std::size_t kMaxInline = 65536;
inline constexpr std::size_t kMaxBody = 8U << 20;

struct Header {
  std::uint32_t magic = kMagic;
  std::uint16_t version = kVersion;
  std::uint16_t type = 0;
  std::uint64_t id = 0;     // a reply carries its request's
  std::uint32_t size = 0;   // of the body
  std::uint32_t flags = 0;  // 1: the body is the sealed memfd that is the first descriptor
};
static_assert(std::is_trivially_copyable_v<Header> && sizeof(Header) == 24);

struct Message {
  std::uint16_t type = 0;
  std::uint64_t id = 0;
  std::vector<std::uint8_t> body{};
  std::vector<UniqueFd> fds{};
  bool end = false;  // the peer has closed; everything else is empty
};

Status send_message(int socket, std::uint16_t type, std::uint64_t id, std::span<const std::uint8_t> body,
                    std::span<const int> fds = {}, int flags = 0);
// `max_fds`: how many descriptors may come beside a spilled body.
Result<Message> receive_message(int socket, std::size_t max_fds, int flags = 0);

template <class Type, class T>
Status send(int socket, Type type, std::uint64_t id, const T& value, std::span<const int> fds = {}, int flags = 0) {
  return send_message(socket, static_cast<std::uint16_t>(type), id, encode(value), fds, flags);
}

template <class T> Result<T> body_of(const Message& message) {
  T value{};
  if (!decode(message.body, value)) return sys_error_code(EPROTO, "message of type {}: malformed body", message.type);
  return value;
}

}  // namespace sandboxd::wire
