// The lines of a probe (tests/sandboxees/probe.h) as values, and the comparison that every escape check is: what a jail refuses
// must get through outside, else the check proves nothing.
#pragma once

#include <array>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

#include "tests/support/command.h"
#include "tests/support/host.h"

namespace sandboxd::test {

inline constexpr std::array kProbes = {"probe_self", "probe_mounts", "probe_files", "probe_proc",  "probe_privs",
                                       "probe_abi",  "probe_ipc",    "probe_stay",  "probe_trace", "probe_channels"};

void copy_all_probes(const WorkDir& dir, const std::string& name);

struct Tried {
  bool through = false;
  std::string detail{};  // what it got, or the errno's name
};
using Tries = std::map<std::string, Tried>;

Tries parse_probe(const Output& output);

// Each try of the jail is refused; each name of `shown` got through outside. Names that are refused outside too are listed in
// the test's output: this host can't show them.
void expect_refused(const Output& jail, const Output& control, std::initializer_list<std::string_view> shown);

}  // namespace sandboxd::test
