// What any local user can send to broker.sock: one packet with descriptors. The first byte says which kinds of descriptor come
// with it. A packet that is taken must bring exactly what it says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <variant>
#include <vector>

#include <fcntl.h>

#include "base/unique_fd.h"
#include "daemon/broker/vet.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sandboxd::UniqueFd;
  if (size == 0) return 0;
  std::vector<UniqueFd> fds;
  if ((data[0] & 1U) != 0) fds.emplace_back(::open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if ((data[0] & 2U) != 0) fds.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if ((data[0] & 4U) != 0) fds.emplace_back(::open("/usr", O_PATH | O_CLOEXEC));
  if ((data[0] & 8U) != 0) fds.emplace_back(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  const std::size_t sent = fds.size();
  const bool by_name_only = (data[0] & 4U) != 0;
  const auto answer = sandboxd::broker::vet({data + 1, size - 1}, fds);
  if (const auto* taken = std::get_if<sandboxd::broker::Vetted>(&answer)) {
    if (taken->fds.size() != sent || by_name_only) std::abort();
  } else if (fds.size() != sent) {
    std::abort();
  }
  return 0;
}
