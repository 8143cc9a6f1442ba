#include "bench/row.h"

#include <algorithm>

#include <spawn.h>
#include <sys/wait.h>

extern char** environ;

namespace sandboxd::bench {

std::uint64_t Row::at(double part) const {
  std::vector<std::uint64_t> sorted = samples;
  std::ranges::sort(sorted);
  return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * part)];
}

bool spawn_and_wait(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& text : argv) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, pointers[0], nullptr, nullptr, pointers.data(), environ) != 0) return false;
  int status = 0;
  return ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace sandboxd::bench
