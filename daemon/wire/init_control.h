// What sandboxd and a jail's PID 1 say to each other over the jail's control socket (SOCK_SEQPACKET): one trivially copyable
// record a packet. sandboxd treats everything that comes from jail-init as hostile: sizes, enums, job numbers and descriptors
// are checked, and a descriptor that is no FIFO and no PTY master ends the jail. jail-init kills the jail when the socket
// closes. Jobs are numbered by sandboxd: kFirstJob is the one that a run starts with (a session's jail has none), the others
// are execs. An exec goes:
//
//   sandboxd                                                  jail-init
//   kExec job + sealed memfd (wire/exec_plan.h) [+ program]   -> makes pipes or a PTY, clones; the child takes the job's id
//                                                             <- kStreams job + outer ends (pipes and PTY only)
//                                                             <- kJobReady job: it waits before its exec (or kJobFailed)
//   kRelease job: the intent is in the audit log              -> it execs. This may come before kJobReady, which is not
//                                                                said then
//                                                             <- kJobStarted job (or kJobFailed: execve itself)
//                                                             <- kJobExited job: its first process ended
//                                                             <- kJobGone job: so did what outlived it (or was left alone)
#pragma once

#include <cstdint>
#include <type_traits>

namespace sandboxd::wire {

inline constexpr std::uint32_t kFirstJob = 1;
inline constexpr std::uint32_t kMaxJobs = 256;  // alive in one jail at a time

enum class InitEvent : std::uint32_t {
  // Descriptors, before the job's exec. Pipes: stdin's write end, stdout's read end, stderr's read end (not with
  // merge_stderr). Terminal: the PTY's master.
  kStreams = 1,
  kJobStarted = 2,  // exec succeeded; value = pid in the jail
  kJobFailed = 3,   // the job never ran: step, code (errno) and text say why; nothing more comes of it
  kJobExited = 4,   // value = wait status (wait(2)); usage filled
  kWallTime = 5,    // a deadline passed and what it was for has been killed: the job's, or, with job 0, the jail's
  kJobReady = 6,    // an exec'd job waits for kRelease
  kJobGone = 7,     // the last of an exec'd job: value = processes that outlived it, killed or kept as the plan says
  kFull = 8,  // the answer to kLook, of no job: bit n of `full` = the plan's tmpfs n has no block or no inode left
  // A call that the filter refused, before it was answered; only where the plan asks for it. code = the errno that it is given,
  // value = how many were refused since the last without being told, job = 0 where it isn't known whose it is, text = the bytes
  // of a DeniedCall. At most kDeniedPerSecond a second.
  kDenied = 9,
  // What a job did that the filter allows, when it is new; only under a profile that learns. text = the bytes of a LearnedPart. At
  // most kMostLearned in a jail's life.
  kLearned = 10,
};
enum class InitCommand : std::uint32_t {
  kSignal = 1,     // value = signal number, to the job's process group
  kSignalAll = 2,  // value = signal number, to every process of the jail but jail-init's own
  kEnd = 3,        // kill everything and exit
  kExec = 4,       // descriptors: the plan, and, where it says so, the program
  kRelease = 5,    // the job may exec
  kKillJob = 6,    // SIGKILL for the job's first process; kJobExited and kJobGone follow. Also before kRelease
  kLook = 7,       // which of the jail's tmpfs are full? kFull answers
};

struct InitEventRecord {
  InitEvent event{};
  std::int32_t value = 0;
  std::int32_t code = 0;
  std::uint32_t job = 0;
  std::uint64_t user_usec = 0;
  std::uint64_t system_usec = 0;
  std::uint64_t max_rss_bytes = 0;
  std::uint64_t full = 0;
  char step[24] = {};
  char text[120] = {};
};
static_assert(std::is_trivially_copyable_v<InitEventRecord> && sizeof(InitEventRecord) == 192);

inline constexpr std::uint32_t kDeniedPerSecond = 16;

// As seccomp(2) has it: struct seccomp_data, without the instruction's address. number < 0: only the count is told.
struct DeniedCall {
  std::int32_t number = 0;
  std::uint32_t arch = 0;
  std::uint64_t args[6] = {};
};
static_assert(std::is_trivially_copyable_v<DeniedCall> && sizeof(DeniedCall) <= sizeof(InitEventRecord::text));

// A text is told before what names it, in pieces where it is long, and once. Numbers of texts and of entries count up from 0; text 0
// is jail-init itself.
enum class LearnedKind : std::uint32_t {
  kText = 1,  // id = the text's number, a = bytes that follow, b = 1: more of it comes
  kCall =
      2,  // id = the entry's number, program = a text, a = the call's number, b = what of its arguments counts (learned.h)
  kPath = 3,    // id, program, a = bits of LearnedAccess, b = a text
  kPort = 4,    // id, program, a = LearnedPort, b = the port
  kCounts = 5,  // id = the first entry, a = how many, bytes = u32 each: how often it was seen
  kUnread = 6,  // b = paths and addresses that could not be read, so far, a = what there was no room for, so far
};
enum class LearnedAccess : std::uint32_t { kRead = 1, kWrite = 2, kExecute = 4 };
enum class LearnedPort : std::uint32_t { kConnect = 1, kBind = 2 };
inline constexpr std::uint32_t kMostLearned = 16384;
inline constexpr std::uint32_t kMostLearnedTexts = 4096;
inline constexpr std::uint32_t kMostLearnedEntries = 4096;

struct LearnedPart {
  LearnedKind kind{};
  std::uint32_t id = 0;
  std::uint32_t program = 0;
  std::uint32_t a = 0;
  std::uint64_t b = 0;
  char bytes[96] = {};
};
static_assert(std::is_trivially_copyable_v<LearnedPart> && sizeof(LearnedPart) == sizeof(InitEventRecord::text));

// A socket's family, type without its flags, and protocol, in one number.
constexpr std::uint64_t learned_socket(std::uint64_t family, std::uint64_t type, std::uint64_t protocol) {
  return (family & 0xFFFF) << 32 | (type & 0xF) << 16 | (protocol & 0xFFFF);
}

struct InitCommandRecord {
  InitCommand command{};
  std::int32_t value = 0;
  std::uint32_t job = 0;
  std::uint32_t reserved = 0;
};
static_assert(std::is_trivially_copyable_v<InitCommandRecord> && sizeof(InitCommandRecord) == 16);

}  // namespace sandboxd::wire
