// The handshake of one launch, over a SOCK_SEQPACKET pair. Peer death is a message like any other: whoever reads
// end-of-file gives up (the clone and jail-init exit, which ends the jail; the launch child kills the jail's cgroup).
//
//   clone, then jail-init (PID 1)         launch child (network namespace and cgroup come before clone3)
//                       <-------------    kMapped   the id maps are written and the namespaces pinned
//   (root, /usr, /dev, /proc, tmpfs ...)  (id-maps the client's mounts, awaits the audit record's ack)
//                       <-------------    kAcked    the launch is on record: client files may come in
//   (binds, pivot, capabilities, exec of jail-init, Landlock, filter, the first job up to its exec)
//   kReady              ------------->    reads back from the kernel what is in force, compares with the plan
//                       <-------------    kGo
//   or a SetupFailure, at any point
#pragma once

#include <cstdint>
#include <type_traits>

namespace sandboxd::wire {

enum class Sync : std::uint8_t { kMapped = 1, kAcked = 2, kReady = 3, kGo = 4 };

struct SyncRecord {
  Sync what{};
  std::uint8_t landlock_probe = 0;  // kReady: 1 when a call that only Landlock forbids was refused with EACCES
  std::uint16_t reserved = 0;
};
static_assert(std::is_trivially_copyable_v<SyncRecord> && sizeof(SyncRecord) == 4);

// A failure crosses the process boundary as one small record.
struct SetupFailure {
  std::int32_t code = 0;
  char step[24] = {};
  char text[196] = {};
};
static_assert(std::is_trivially_copyable_v<SetupFailure> && sizeof(SetupFailure) == 224);

// The descriptors that jail-init finds at its exec.
inline constexpr int kInitControlFd = 3;
inline constexpr int kInitSyncFd = 4;
inline constexpr int kInitPlanFd = 5;
inline constexpr int kInitStdioFd = 6;  // 6, 7, 8 with StdioMode::kInherit

}  // namespace sandboxd::wire
