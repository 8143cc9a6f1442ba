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
inline constexpr std::array kDenialKindNames = {
    Named<DenialKind>{"syscall", DenialKind::kSyscall},
    Named<DenialKind>{"path", DenialKind::kPath},
    Named<DenialKind>{"network", DenialKind::kNetwork},
    Named<DenialKind>{"limit", DenialKind::kLimit},
};
inline constexpr std::array<std::string_view, 3> kJobStateNames = {"starting", "running", "ended"};
inline constexpr std::array<std::string_view, 5> kStateNames = {"starting", "running", "ending", "ended", "stuck"};

struct UsageRow {
  std::string_view name{};
  std::optional<std::uint64_t> Usage::*member = nullptr;
};
inline constexpr std::array kUsageRows = {
    UsageRow{"pids_peak", &Usage::pids_peak},
    UsageRow{"read_bytes", &Usage::read_bytes},
    UsageRow{"written_bytes", &Usage::written_bytes},
    UsageRow{"read_operations", &Usage::read_operations},
    UsageRow{"write_operations", &Usage::write_operations},
    UsageRow{"throttled", &Usage::throttled},
    UsageRow{"throttled_periods", &Usage::throttled_periods},
    UsageRow{"cpu_pressure", &Usage::cpu_pressure},
    UsageRow{"memory_pressure", &Usage::memory_pressure},
    UsageRow{"memory_pressure_full", &Usage::memory_pressure_full},
    UsageRow{"io_pressure", &Usage::io_pressure},
    UsageRow{"io_pressure_full", &Usage::io_pressure_full},
};

// Empty for a value that the table does not have.
template <class E, std::size_t N>
[[nodiscard]] constexpr std::string_view name_in(const std::array<Named<E>, N>& table, E value) {
  for (const Named<E>& row : table) {
    if (row.value == value) return row.name;
  }
  return {};
}

}  // namespace sandboxd::protocol
