// Who the benchmarks that talk to a daemon are: an ordinary user, whom they become when they were started as root.
#pragma once

#include <string_view>

#include <sys/types.h>

namespace sandboxd::bench {

inline constexpr uid_t kUser = 12345;

// False: it failed, and standard error says so in `program`'s name. For good, without groups.
bool become_user(std::string_view program);

}  // namespace sandboxd::bench
