// The values that client and daemon share: what a client asks for (JobSpec) and what it gets back (JobReport). Plain data;
// the varlink encoding of each is in protocol/*.varlink and codec.h. Text is bytes: argv, environment and paths need not be
// UTF-8. Times are microseconds, sizes bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sandboxd::protocol {

enum class Access : std::uint8_t { kRo, kRw };
enum class Root : std::uint8_t { kUsr, kDirectory, kHost };
enum class Network : std::uint8_t { kNone, kHost };
// kRelay: sandboxd relays output in `more` replies. kPass: the pipes' outer ends come as descriptors with the first reply
// (SCM_RIGHTS: stdin's write end, stdout's and stderr's read ends). kInherit: the client's own, by index. kNull: /dev/null.
enum class Stdio : std::uint8_t { kRelay, kPass, kInherit, kNull };
enum class Verdict : std::uint8_t {
  kExited,
  kSignalled,
  kOom,
  kTimeoutWall,
  kTimeoutCpu,
  kTimeoutIdle,
  kOutputLimit,
  kSeccomp,
  kKilled,
  kSetupFailed,
  kStuck
};

struct Bind {
  std::uint32_t fd = 0;  // index into the descriptors sent under `token`
  std::string target{};
  Access access = Access::kRo;
  bool operator==(const Bind&) const = default;
};

struct Tmpfs {
  std::string path{};
  std::optional<std::uint64_t> size{};
  bool operator==(const Tmpfs&) const = default;
};

struct JobSpec {
  std::vector<std::string> argv{};
  std::vector<std::pair<std::string, std::string>> env{};
  std::optional<std::string> profile{};
  std::optional<std::string> name{};
  std::optional<std::array<std::uint8_t, 16>> token{};
  std::optional<Bind> workspace{};
  std::vector<Bind> binds{};
  Root root = Root::kUsr;
  std::optional<std::uint32_t> root_fd{};
  std::vector<Tmpfs> tmpfs{};
  std::vector<std::string> dirs{};
  std::optional<std::string> hostname{};
  std::optional<std::string> workdir{};  // default: the workspace's target, else /
  bool user_root = false;
  Network network = Network::kNone;
  std::optional<std::uint64_t> wall_time{};  // microseconds; must be > 0
  Stdio stdio = Stdio::kRelay;
  std::array<std::uint32_t, 3> stdio_fds{};  // kInherit
  std::optional<std::string> stdin_data{};   // kRelay: what the job reads
  bool operator==(const JobSpec&) const = default;
};

struct Usage {
  std::uint64_t wall = 0, cpu_user = 0, cpu_system = 0;  // microseconds
  std::uint64_t memory_peak = 0;  // bytes; the largest resident set of a reaped process until cgroups say more
  bool operator==(const Usage&) const = default;
};

struct JobReport {
  std::string jail{};
  std::string profile{};
  std::string profile_hash{};  // hex
  Verdict verdict = Verdict::kExited;
  std::optional<std::int32_t> exit_code{};
  std::optional<std::int32_t> signal{};
  std::string detail{};  // for setup_failed, killed, stuck: why
  Usage usage{};
  std::vector<std::string> unenforced{};
  std::uint64_t audit_index = 0;  // of the jail.exit record
  bool operator==(const JobReport&) const = default;
};

struct Fact {
  std::string name{}, value{};
  bool operator==(const Fact&) const = default;
};

struct JailInfo {
  std::string jail{}, name{}, profile{}, state{};  // state: starting | running | ending | ended | stuck
  std::uint32_t uid = 0;
  std::vector<std::string> argv{};
  bool argv_cut = false;      // argv is only the beginning (a reply has room for so much)
  std::uint64_t started = 0;  // CLOCK_REALTIME, microseconds
  std::optional<JobReport> report{};
  std::vector<Fact> in_force{};  // Inspect only: what was read back from the kernel
  bool operator==(const JailInfo&) const = default;
};

}  // namespace sandboxd::protocol
