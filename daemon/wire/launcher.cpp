#include "daemon/wire/launcher.h"

#include <bit>

namespace sandboxd::wire {

bool place_descriptors(std::uint32_t bits, std::vector<UniqueFd>& fds) {
  constexpr std::uint32_t kAlways = (1U << kStartedFdsAlways) - 1;
  if ((bits & kAlways) != kAlways || bits >> kStartedFds != 0) return false;
  if (static_cast<std::size_t>(std::popcount(bits)) != fds.size()) return false;
  std::vector<UniqueFd> placed(kStartedFds);
  std::size_t next = 0;
  for (std::size_t at = 0; at < kStartedFds; ++at) {
    if ((bits >> at & 1) != 0) placed[at] = std::move(fds[next++]);
  }
  fds = std::move(placed);
  return true;
}

}  // namespace sandboxd::wire
