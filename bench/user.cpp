#include "bench/user.h"

#include <cerrno>
#include <cstring>

#include <fmt/core.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace sandboxd::bench {

bool become_user(std::string_view program) {
  if (::geteuid() != 0) return true;
  // Dumpable again after that: LeakSanitizer looks at its process through ptrace(2).
  const bool became = ::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
                      ::setresuid(kUser, kUser, kUser) == 0 && ::prctl(PR_SET_DUMPABLE, 1) == 0;
  if (!became) fmt::print(stderr, "{}: become uid {}: {}\n", program, kUser, std::strerror(errno));
  return became;
}

}  // namespace sandboxd::bench
