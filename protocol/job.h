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
// What becomes of processes that outlive the first process of a job in a session.
enum class Survivors : std::uint8_t { kKill, kKeep };
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

enum class DenialKind : std::uint8_t { kSyscall, kPath, kNetwork, kLimit };

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

// Of a terminal, in characters (TIOCSWINSZ).
struct WindowSize {
  std::uint16_t rows = 24, columns = 80;
  bool operator==(const WindowSize&) const = default;
};

// What a request says of its limits; what it doesn't is the preset's. Bytes, microseconds, thousandths of a core, counts. 0 is
// none; of memory_swap_max 0 is no swap, and UINT64_MAX none.
struct AskedLimits {
  std::optional<std::uint64_t> memory_max{}, memory_high{}, memory_swap_max{};
  std::optional<std::uint64_t> cpu_max{}, cpu_weight{}, pids_max{};
  std::optional<std::uint64_t> io_max_rbps{}, io_max_wbps{}, io_max_riops{}, io_max_wiops{};
  std::optional<std::uint64_t> nofile{}, file_size_max{}, scratch_max{}, inodes_max{}, output_max{};
  std::optional<std::uint64_t> wall_time{}, cpu_time{}, idle_time{};
  std::optional<std::uint64_t> disk_max{};  // always refused, with the reason
  bool operator==(const AskedLimits&) const = default;
};

using Labels = std::vector<std::pair<std::string, std::string>>;

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
  std::optional<std::string> preset{};
  AskedLimits limits{};
  std::optional<std::uint64_t> wall_time{};  // limits.wall_time by its older name; must be > 0
  Stdio stdio = Stdio::kRelay;
  std::array<std::uint32_t, 3> stdio_fds{};  // kInherit
  std::optional<std::string> stdin_data{};   // kRelay: what the job reads
  bool merge_stderr = false;
  std::optional<WindowSize> tty{};  // a terminal instead of pipes
  bool detach = false;
  bool log = false;
  bool explain_denials = false;  // refused calls are told, to Why and on the job's standard error
  Labels labels{};
  std::optional<std::uint64_t> session_ttl{};  // microseconds; Create only
  bool operator==(const JobSpec&) const = default;
};

// One more job in a live jail.
struct ExecSpec {
  std::vector<std::string> argv{};
  std::vector<std::pair<std::string, std::string>> env{};  // beside the jail's own
  std::optional<std::string> workdir{};
  std::optional<std::uint64_t> wall_time{};
  std::optional<std::uint64_t> nofile{}, file_size_max{}, output_max{};
  Stdio stdio = Stdio::kRelay;  // not kInherit
  std::optional<std::string> stdin_data{};
  bool merge_stderr = false;
  std::optional<WindowSize> tty{};
  bool detach = false;
  bool log = false;
  bool explain_denials = false;  // on this job's standard error; of a jail that was created with it
  Survivors survivors = Survivors::kKill;
  bool operator==(const ExecSpec&) const = default;
};

// What is optional is known where the host has the controller, and of a jail as a whole: jobs of a session share it.
struct Usage {
  std::uint64_t wall = 0, cpu_user = 0, cpu_system = 0;  // microseconds
  std::uint64_t memory_peak = 0;                         // bytes; else the largest resident set of a reaped process
  std::optional<std::uint64_t> pids_peak{};
  std::optional<std::uint64_t> read_bytes{}, written_bytes{}, read_operations{}, write_operations{};
  std::optional<std::uint64_t> throttled{}, throttled_periods{};  // microseconds; of cpu_max
  // Microseconds in which some process, or all of them, waited (PSI).
  std::optional<std::uint64_t> cpu_pressure{}, memory_pressure{}, memory_pressure_full{}, io_pressure{},
      io_pressure_full{};
  bool operator==(const Usage&) const = default;
};

struct Enforced {
  std::string limit{}, by{};
  bool operator==(const Enforced&) const = default;
};

struct JobReport {
  std::string jail{};
  std::uint32_t job = 1;  // 0: of a session's jail as a whole
  std::string profile{};
  std::string profile_hash{};  // hex
  Verdict verdict = Verdict::kExited;
  std::optional<std::int32_t> exit_code{};
  std::optional<std::int32_t> signal{};
  std::string detail{};  // which limit ended it, or why it was killed
  Usage usage{};
  std::vector<Enforced> enforced_by{};    // which mechanism held a limit
  std::vector<std::string> unenforced{};  // what this host went without, as its administrator allows
  std::uint64_t audit_index = 0;          // of the record of its end; 0 for an exec's, which is not waited for
  std::uint32_t survivors = 0;  // processes that outlived an exec's first process, and were killed or kept as it asked
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
  bool session = false;
  bool frozen = false;
  Labels labels{};
  std::optional<std::uint64_t> expires{};  // of a session: CLOCK_REALTIME, microseconds
  std::uint32_t jobs = 0;                  // alive
  std::vector<Fact> in_force{};            // Inspect only: what was read back from the kernel
  std::vector<std::string> unenforced{};
  std::string profile_hash{};  // hex: of the profile as it was at the start
  bool operator==(const JailInfo&) const = default;
};

// Why a job has no report: it never ran, or nobody could say how it ended.
struct JobFailure {
  std::string step{};  // of its start; "killed", or what was not available
  int code = 0;        // errno, or 0
  std::string detail{};
  bool operator==(const JobFailure&) const = default;
};

// Something that a job asked for and did not get, and what to do about it. Texts hold nothing that a job wrote.
struct Denial {
  DenialKind kind = DenialKind::kSyscall;
  std::string what{};     // "mount", "socket(AF_NETLINK)", "pids_max"
  std::string rule{};     // where it is said, and why
  std::string remedy{};   // what to do, in words
  std::string error{};    // "EPERM": what the job was told; empty for a limit
  std::uint32_t job = 0;  // 0: the jail as a whole, or not known
  std::uint64_t count = 1;
  std::uint64_t first = 0;  // CLOCK_REALTIME, microseconds
  bool operator==(const Denial&) const = default;
};

// What is kept of a jail's denials: the last of them.
struct Denials {
  std::vector<Denial> denials{};
  std::uint64_t forgotten = 0;  // older ones, for which there was no room
  std::uint64_t untold = 0;     // refused calls that came too fast to be told one by one
  bool operator==(const Denials&) const = default;
};

// What was learned of a jail, as the texts of two files: a profile, and the filter that it names. Whatever the jail's jobs did
// shows in them, their paths and names of programs too.
struct LearnedProfile {
  std::string profile{};
  std::string filter{};
  std::uint64_t unread = 0;  // paths and addresses that could not be read, or that no profile can name
  std::uint64_t lost = 0;    // what there was no room for
  bool operator==(const LearnedProfile&) const = default;
};

// Now, of a live jail.
struct JailStats {
  std::string jail{}, name{}, profile{};
  bool frozen = false;
  std::uint32_t jobs = 0;  // alive
  Usage usage{};
  std::optional<std::uint64_t> memory_current{}, pids_current{};
  std::optional<std::uint64_t> memory_max{}, pids_max{}, cpu_max{};  // where there is one
  bool operator==(const JailStats&) const = default;
};

struct JobInfo {
  std::string jail{};
  std::uint32_t job = 0;
  std::string state{};  // starting | running | ended
  std::vector<std::string> argv{};
  bool argv_cut = false;
  std::uint64_t started = 0;  // CLOCK_REALTIME, microseconds
  bool tty = false;
  bool detached = false;       // it outlives its client
  std::uint32_t attached = 0;  // clients that have its streams
  std::optional<JobReport> report{};
  std::optional<JobFailure> failure{};  // ended: in place of a report
  bool operator==(const JobInfo&) const = default;
};

}  // namespace sandboxd::protocol
