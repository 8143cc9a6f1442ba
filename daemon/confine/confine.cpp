#include "daemon/confine/confine.h"

#include <cerrno>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/proc_status.h"
#include "base/unique_fd.h"
#include "daemon/confine/capabilities.h"
#include "daemon/confine/generated/filters.h"
#include "daemon/confine/landlock.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOXD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOXD_SANITIZED 1
#endif
#endif

namespace sandboxd {
namespace {

#ifdef SANDBOXD_SANITIZED
constexpr bool kSanitized = true;  // its run-time has a thread of its own, and reads /proc/self at the end
#else
constexpr bool kSanitized = false;
#endif

Status load_filter(std::span<const sock_filter> filter) {
  sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  // LOG: the kernel's log names each call that was refused. TSYNC: all threads or none.
  constexpr unsigned kFlags = SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_TSYNC;
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program);
  if (result < 0) return sys_error("load the system call filter");
  if (result > 0) return sys_error_code(ESRCH, "load the system call filter: thread {} can't take it", result);
  return {};
}

std::vector<landlock::Rule> rules_of(const ConfineOptions& options) {
  std::vector<landlock::Rule> rules;
  for (const std::string& path : options.readable) rules.push_back({path, landlock::Grant::kRead});
  for (const std::string& path : options.writable)
    rules.push_back({path, landlock::Grant::kRead | landlock::Grant::kWrite});
  if (kSanitized) rules.push_back({"/proc", landlock::Grant::kRead});
  return rules;
}

Status check_in_force(const ProcStatus& before, int status_fd) {
  // Rewound, so that the text is made anew: the file was opened while it could be.
  if (::lseek(status_fd, 0, SEEK_SET) < 0) return sys_error("read back own status");
  TRY_ASSIGN(const std::string text, read_fd(status_fd).context("read back own status"));
  TRY_ASSIGN(const ProcStatus now, parse_proc_status(text).context("read back own status"));
  if (!now.no_new_privs) return sys_error_code(EPERM, "no_new_privs is not in force");
  if (now.seccomp != SeccompMode::kFilter || now.seccomp_filters != before.seccomp_filters + 1) {
    return sys_error_code(EPERM, "the system call filter is not in force");
  }
  return {};
}

// A path that no rule covers can't be opened any more: what Landlock itself shows nowhere in /proc.
Status check_landlock() {
  const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.valid()) return sys_error_code(EPERM, "Landlock is not in force: '/' can be opened");
  if (errno != EACCES) return sys_error("check that Landlock is in force: open '/'");
  return {};
}

bool names_root(const ConfineOptions& options) {
  for (const auto* list : {&options.readable, &options.writable}) {
    for (const std::string& path : *list) {
      if (path == "/") return true;
    }
  }
  return false;
}

}  // namespace

std::span<const sock_filter> filter_of(Program program) {
  switch (program) {
    case Program::kSandboxd: return filters::kSandboxdFilter;
    case Program::kBroker: return filters::kBrokerFilter;
    case Program::kAudit: return filters::kAuditFilter;
  }
  return {};
}

Status confine_self(Program program, const ConfineOptions& options) {
  if (names_root(options)) return sys_error_code(EINVAL, "confine: '/' among the paths");
  TRY(check_unprivileged().context("confine"));
  const UniqueFd status_fd(::open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC));
  if (!status_fd) return sys_error("confine: open '/proc/thread-self/status'");
  TRY_ASSIGN(const ProcStatus before, read_own_status());
  if (before.threads != 1 && !kSanitized)
    return sys_error_code(EINVAL, "confine: {} threads run already", before.threads);
  TRY(set_no_new_privs().context("confine"));
  TRY(landlock::restrict_self(rules_of(options)).context("confine"));
  TRY(check_landlock().context("confine"));
  TRY(load_filter(filter_of(program)).context("confine"));
  return check_in_force(before, status_fd.get()).context("confine");
}

}  // namespace sandboxd
