#include "bench/notify.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <ctime>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/socket.h"
#include "base/unique_fd.h"

namespace sandboxd::bench {
namespace {

// Names that Debian 12's header lacks (linux/seccomp.h of 6.6); the values are ABI.
constexpr std::uint64_t kSyncWakeUp = 1;
constexpr unsigned long kSetFlags = _IOW('!', 4, std::uint64_t);

std::uint64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

// getppid is told and refused. The listener goes out; an answer says that it is served; then what a call took.
[[noreturn]] void call_and_measure(int socket, int calls) {
  std::array<sock_filter, 4> filter = {{{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_getppid},
                                        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF},
                                        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}};
  const sock_fprog program{filter.size(), filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
  const UniqueFd listener(
      static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)));
  const std::array<int, 1> fds = {listener.get()};
  std::uint8_t byte = 0;
  if (!listener || !send_packet(socket, {&byte, 1}, fds).ok() || ::read(socket, &byte, 1) != 1) ::_exit(1);
  const std::uint64_t start = now();
  for (int i = 0; i < calls; ++i) {
    if (::syscall(SYS_getppid) != -1 || errno != EPERM) ::_exit(1);
  }
  const std::uint64_t each = (now() - start) / static_cast<std::uint64_t>(calls);
  ::_exit(::write(socket, &each, sizeof each) == sizeof each ? 0 : 1);
}

Status answer_one(int listener) {
  seccomp_notif notif{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) < 0) return sys_error("receive a notification");
  seccomp_notif_resp answer{};
  answer.id = notif.id;
  answer.error = -EPERM;
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) < 0) return sys_error("answer a notification");
  return {};
}

// False: this kernel doesn't have the flag.
Result<bool> serve(int socket, bool sync, int calls, Row& to) {
  TRY_ASSIGN(Packet packet, receive_packet(socket, 1, 1, 0));
  if (packet.fds.size() != 1) return make_error("no listener came");
  const int listener = packet.fds[0].get();
  if (sync && ::ioctl(listener, kSetFlags, kSyncWakeUp) < 0) return false;
  const std::uint8_t byte = 0;
  TRY(send_packet(socket, {&byte, 1}, {}));
  for (int i = 0; i < calls; ++i) TRY(answer_one(listener));
  std::uint64_t each = 0;
  if (::read(socket, &each, sizeof each) != sizeof each) return make_error("no measurement came");
  to.samples.push_back(each);
  return true;
}

Status measure_one(bool sync, int calls, Row& to) {
  std::array<int, 2> pair = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0) return sys_error("socketpair");
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  const pid_t child = ::fork();
  if (child < 0) return sys_error("fork");
  if (child == 0) call_and_measure(theirs.get(), calls);
  theirs.reset();
  const Result<bool> served = serve(ours.get(), sync, calls, to);
  ours.reset();  // what waits for us hears of it
  ::waitpid(child, nullptr, 0);
  if (!served.ok()) return served.error();
  return {};
}

}  // namespace

Status measure_notified(int calls, Notified& to) {
  TRY(measure_one(false, calls, to.plain));
  return measure_one(true, calls, to.sync);
}

}  // namespace sandboxd::bench
