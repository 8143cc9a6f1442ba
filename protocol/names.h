// How the enumerations of protocol/job.h are called in JSON.
#pragma once

#include <array>
#include <string_view>

#include "protocol/job.h"

namespace sandboxd::protocol {

template <class E> struct Named {
  std::string_view name;
  E value;
};

inline constexpr std::array kAccessNames = {Named<Access>{"ro", Access::kRo}, Named<Access>{"rw", Access::kRw}};
inline constexpr std::array kRootNames = {Named<Root>{"usr", Root::kUsr}, Named<Root>{"directory", Root::kDirectory},
                                          Named<Root>{"host", Root::kHost}};
inline constexpr std::array kNetworkNames = {Named<Network>{"none", Network::kNone},
                                             Named<Network>{"host", Network::kHost}};
inline constexpr std::array kStdioNames = {Named<Stdio>{"relay", Stdio::kRelay}, Named<Stdio>{"pass", Stdio::kPass},
                                           Named<Stdio>{"inherit", Stdio::kInherit},
                                           Named<Stdio>{"null", Stdio::kNull}};
inline constexpr std::array kVerdictNames = {
    Named<Verdict>{"exited", Verdict::kExited},
    Named<Verdict>{"signalled", Verdict::kSignalled},
    Named<Verdict>{"oom", Verdict::kOom},
    Named<Verdict>{"timeout_wall", Verdict::kTimeoutWall},
    Named<Verdict>{"timeout_cpu", Verdict::kTimeoutCpu},
    Named<Verdict>{"timeout_idle", Verdict::kTimeoutIdle},
    Named<Verdict>{"output_limit", Verdict::kOutputLimit},
    Named<Verdict>{"seccomp", Verdict::kSeccomp},
    Named<Verdict>{"killed", Verdict::kKilled},
    Named<Verdict>{"setup_failed", Verdict::kSetupFailed},
    Named<Verdict>{"stuck", Verdict::kStuck},
};
inline constexpr std::array kSurvivorsNames = {Named<Survivors>{"kill", Survivors::kKill},
                                               Named<Survivors>{"keep", Survivors::kKeep}};
inline constexpr std::array<std::string_view, 3> kJobStateNames = {"starting", "running", "ended"};
inline constexpr std::array<std::string_view, 5> kStateNames = {"starting", "running", "ending", "ended", "stuck"};

// Empty for a value that the table does not have.
template <class E, std::size_t N>
[[nodiscard]] constexpr std::string_view name_in(const std::array<Named<E>, N>& table, E value) {
  for (const Named<E>& row : table) {
    if (row.value == value) return row.name;
  }
  return {};
}

}  // namespace sandboxd::protocol
