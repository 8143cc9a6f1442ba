// What a sanitizer's run-time changes for a process. ThreadSanitizer's fork(2) starts a thread of its own in the child, and the
// kernel moves no process of several threads into another mount or user namespace (setns(2), unshare(2): EINVAL).
#pragma once

#include <csignal>

#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define SANDBOXD_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANDBOXD_THREAD_SANITIZER 1
#endif
#endif

namespace sandboxd {

// fork(2), for a child that enters a namespace.
inline pid_t fork_single_threaded() {
#ifdef SANDBOXD_THREAD_SANITIZER
  return static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
#else
  return ::fork();
#endif
}

}  // namespace sandboxd
