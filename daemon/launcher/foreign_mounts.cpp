#include "daemon/launcher/foreign_mounts.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sanitizer.h"
#include "base/socket.h"
#include "base/sys.h"

namespace sandboxd::launcher {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

constexpr std::array<sock_filter, 10> kFourCalls = {{
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 0, 7),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setns, 4, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open_tree, 3, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
}};

// Raw calls only: nothing between the filter and the exit may need a fifth.
[[noreturn]] void enter_and_clone(int reply, int mount_namespace, int fd, bool recursive) {
  const sock_fprog program{kFourCalls.size(), const_cast<sock_filter*>(kFourCalls.data())};
  struct {
    std::int32_t code;
  } result{0};
  long tree = sys::raw(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
  if (tree >= 0) tree = sys::raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
  if (tree < 0) sys::raw(SYS_exit_group, 2);
  tree = sys::raw(SYS_setns, mount_namespace, CLONE_NEWNS);
  if (tree >= 0)
    tree = sys::raw(SYS_open_tree, fd, "",
                    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0));
  result.code = tree < 0 ? static_cast<std::int32_t>(-tree) : 0;
  iovec part{&result, sizeof result};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (tree >= 0) {
    header.msg_control = &control[0];
    header.msg_controllen = sizeof control;
    auto* c = reinterpret_cast<cmsghdr*>(&control[0]);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = static_cast<int>(tree);
    __builtin_memcpy(CMSG_DATA(c), &number, sizeof number);
  }
  sys::raw(SYS_sendmsg, reply, &header, MSG_NOSIGNAL);
  for (;;) sys::raw(SYS_exit_group, 0);
}

}  // namespace

Result<UniqueFd> clone_in_namespace(int mount_namespace, int fd, bool recursive) {
  TRY_ASSIGN(auto pair, socket_pair(SOCK_SEQPACKET));
  const pid_t child = fork_single_threaded();
  if (child < 0) return sys_error("fork");
  if (child == 0) enter_and_clone(pair.second.get(), mount_namespace, fd, recursive);
  const UniquePid owner(child, UniqueFd());
  pair.second.reset();
  TRY_ASSIGN(const bool ready, wait_readable(pair.first.get(), monotonic_usec() + 5'000'000));
  if (!ready) return sys_error_code(ETIMEDOUT, "enter the client's mount namespace");
  TRY_ASSIGN(Packet packet, receive_packet(pair.first.get(), sizeof(std::int32_t), 1));
  if (packet.bytes.size() != sizeof(std::int32_t)) return sys_error_code(ECHILD, "enter the client's mount namespace");
  std::int32_t code = 0;
  __builtin_memcpy(&code, packet.bytes.data(), sizeof code);
  if (code != 0 || packet.fds.size() != 1)
    return sys_error_code(code == 0 ? EPROTO : code, "open_tree in the client's mount namespace");
  return std::move(packet.fds.front());
}

}  // namespace sandboxd::launcher
