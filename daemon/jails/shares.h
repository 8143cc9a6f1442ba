// What one user may have of what all users share: sandboxd's descriptors, the host's terminals. Pure.
// A user may have three quarters of what the others leave. So no user takes all, and whoever comes next finds a quarter of what
// is left, however many came before.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sandboxd::jails {

// What is held: by the user who asks, and by all others.
struct Holding {
  std::uint64_t own = 0;
  std::uint64_t others = 0;
};

[[nodiscard]] constexpr std::uint64_t share_of(std::uint64_t all, std::uint64_t others) {
  return others >= all ? 0 : (all - others) / 4 * 3;
}

// How many terminals a new jail gets. A user's first jails get what their profile says; towards the end of the user's share it is
// a sixteenth of what is left, so that the next ones get some too; then none.
[[nodiscard]] constexpr std::uint64_t terminals_for(std::uint64_t wanted, const Holding& held, std::uint64_t all,
                                                    std::uint64_t most) {
  const std::uint64_t share = std::min(most, share_of(all, held.others));
  const std::uint64_t left = share > held.own ? share - held.own : 0;
  return std::min(wanted, (left + 15) / 16);
}
static_assert(terminals_for(16, {}, 3072, 1024) == 16 && terminals_for(16, {1024, 0}, 3072, 1024) == 0);

}  // namespace sandboxd::jails
