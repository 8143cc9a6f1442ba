// The system call interface: other ABIs, unknown numbers, arguments with high bits, io_uring, socket families, calls that
// administer the host.
#include <csetjmp>
#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/quota.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::reached;
using probe::refused;
using probe::through;
using probe::tried;

#if defined(__x86_64__)
sigjmp_buf g_back;
void on_fault(int) { siglongjmp(g_back, 1); }

// The i386 numbers through int 0x80; a kernel without that ABI raises SIGSEGV.
long compat(long number, long a = 0, long b = 0, long c = 0) {
  if (sigsetjmp(g_back, 1) != 0) return -ENOSYS;
  std::signal(SIGSEGV, on_fault);
  long result = 0;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(number), "b"(a), "c"(b), "d"(c)
                   : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int>(result);
}

void tried_raw(const char* name, long result) {
  errno = result < 0 ? static_cast<int>(-result) : 0;
  tried(name, result < 0 ? -1 : 0);
}

void check_foreign(char**) {
  constexpr long kX32 = 0x40000000;
  tried_raw("i386-getpid", compat(20));
  tried_raw("i386-unshare-user", compat(310, 0x10000000));
  // socketcall(SYS_SOCKET, {AF_ALG, SOCK_SEQPACKET, 0}): the family lies behind a pointer, which must be below 4 GiB.
  auto* words = static_cast<unsigned*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  words[0] = AF_INET;
  words[1] = SOCK_DGRAM;
  tried_raw("i386-socketcall", compat(102, 1, static_cast<long>(reinterpret_cast<std::uintptr_t>(words))));
  tried_raw("i386-ipc", compat(117, 2, 0, 0) == -ENOSYS ? -ENOSYS : 0);
  tried("x32-getpid", ::syscall(kX32 | SYS_getpid));
  tried("x32-unshare", ::syscall(kX32 | SYS_unshare, 0));
  tried("x32-ptrace", ::syscall(kX32 | 521, 0, 0, 0, 0));
}
#else
void check_foreign(char**) { refused("none", ENOSYS); }
#endif

void check_unknown(char**) {
  for (long number = 600; number <= 1000; ++number) {
    if (::syscall(number, 0, 0, 0, 0, 0, 0) >= 0 || errno != ENOSYS) through("number", std::to_string(number));
  }
  refused("600-1000", ENOSYS);
  reached("clone3", ::syscall(SYS_clone3, nullptr, 0));
  reached("openat2", ::syscall(437, AT_FDCWD, "/", nullptr, 0));
  reached("fchmodat2", ::syscall(452, -1, "", 0, 0));
}

// A thread, files, a child: what the C library makes of calls that it was told do not exist. Each must get through.
void check_fallbacks(char**) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(7);
  int status = 0;
  tried("fork", ::waitpid(child, &status, 0));
  const int fd = ::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  tried("open", fd);
  tried("access", ::faccessat(AT_FDCWD, "/usr", R_OK, AT_EACCESS));
}

void check_terminal(char**) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || ::grantpt(master) < 0 || ::unlockpt(master) < 0) return refused("pty", errno);
  const char* name = ::ptsname(master);
  ::setsid();
  const int slave = ::open(name, O_RDWR);
  if (slave < 0) return refused("pty", errno);
  ::ioctl(slave, TIOCSCTTY, 0);
  char typed = 'x';
  const auto call = [&](const char* what, unsigned long request) {
    tried(what, ::syscall(SYS_ioctl, slave, request, &typed));
  };
  call("TIOCSTI", TIOCSTI);
  call("TIOCSTI-high-bits", static_cast<unsigned long>(TIOCSTI) | 1UL << 32);
  call("TIOCSTI-all-high-bits", static_cast<unsigned long>(TIOCSTI) | 0xFFFFFFFFUL << 32);
  int discipline = 0;
  tried("TIOCSETD", ::syscall(SYS_ioctl, slave, static_cast<unsigned long>(TIOCSETD) | 1UL << 32, &discipline));
  typed = 2;
  const long linux_call = ::syscall(SYS_ioctl, slave, static_cast<unsigned long>(TIOCLINUX) | 1UL << 32, &typed);
  tried("TIOCLINUX", linux_call);
}

void check_io_uring(char**) {
  io_uring_params params{};
  tried("setup", ::syscall(SYS_io_uring_setup, 4, &params));
  reached("enter", ::syscall(SYS_io_uring_enter, -1, 0, 0, 0, nullptr, 0));
  reached("register", ::syscall(SYS_io_uring_register, -1, 0, nullptr, 0));
}

struct Family {
  const char* name;
  int family, type, protocol;
};
constexpr Family kFamilies[] = {
    {"unix", AF_UNIX, SOCK_STREAM, 0},
    {"vsock", AF_VSOCK, SOCK_STREAM, 0},
    {"alg", AF_ALG, SOCK_SEQPACKET, 0},
    {"packet", AF_PACKET, SOCK_RAW, 0},
    {"key", AF_KEY, SOCK_RAW, 2},
    {"rxrpc", AF_RXRPC, SOCK_DGRAM, 0},
    {"tipc", AF_TIPC, SOCK_RDM, 0},
    {"xdp", 44, SOCK_RAW, 0},
    {"can", AF_CAN, SOCK_RAW, 1},
    {"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
    {"smc", 43, SOCK_STREAM, 0},
    {"mptcp", AF_INET, SOCK_STREAM, 262},
    {"raw", AF_INET, SOCK_RAW, 1},
    {"sctp", AF_INET, SOCK_STREAM, 132},
    {"netlink-audit", AF_NETLINK, SOCK_RAW, 9},
    {"netlink-netfilter", AF_NETLINK, SOCK_RAW, 12},
    {"netlink-xfrm", AF_NETLINK, SOCK_RAW, 6},
    {"netlink-uevent", AF_NETLINK, SOCK_RAW, 15},
    {"netlink-generic", AF_NETLINK, SOCK_RAW, 16},
    {"netlink-connector", AF_NETLINK, SOCK_RAW, 11},
    {"netlink-diag", AF_NETLINK, SOCK_RAW, 4},
    {"x25", AF_X25, SOCK_SEQPACKET, 0},
    {"kcm", 41, SOCK_DGRAM, 0},
    {"qipcrtr", 42, SOCK_DGRAM, 0},
};

void check_sockets(char**) {
  for (const Family& row : kFamilies) tried(row.name, ::socket(row.family, row.type | SOCK_CLOEXEC, row.protocol));
  // High bits of the arguments, which the kernel does not look at.
  tried("alg-high-bits", ::syscall(SYS_socket, AF_ALG | 1L << 32, SOCK_SEQPACKET, 0));
  tried("netlink-high-bits", ::syscall(SYS_socket, AF_NETLINK | 1L << 32, SOCK_RAW, 12 | 1L << 32));
}

// In strict no netlink at all; in default NETLINK_ROUTE, since getifaddrs needs it. ARGUMENT: none.
void check_route(char**) {
  tried("netlink-route", ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
  tried("inet", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

// Arguments that do nothing even for root: "reached" tells whether the kernel looked at them.
void check_administration(char**) {
  char byte = 0;
  bpf_attr attr{};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = attr.value_size = 4;
  attr.max_entries = 1;
  tried("bpf", ::syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr));
  perf_event_attr perf{};
  perf.type = PERF_TYPE_SOFTWARE;
  perf.size = sizeof perf;
  perf.config = PERF_COUNT_SW_CPU_CLOCK;
  tried("perf_event_open", ::syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0));
  tried("userfaultfd", ::syscall(SYS_userfaultfd, O_CLOEXEC | 1));
  reached("kexec_load", ::syscall(SYS_kexec_load, 0, 99, nullptr, 0xFFFF));
  reached("init_module", ::syscall(SYS_init_module, nullptr, 0, ""));
  reached("finit_module", ::syscall(SYS_finit_module, -1, "", 0));
  reached("delete_module", ::syscall(SYS_delete_module, nullptr, 0));
  reached("mount", ::syscall(SYS_mount, "", "/nowhere", "", 0, nullptr));
  reached("umount2", ::syscall(SYS_umount2, "/nowhere", 0));
  reached("pivot_root", ::syscall(SYS_pivot_root, "/nowhere", "/nowhere"));
  reached("fsopen", ::syscall(430, "tmpfs", 0));
  reached("fsconfig", ::syscall(431, -1, 0, nullptr, nullptr, 0));
  reached("fspick", ::syscall(433, AT_FDCWD, "/nowhere", 0));
  reached("open_tree", ::syscall(428, AT_FDCWD, "/", 1));
  reached("mount_setattr", ::syscall(442, AT_FDCWD, "/nowhere", 0, &byte, 0));
  reached("process_madvise", ::syscall(440, -1, &byte, 1, 0, 0));
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  reached("ptrace", ::syscall(SYS_ptrace, 0x4206 /* PTRACE_SEIZE */, child, 0, 0));
  ::kill(child, SIGKILL);
  reached("swapon", ::syscall(SYS_swapon, "/nowhere", 0));
  reached("swapoff", ::syscall(SYS_swapoff, "/nowhere"));
  reached("acct", ::syscall(SYS_acct, "/nowhere"));
  reached("syslog", ::syscall(SYS_syslog, 10, nullptr, 0));
  reached("settimeofday", ::syscall(SYS_settimeofday, reinterpret_cast<void*>(8), nullptr));
  reached("clock_settime", ::syscall(SYS_clock_settime, 99, nullptr));
  reached("quotactl", ::syscall(SYS_quotactl, QCMD(Q_SYNC, USRQUOTA), "/nowhere", 0, nullptr));
  reached("reboot", ::syscall(SYS_reboot, 0, 0, 0, nullptr));
  reached("sethostname", ::syscall(SYS_sethostname, nullptr, 9999));
  reached("chroot", ::syscall(SYS_chroot, "/nowhere"));
  int pipe_ends[2] = {-1, -1};
  if (::pipe2(&pipe_ends[0], O_CLOEXEC) == 0) reached("vmsplice", ::syscall(SYS_vmsplice, pipe_ends[1], nullptr, 0, 0));
  reached("kcmp", ::syscall(SYS_kcmp, ::getpid(), ::getpid(), 2, 0, 0));
  reached("personality-no-randomize", ::personality(ADDR_NO_RANDOMIZE));
  reached("personality-read-implies-exec", ::personality(READ_IMPLIES_EXEC));
#if defined(__x86_64__)
  reached("iopl", ::syscall(SYS_iopl, 0));
  reached("ioperm", ::syscall(SYS_ioperm, 0, 0, 0));
  reached("modify_ldt", ::syscall(SYS_modify_ldt, 0, &byte, 0));
#endif
}

constexpr probe::Check kChecks[] = {
    {"foreign", 0, check_foreign},     {"unknown", 0, check_unknown},
    {"fallbacks", 0, check_fallbacks}, {"terminal", 0, check_terminal},
    {"io-uring", 0, check_io_uring},   {"sockets", 0, check_sockets},
    {"route", 0, check_route},         {"administration", 0, check_administration},
};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
