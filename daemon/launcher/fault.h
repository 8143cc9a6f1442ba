// Fault points: in the preset `fault`, a launch stops at the step that the file "fault" in the runtime directory names, so
// that a test can kill whatever it wants at exactly that moment. And jails of a daemon lack the layers that the file "without" named
// when it started, so that a test can see what each of them stops. In every other build these are nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "daemon/wire/init_plan.h"

namespace sandboxd::launcher {

// What a jail consists of beyond its user, pid and mount namespaces.
enum class Layer : std::uint8_t {
  kNamespaces,    // net, ipc and uts, and the bound on user namespaces of its own
  kCapabilities,  // the job holds all of its user namespace, and may gain privileges by an exec
  kFilter,
  kLandlock,
  kMounts,    // read-only, nosuid, nodev and noexec; what covers parts of /proc and /sys; hidepid
  kIds,       // the job has jail-init's id
  kCgroup,    // limits in its cgroup
  kReadBack,  // the comparison of what is in force with the plan
};
inline constexpr std::array kLayerNames = {"namespaces", "capabilities", "filter", "landlock",
                                           "mounts",     "ids",          "cgroup", "read-back"};

#if defined(SANDBOXD_FAULT)
// Reads the step's name, and opens what a stop needs; before the launch leaves the host's mount namespace.
void arm_faults(const std::string& runtime_dir);
// At its step: writes its pid to "fault-hit", then waits for a byte in the FIFO "fault-go".
void fault_point(const char* step);
// Once, at the launcher's start.
void read_layers(const std::string& runtime_dir);
bool without(Layer layer);
void leave_out_layers(wire::InitPlan& plan);  // what jail-init sets up
#else
inline void arm_faults(const std::string&) {}
inline void fault_point(const char*) {}
inline void read_layers(const std::string&) {}
constexpr bool without(Layer) { return false; }
inline void leave_out_layers(wire::InitPlan&) {}
#endif

}  // namespace sandboxd::launcher
