// What sandboxd and a jail's PID 1 say to each other over the jail's control socket (SOCK_SEQPACKET): one trivially copyable
// record a packet. sandboxd treats everything that comes from jail-init as hostile: sizes, enums and descriptors are checked,
// and a descriptor that is not a FIFO ends the jail. jail-init kills the jail when the socket closes.
#pragma once

#include <cstdint>
#include <type_traits>

namespace sandboxd::wire {

enum class InitEvent : std::uint32_t {
  kStreams =
      1,  // descriptors: stdin's write end, stdout's and stderr's read ends (StdioMode::kPipes only), before the job's exec
  kJobStarted = 2,  // exec succeeded; value = pid in the jail
  kJobFailed = 3,   // the job never ran: step, code (errno) and text say why
  kJobExited = 4,   // value = wait status (wait(2)); usage filled
  kWallTime = 5,    // jail-init's own deadline passed; it has killed the jail's processes
};
enum class InitCommand : std::uint32_t {
  kSignal = 1,     // value = signal number, to the job's process group
  kSignalAll = 2,  // value = signal number, to every process of the jail but PID 1
  kEnd = 3,        // kill everything and exit
};

struct InitEventRecord {
  InitEvent event{};
  std::int32_t value = 0;
  std::int32_t code = 0;
  std::uint32_t reserved = 0;
  std::uint64_t user_usec = 0;
  std::uint64_t system_usec = 0;
  std::uint64_t max_rss_bytes = 0;
  char step[24] = {};
  char text[120] = {};
};
static_assert(std::is_trivially_copyable_v<InitEventRecord> && sizeof(InitEventRecord) == 184);

struct InitCommandRecord {
  InitCommand command{};
  std::int32_t value = 0;
};
static_assert(std::is_trivially_copyable_v<InitCommandRecord> && sizeof(InitCommandRecord) == 8);

}  // namespace sandboxd::wire
