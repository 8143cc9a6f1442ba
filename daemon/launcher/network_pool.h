// Network namespaces made ahead: one costs more than all else of a launch together (its sysctl tables and its lo). A child
// makes them on request, in the host's user namespace and with lo up, and hands each over once; a used one never comes back.
// An empty pool is no failure: a launch then makes its own, by the same function.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace sandboxd::launcher {

class NetworkPool {
 public:
  // Forks the maker, which dies with its parent. Call it with one thread and before any client's descriptor is held.
  Status start();
  [[nodiscard]] int fd() const { return maker_.get(); }  // poll for reading; -1 when the maker is gone
  void read_made();
  // The caller's to enter; invalid when none is ready.
  UniqueFd take();
  // Asks for what is missing. When nothing is being launched: the making would only take the processor from a launch.
  void refill();
  [[nodiscard]] bool wants_more() const;

 private:
  UniqueFd maker_{};
  std::vector<UniqueFd> ready_{};
  std::size_t asked_ = 0;
};

}  // namespace sandboxd::launcher
