// The directories and listening sockets of one daemon: made before any of its programs runs, kept open while they are
// restarted, and removed at the end. The paths must be root's alone; a second daemon on the same directory is refused.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/listen_fds.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::main {

struct Socket {
  std::string name{};
  UniqueFd fd{};
};

class Places {
 public:
  Places() = default;
  Places(Places&&) noexcept = default;
  Places& operator=(Places&&) noexcept = default;
  ~Places();

  // `slice_first`: whose programs get which socket.
  static Result<Places> make(const std::string& runtime_dir, const std::string& state_dir, std::uint32_t slice_first);

  [[nodiscard]] int socket(std::string_view name) const;  // -1: there is none
  [[nodiscard]] std::string path_of(std::string_view name) const;

 private:
  std::string runtime_dir_{};
  UniqueFd runtime_lock_{};
  UniqueFd state_lock_{};
  std::vector<Socket> sockets_{};
};

}  // namespace sandboxd::main
