// sandboxctl: see parse.h and the tables of verbs (command.h).
#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/parse.h"

namespace sandboxd::ctl {
namespace {

// Descriptors 0 to 2 must be something, or the next file that is opened becomes one of them.
void fill_standard_descriptors() {
  for (int fd = 0; fd < 3; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0) ::_exit(kOwnFailure);
  }
}

}  // namespace
}  // namespace sandboxd::ctl

int main(int argc, char** argv) {
  sandboxd::ctl::fill_standard_descriptors();
  return sandboxd::ctl::run_command_line(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
}
