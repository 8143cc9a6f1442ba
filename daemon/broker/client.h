// A child of the broker: one client's connection, from its first byte to the claim of what it sent. Only this process ever
// has a client's descriptors; it may hang on them, alone. It says nothing to its parent but its token, and nothing to the
// claimer about who its client is.
//
//   child  -> main   ChildToken                     one packet, once
//   main   -> child  Order kRefuse{refusal}         the token is another's: tell the client, end
//   main   -> child  Order kAnswer{id} + 1 fd       the claim's connection: answer there, end
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "base/broker_message.h"
#include "base/unique_fd.h"

namespace sandboxd::broker {

using ChildToken = std::array<std::uint8_t, 16>;

enum class OrderKind : std::uint32_t { kRefuse = 1, kAnswer = 2 };
struct Order {
  OrderKind kind{};
  BrokerRefusal refusal{};
  std::array<std::uint8_t, 3> reserved{};
  std::uint64_t id = 0;  // of the claim's message
};
static_assert(std::is_trivially_copyable_v<Order> && sizeof(Order) == 16);

// One byte, and never a wait: a client that doesn't read gets nothing.
void send_refusal(int connection, BrokerRefusal refusal);

// In the child, right after fork: closes every other descriptor, serves, ends the process. Never returns, has no deadline of
// its own (main kills it), and ends when main or the client does.
[[noreturn]] void serve_client(UniqueFd connection, UniqueFd channel);

}  // namespace sandboxd::broker
