// Runs a program under a seccomp filter that asks the test before each of the set-up calls (seccomp_unotify(2)), so that a
// test can refuse any one of them. usage: call_gate SOCKET_FD PROGRAM [ARGUMENT...]; the listener goes out by SCM_RIGHTS.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

#if defined(__x86_64__)
constexpr unsigned kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr unsigned kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// open_tree, move_mount, fsopen, fsconfig, fsmount, mount_setattr and Landlock's three: one number on all architectures.
constexpr unsigned kGated[] = {428,         429,           430,
                               431,         432,           442,
                               444,         445,           446,
                               SYS_unshare, SYS_setns,     SYS_pivot_root,
                               SYS_umount2, SYS_clone3,    SYS_sethostname,
                               SYS_seccomp, SYS_setresuid, SYS_capset};

sock_filter statement(unsigned short code, unsigned value) { return sock_filter{code, 0, 0, value}; }

int install() {
  std::vector<sock_filter> program = {statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
                                      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, kArchitecture},
                                      statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                                      statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const unsigned number : kGated) {
    program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, number});
    program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  }
  program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
}

bool hand_over(int socket, int listener) {
  char byte = 'l';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = &control[0];
  message.msg_controllen = sizeof control;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(head), &listener, sizeof listener);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int socket = std::atoi(argv[1]);
  const int listener = install();
  if (listener < 0 || !hand_over(socket, listener)) {
    std::perror("call_gate");
    return 77;
  }
  ::close(listener);
  ::close(socket);
  ::execv(argv[2], argv + 2);
  return 126;
}
