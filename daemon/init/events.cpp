// What goes out: events to sandboxd, a failed set-up to the launch child.
#include <cerrno>

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/sys.h"
#include "daemon/init/init.h"

namespace sandboxd::init {
namespace {

constexpr std::uint64_t kReaderPatienceNsec = 30'000'000'000;

// False when the reader did not make room in time, or the jail's own deadline has passed.
bool await_room(const State& state) {
  const std::uint64_t now = now_nsec();
  std::uint64_t until = now + kReaderPatienceNsec;
  if (state.deadline_nsec != 0 && state.deadline_nsec < until) until = state.deadline_nsec;
  if (until <= now) return false;
  const timespec left{static_cast<time_t>((until - now) / 1'000'000'000),
                      static_cast<long>((until - now) % 1'000'000'000)};
  pollfd entry{wire::kInitControlFd, POLLOUT, 0};
  return sys::raw(SYS_ppoll, &entry, 1L, &left, nullptr, 0L) == 1;
}

}  // namespace

void send_event(const State& state, const wire::InitEventRecord& record, std::span<const int> fds) {
  iovec part{const_cast<wire::InitEventRecord*>(&record), sizeof record};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 3)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = &control[0];
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    __builtin_memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  // A socket whose reader is gone or does not read ends the jail: an event that is lost would be a verdict that is wrong.
  for (;;) {
    const long sent = sys::raw(SYS_sendmsg, wire::kInitControlFd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == sizeof record) return;
    if (sent == -EINTR) continue;
    if (sent != -EAGAIN || !await_room(state)) end_jail();
  }
}

void end_jail() {
  // The last act of a PID 1: the kernel kills everything else in its pid namespace (pid_namespaces(7)).
  for (;;) sys::raw(SYS_exit_group, 0);
}

void give_up(const char* step, const Outcome& why) {
  wire::SetupFailure failure{};
  failure.code = static_cast<std::int32_t>(-why.code);
  copy_text(failure.step, sizeof failure.step, step);
  copy_text(failure.text, sizeof failure.text, why.text);
  sys::raw(SYS_write, wire::kInitSyncFd, &failure, sizeof failure);
  end_jail();
}

}  // namespace sandboxd::init
