// The flat plan: all that a launch needs, as a plain value. sandboxd makes it (daemon/plan), the launcher checks that it
// narrows its profile (narrow.h) and carries it out. No descriptors, no paths of the host: a client's directory is an index
// into the descriptors that the broker holds under `token`.
// Sizes are bytes, times microseconds, 0 means "no limit" where a comment says so.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/sha256.h"

namespace sandboxd::wire {

using Token = std::array<std::uint8_t, 16>;

enum class RootKind : std::uint8_t {
  kUsr = 0,
  kDirectory = 1,
  kHost = 2
};  // the host's /usr | --root | whole-host view
enum class Access : std::uint8_t { kRo = 0, kRw = 1 };
enum class ProcKind : std::uint8_t { kFull = 0, kPid = 1 };  // proc(5): subset=pid
enum class NetworkMode : std::uint8_t { kNone = 0, kHost = 1 };
enum class UnixSockets : std::uint8_t { kNone = 0, kAny = 1 };
// kNull: /dev/null. kPipes: jail-init makes pipes and sends the outer ends out. kInherit: the client's own, through the broker.
// kTerminal: jail-init makes a PTY of the jail's own devpts and sends its master out.
enum class StdioMode : std::uint8_t { kNull = 0, kPipes = 1, kInherit = 2, kTerminal = 3 };

inline constexpr std::uint32_t kDefaultTerminals = 16;
inline constexpr std::uint32_t kMostTerminals = 256;

inline constexpr std::uint32_t bit(auto value) { return 1U << static_cast<std::uint32_t>(value); }

struct Bind {
  std::uint32_t fd = 0;  // index into the broker's descriptors
  std::string target{};  // canonical path in the jail
  Access access = Access::kRo;
  bool workspace = false;

  template <class A> void fields(A& a) {
    a(fd);
    a(target);
    a(access);
    a(workspace);
  }
  bool operator==(const Bind&) const = default;
};

struct Tmpfs {
  std::string path{};
  std::uint64_t size = 0;  // bytes
  std::uint64_t inodes = 0;
  std::uint32_t mode = 01777;

  template <class A> void fields(A& a) {
    a(path);
    a(size);
    a(inodes);
    a(mode);
  }
  bool operator==(const Tmpfs&) const = default;
};

struct JobPlan {
  std::vector<std::string> argv{};  // argv[0] is looked up in the job's PATH when it has no '/'
  std::vector<std::string> env{};   // NAME=value
  std::string workdir{};
  StdioMode stdio = StdioMode::kNull;
  std::array<std::uint32_t, 3> stdio_fds{};  // kInherit: indices into the broker's descriptors
  bool merge_stderr = false;                 // kPipes: standard error is standard output's pipe
  std::uint16_t rows = 0, columns = 0;       // kTerminal: the window's size at the start

  template <class A> void fields(A& a) {
    a(argv);
    a(env);
    a(workdir);
    a(stdio);
    a(stdio_fds);
    a(merge_stderr);
    a(rows);
    a(columns);
  }
  bool operator==(const JobPlan&) const = default;
};

struct JailPlan {
  std::uint32_t number = 0;  // fixes the id range, the cgroup and the scratch
  std::string jail{};        // the id that clients see; for records only
  std::string request{};     // the id of sandboxd's intent in the audit log, cited by the launcher's record
  std::string profile{};
  Sha256Digest profile_hash{};
  bool has_token = false;
  Token token{};
  // The ids that the job sees itself as. With a token they must be the broker's or 0 (user root); without, they are a name only.
  std::uint32_t inside_uid = 65534;
  std::uint32_t inside_gid = 65534;
  std::string user_name{};  // for the synthetic passwd and group
  std::string home{};
  RootKind root = RootKind::kUsr;
  std::uint32_t root_fd = 0;  // kDirectory: index into the broker's descriptors
  ProcKind proc = ProcKind::kFull;
  NetworkMode network = NetworkMode::kNone;
  UnixSockets unix_sockets = UnixSockets::kNone;
  std::vector<Bind> binds{};
  std::vector<Tmpfs> tmpfs{};
  std::vector<std::string> dirs{};  // empty directories to make
  std::string hostname{};
  Limits limits{};
  std::uint32_t terminals = kDefaultTerminals;  // of the jail's devpts; 0: none can be opened
  bool session = false;          // no first job (job.argv is empty): jobs come by jail-init's control socket
  bool explain_denials = false;  // calls that the filter refuses are told (init_control.h, kDenied)
  bool learn = false;            // exactly the profile's: calls that it allows are told (init_control.h, kLearned)
  JobPlan job{};

  [[nodiscard]] bool has_recorder() const { return explain_denials || learn; }
  // A client's files stand in the jail, as the job's; without the second, it needs nothing of a client's hands.
  [[nodiscard]] bool shows_files() const { return !binds.empty() || root == RootKind::kDirectory; }
  [[nodiscard]] bool takes_descriptors() const { return shows_files() || job.stdio == StdioMode::kInherit; }
  template <class A> void fields(A& a) {
    a(number);
    a(jail);
    a(request);
    a(profile);
    a(profile_hash);
    a(has_token);
    a(token);
    a(inside_uid);
    a(inside_gid);
    a(user_name);
    a(home);
    a(root);
    a(root_fd);
    a(proc);
    a(network);
    a(unix_sockets);
    a(binds);
    a(tmpfs);
    a(dirs);
    a(hostname);
    a(limits);
    a(terminals);
    a(session);
    a(explain_denials);
    a(learn);
    a(job);
  }
  bool operator==(const JailPlan&) const = default;
};

}  // namespace sandboxd::wire
