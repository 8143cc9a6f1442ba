#include "daemon/jails/random_id.h"

#include <array>
#include <cstdint>
#include <cstdlib>

#include <sys/random.h>

namespace sandboxd::jails {

std::string random_id(std::string_view prefix) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
  std::array<std::uint8_t, 12> bytes{};
  // Up to 256 bytes are never short once the pool is ready, and it waits until then (getrandom(2)).
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) std::abort();
  std::string id(prefix);
  for (const std::uint8_t byte : bytes) id += kLetters[byte % kLetters.size()];
  return id;
}

}  // namespace sandboxd::jails
