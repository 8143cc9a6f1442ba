#include "daemon/launcher/fault.h"

#if defined(SANDBOXD_FAULT)

#include <cstdio>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"

namespace sandboxd::launcher {
namespace {

std::string g_step;
int g_hit = -1, g_go = -1;

}  // namespace

void arm_faults(const std::string& runtime_dir) {
  const auto step = read_file(AT_FDCWD, runtime_dir + "/fault");
  if (!step.ok()) return;
  g_step = *step;
  g_hit = ::open((runtime_dir + "/fault-hit").c_str(), O_WRONLY | O_CLOEXEC);
  g_go = ::open((runtime_dir + "/fault-go").c_str(), O_RDWR | O_CLOEXEC);
}

void fault_point(const char* step) {
  if (g_step != step || g_hit < 0 || g_go < 0) return;
  ::dprintf(g_hit, "%d\n", static_cast<int>(::getpid()));
  char go = 0;
  if (::read(g_go, &go, 1) != 1) ::_exit(99);
}

}  // namespace sandboxd::launcher

#endif
