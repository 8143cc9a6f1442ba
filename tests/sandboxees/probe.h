// What the probes share. A probe tries things that a jail must refuse; each try gives one line,
//   through NAME [detail]      it got what it wanted
//   refused NAME ERRNO         it did not
// and the probe's exit status is 0 when anything got through, 1 when all was refused, 2 when it was called wrongly. The same
// program is run outside a jail as the control. No library of the project: it must run anywhere, linked statically.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace probe {

inline int g_through = 0;

inline void through(std::string_view name, std::string_view detail = "") {
  ++g_through;
  std::printf("through %.*s %.*s\n", static_cast<int>(name.size()), name.data(), static_cast<int>(detail.size()),
              detail.data());
  std::fflush(stdout);
}

inline void refused(std::string_view name, int code) {
  const char* text = ::strerrorname_np(code);
  std::printf("refused %.*s %s\n", static_cast<int>(name.size()), name.data(), text == nullptr ? "?" : text);
  std::fflush(stdout);
}

// `result` is a system call's: below 0 means refused, and errno says why.
inline bool tried(std::string_view name, long result) {
  if (result < 0) {
    refused(name, errno);
    return false;
  }
  through(name);
  return true;
}

// A call whose arguments are made to fail: what matters is that the kernel's own code looked at them.
inline void reached(std::string_view name, long result) {
  if (result < 0 && (errno == EPERM || errno == ENOSYS || errno == EACCES)) return refused(name, errno);
  through(name, result < 0 ? ::strerrorname_np(errno) : "");
}

struct Check {
  std::string_view name;
  int arguments;  // beside its name
  void (*run)(char** arguments);
};

template <std::size_t N> int main_of(const Check (&checks)[N], int argc, char** argv) {
  for (const Check& check : checks) {
    if (argc < 2 || check.name != argv[1] || argc - 2 < check.arguments) continue;
    check.run(argv + 2);
    return g_through > 0 ? 0 : 1;
  }
  std::fprintf(stderr, "usage: %s CHECK [ARGUMENT...]\n", argv[0]);
  return 2;
}

}  // namespace probe
