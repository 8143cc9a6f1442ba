#include "daemon/launcher/fault.h"

#if defined(SANDBOXD_FAULT)

#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"

namespace sandboxd::launcher {
namespace {

std::string g_step;
int g_hit = -1, g_go = -1;
std::array<bool, kLayerNames.size()> g_without{};

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

void read_layers(const std::string& runtime_dir) {
  const auto text = read_file(AT_FDCWD, runtime_dir + "/without");
  if (!text.ok()) return;
  const std::string words = " " + *text + " ";
  for (std::size_t i = 0; i < kLayerNames.size(); ++i)
    g_without[i] = words.find(std::string(" ") + kLayerNames[i] + " ") != std::string::npos;
}

bool without(Layer layer) { return g_without[static_cast<std::size_t>(layer)]; }

void leave_out_layers(wire::InitPlan& plan) {
  plan.keep_capabilities = without(Layer::kCapabilities);
  if (without(Layer::kIds)) plan.job_uid = plan.job_gid = kInitInsideId;
  if (without(Layer::kLandlock)) {
    plan.landlock_fs = plan.landlock_net = plan.landlock_scoped = 0;
    plan.landlock.clear();
    plan.landlock_ports.clear();
  }
  if (!without(Layer::kFilter)) return;
  const sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  plan.filter.resize(sizeof allow);
  std::memcpy(plan.filter.data(), &allow, sizeof allow);
}

}  // namespace sandboxd::launcher

#endif
