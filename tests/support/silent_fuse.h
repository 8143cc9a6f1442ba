// A FUSE file system whose server answers everything but FLUSH: whoever closes a file of it hangs in close(2), through SIGKILL,
// until the server ends. In a mount namespace of the calling process's own: the host sees no mount.
#pragma once

#include <string>

#include "tests/support/program.h"

namespace sandboxd::test {

class SilentFuse {
 public:
  // False (with a reason in `problem`) where it can't be had.
  bool mount(const std::string& directory);
  ~SilentFuse() { stop(); }
  // Ends the server: all that hangs goes on.
  void stop();
  [[nodiscard]] std::string file() const { return directory_ + "/file"; }
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  std::string directory_;
  std::string problem_;
  pid_t server_ = -1;
};

}  // namespace sandboxd::test
