// Landlock (landlock(7)) by raw system calls: a process gives up every path that it doesn't name, for good, and with it TCP,
// abstract sockets and signals to strangers where this kernel's ABI has them. Errors: EOPNOTSUPP or ENOSYS when the host has
// no Landlock (an error like any other), the path that can't be opened. Rights that the ABI lacks are masked out: our
// filters keep what it can't (no socket but AF_UNIX).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace sandboxd::landlock {

enum class Grant : std::uint32_t {
  kRead = 1,   // read files, list directories
  kWrite = 2,  // write, make, rename and remove files, directories, symlinks, FIFOs and sockets; never device nodes
  kExecute = 4,
};
constexpr Grant operator|(Grant a, Grant b) {
  return static_cast<Grant>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}

struct Rule {
  std::string path{};
  Grant grant = Grant::kRead;
};

// 1 for Linux 5.13, 2 for 5.19 (Debian 12's 6.1 has it), 7 for 6.15.
Result<int> abi();
// Needs no_new_privs. Only the calling thread and what it starts: call it while there is one.
Status restrict_self(std::span<const Rule> rules);

}  // namespace sandboxd::landlock
