// Fault points: in the preset `fault`, a launch stops at the step that the file "fault" in the runtime directory names, so
// that a test can kill whatever it wants at exactly that moment. In every other build these are nothing.
#pragma once

#include <string>

namespace sandboxd::launcher {

#if defined(SANDBOXD_FAULT)
// Reads the step's name, and opens what a stop needs; before the launch leaves the host's mount namespace.
void arm_faults(const std::string& runtime_dir);
// At its step: writes its pid to "fault-hit", then waits for a byte in the FIFO "fault-go".
void fault_point(const char* step);
#else
inline void arm_faults(const std::string&) {}
inline void fault_point(const char*) {}
#endif

}  // namespace sandboxd::launcher
