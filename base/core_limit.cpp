#include "base/core_limit.h"

#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace sandboxd {

Result<rlim_t> hard_core_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) < 0) return sys_error("getrlimit RLIMIT_CORE");
  return limit.rlim_max;
}

void raise_core_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max >= 1) return;
  limit.rlim_max = 1;
  static_cast<void>(::setrlimit(RLIMIT_CORE, &limit));
}

Result<rlim_t> job_core_limit(int proc_dir, rlim_t hard) {
  TRY_ASSIGN(const std::string text, read_file(proc_dir, "sys/kernel/core_pattern"));
  const std::string pattern = text.substr(0, text.find('\n'));
  if (pattern.starts_with('@'))
    return sys_error_code(
        EPERM,
        "kernel.core_pattern is {}: at any limit a crash in a jail would be sent to that socket of the "
        "host; set it to a file or to a program",
        quoted(pattern));
  if (hard >= 1) return rlim_t{1};
  if (pattern.starts_with('|'))
    return sys_error_code(
        EPERM,
        "kernel.core_pattern is {}: only at a limit of 1 does a crash in a jail not start that program, "
        "and the daemon's hard limit is 0; start it with 'ulimit -Hc' at 1 or more (under sudo: "
        "'Defaults rlimit_core=default' in sudoers(5))",
        quoted(pattern));
  return rlim_t{0};
}

}  // namespace sandboxd
