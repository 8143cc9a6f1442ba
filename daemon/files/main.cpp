// sandboxd-jail-files: reads and writes a jail's files from inside, as a job. sandboxd keeps it in a sealed memfd and has jail-init
// run it for each call of org.sandboxd.Files; what it may do is what every job of that jail may do.
#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "daemon/files/operations.h"

#if defined(__SANITIZE_ADDRESS__)
// Its run time would set RLIMIT_CORE to what a jail's hard limit doesn't let it, and end; and look for leaks by ptrace(2).
extern "C" __attribute__((visibility("default"), used)) const char* __asan_default_options() {  // NOLINT: its name
  return "disable_coredump=0:detect_leaks=0";
}
#endif

int main(int argc, char** argv) {
  // Told by write(2) instead: EPIPE, EFBIG.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    const std::vector<std::string_view> words(argv + (argc > 0 ? 1 : 0), argv + argc);
    return sandboxd::files::run_operation(words, {});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sandboxd-jail-files: %s\n", error.what());
  }
  return 3;
}
