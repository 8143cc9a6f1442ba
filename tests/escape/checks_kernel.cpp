// procfs and sysfs, privileges, the system call interface, sockets, other processes.
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "tests/escape/check_groups.h"

namespace sandboxd::test {
namespace {

void listen_outside(Ground& ground) {
  static int count = 0;
  const std::string abstract = fmt::format("@sandboxd-test-{}-{}", ::getpid(), count);
  const std::string datagram = fmt::format("{}/datagram-{}", ground.stack().dir().path(), count++);
  ground.name("abstract", abstract);
  ground.name("datagram", datagram);
  ground.listen(abstract, SOCK_STREAM);
  ground.listen(datagram, SOCK_DGRAM);
}

void listen_in_workspace(Ground& ground) {
  ground.name("agent", ground.workspace() + "/agent");
  ground.listen(ground.workspace() + "/agent", SOCK_STREAM);
}

void share_outside(Ground& ground) {
  const key_t key = 0x5A000000 | ::getpid();
  const std::string name = fmt::format("sandboxd-test-{}", ::getpid());
  const std::string file = "/dev/shm/" + name;
  const int memory = ::shmget(key, 4096, IPC_CREAT | 0666);
  const int messages = ::msgget(key, IPC_CREAT | 0666);
  const int semaphores = ::semget(key, 1, IPC_CREAT | 0666);
  const mqd_t queue = ::mq_open(("/" + name).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666, nullptr);
  ground.keep(UniqueFd(queue));
  ground.keep(UniqueFd(::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666)));
  ASSERT_TRUE(memory >= 0 && messages >= 0 && semaphores >= 0 && queue >= 0) << std::strerror(errno);
  ::fchmod(queue, 0666);
  ::chmod(file.c_str(), 0666);
  ground.name("key", std::to_string(key));
  ground.name("name", name);
  ground.afterwards([=] {
    ::shmctl(memory, IPC_RMID, nullptr);
    ::msgctl(messages, IPC_RMID, nullptr);
    ::semctl(semaphores, 0, IPC_RMID);
    ::mq_unlink(("/" + name).c_str());
    ::unlink(file.c_str());
  });
}

void listen_on_loopback(Ground& ground) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd.get(), 64), 0);
  ASSERT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  ground.name("port", std::to_string(::ntohs(address.sin_port)));
  ground.keep(std::move(fd));
}

const OnPurpose kNestedNamespaces = {
    "nested",
    {"clone-user", "clone-user+user", "clone-user+mnt", "clone-user+pid", "clone-user+ipc", "clone-user+uts",
     "clone-user+cgroup", "unshare-user+user", "unshare-user+mnt", "unshare-user+pid", "unshare-user+ipc",
     "unshare-user+uts", "unshare-user+cgroup"},
    "namespaces of its own, without a network, are what it is for"};

}  // namespace

std::vector<Check> proc_checks() {
  return {
      {.id = "E17",
       .name = "ProcAndSysRead",
       .what =
           "reads what /proc and /sys tell of the host: kcore, kallsyms, keys, locks, interrupts, firmware, sensors",
       .origin = "runc's and containerd's masked paths; CVE-2020-8694 (power sensors)",
       .command = {"probe_proc", "read"},
       .shown = {"/proc/kallsyms", "/proc/iomem", "/proc/interrupts", "/proc/locks", "/sys/class", "/sys/kernel"},
       .outside = 0},
      {.id = "E18",
       .name = "ProcAndSysWrite",
       .what = "opens the kernel's knobs for writing: core_pattern, modprobe, uevent_helper, sysrq, cgroup files",
       .origin = "core_pattern and uevent_helper escapes; CVE-2022-0492",
       .command = {"probe_proc", "write"},
       .shown = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/1/oom_score_adj"},
       .outside = 0},
      {.id = "E20",
       .name = "FreshProc",
       .what = "mounts a procfs and a sysfs of its own, in a user namespace of its own where it gets one",
       .origin = "mount_too_revealing(); crun#2086",
       .command = {"probe_proc", "fresh"},
       .shown = {"unshare"},
       .host_may_refuse = {"unshare"}},
      {.id = "E61",
       .name = "HostIdentity",
       .what = "reads what the host is known by: machine ids, the firmware's, the boot's",
       .origin = "tracking across jails",
       .command = {"probe_self", "host-identity"},
       .shown = {"machine-id", "boot-id"},
       .host_may_refuse = {"machine-id"}},
      {.id = "E62",
       .name = "RootsOfProc",
       .what = "goes through the root, the working directory and the mapped files of processes that /proc shows",
       .origin = "CVE-2024-21626 and its kin",
       .command = {"probe_self", "roots", "{marker}"},
       .shown = {"plain", "/proc/self/root", "/proc/thread-self/root"}},
      {.id = "E80",
       .name = "CoreLimit",
       .what = "takes its core limit to 0, where the kernel would start the host's core_pattern helper again",
       .origin = "fs/coredump.c: only a limit of exactly 1 keeps a pipe helper from starting",
       .command = {"probe_proc", "core-limit"},
       .shown = {"prlimit64", "prlimit64-pid"}},
  };
}

std::vector<Check> privilege_checks() {
  return {
      {.id = "E24",
       .name = "Privileges",
       .what = "holds a capability in any set or a group of the daemon's, or lacks no_new_privs or a filter",
       .origin = "CVE-2022-29162, CVE-2022-27650, CVE-2014-8989, nsjail#288",
       .command = {"probe_privs", "status"},
       .shown = {"CapEff", "CapBnd", "CapPrm", "NoNewPrivs", "Seccomp"},
       .outside = 0},
      {.id = "E26",
       .name = "Namespaces",
       .what = "makes namespaces by clone, clone3 and unshare, joins one by setns",
       .origin = "what some forty kernel CVEs of netfilter and traffic control need",
       .command = {"probe_privs", "namespaces"},
       .shown = {"clone-user", "clone-user+net", "clone3-user", "unshare-user+user", "unshare-user+net",
                 "unshare-user+mnt", "setns"},
       .host_may_refuse = {"clone-user"},
       .on_purpose = {kNestedNamespaces}},
      {.id = "E27",
       .name = "Handles",
       .what = "opens the root of the disk by its inode number, below a mount that shows a part of it",
       .origin = "\"Shocker\"; CAP_DAC_READ_SEARCH",
       .command = {"probe_privs", "handles", "/usr"},
       .shown = {"name_to_handle_at", "open_by_handle_at"},
       .outside = 0},
      {.id = "E27",
       .name = "FirstProcess",
       .what = "reads, traces, signals, stops or limits the jail's first process",
       .origin = "CVE-2016-9962, CVE-2019-5736, CVE-2026-41163; E71",
       .command = {"probe_privs", "process", "1"},
       .shown = {"mem", "environ", "fd", "process_vm_readv", "prlimit-nofile", "setpriority", "kill", "ptrace-seize",
                 "tgkill", "pidfd_send_signal", "ioprio_set"},
       .control = {"probe_privs", "process", "child"}},
      {.id = "E28",
       .name = "Keyrings",
       .what = "reads and fills the user's and the session's keyring",
       .origin = "keyrings are not namespaced; CVE-2016-0728",
       .command = {"probe_privs", "keys"},
       .shown = {"user-keyring", "add_key"}},
  };
}

std::vector<Check> call_checks() {
  return {
      {.id = "E30",
       .name = "ForeignAbis",
       .what = "makes refused calls by their x32 and i386 numbers, and by i386's socketcall",
       .origin = "CVE-2014-4508; seccompiler#74; the AF_ALG bypass of CVE-2026-31431",
       .command = {"probe_abi", "foreign"},
       .shown = {"i386-getpid", "i386-socketcall"},
       .outside = 0,
       .host_may_refuse = {"i386-getpid", "i386-socketcall"}},
      {.id = "E31",
       .name = "UnknownCalls",
       .what = "makes calls that no rule names, clone3 and openat2 among them",
       .origin = "runc#2750: what is new is refused as if it were not there",
       .command = {"probe_abi", "unknown"},
       .shown = {"clone3", "openat2"}},
      {.id = "E32",
       .name = "TerminalInput",
       .what = "types into a terminal by TIOCSTI and TIOCLINUX, with high bits set as well",
       .origin = "CVE-2017-5226, CVE-2019-10063, CVE-2019-7303",
       .command = {"probe_abi", "terminal"},
       .shown = {"TIOCSTI", "TIOCSTI-high-bits", "TIOCSTI-all-high-bits", "TIOCSETD"},
       .outside = 0},
      {.id = "E33",
       .name = "IoUring",
       .what = "sets an io_uring up, whose requests no filter sees",
       .origin = "ten kernel CVEs; nsjail#341",
       .command = {"probe_abi", "io-uring"},
       .shown = {"setup", "enter", "register"},
       .outside = 0,
       .host_may_refuse = {"setup"}},
      {.id = "E34",
       .name = "SocketFamilies",
       .what = "makes sockets of every family but TCP's, UDP's and routing's: AF_ALG, vsock, packet, xdp, rxrpc ...",
       .origin = "CVE-2026-31431, CVE-2025-21756, CVE-2025-38618, CVE-2026-43500",
       .command = {"probe_abi", "sockets"},
       .shown = {"unix", "packet", "netlink-generic", "netlink-uevent", "raw", "netlink-high-bits"},
       .outside = 0},
      {.id = "E35",
       .name = "Administration",
       .what = "calls that administer or debug: bpf, perf, userfaultfd, mount, modules, kexec, ptrace, quota, swap ...",
       .origin = "CVE-2022-0185 (fsconfig); the kernel's CVE lists",
       .command = {"probe_abi", "administration"},
       .shown = {"bpf", "perf_event_open", "userfaultfd", "mount", "fsopen", "open_tree", "process_madvise", "ptrace",
                 "settimeofday", "vmsplice", "kcmp", "personality-no-randomize", "personality-read-implies-exec"},
       .outside = 0,
       .on_purpose = {{"nested",
                       {"chroot", "mount", "umount2"},
                       "roots and mounts in namespaces of its own; the host's and the jail's refuse them (E14)"}}},
  };
}

std::vector<Check> socket_checks() {
  return {
      {.id = "E38",
       .name = "HostSockets",
       .what = "connects to the host's sockets: abstract, sandboxd's own, a datagram socket in a folder that is shown",
       .origin = "CVE-2020-15257; D-Bus, container engines, agents and displays are such sockets",
       .command = {"probe_ipc", "connect", "{abstract}", "{socket}", "{broker}", "{datagram}"},
       .shown = {"{abstract}-stream", "{socket}-stream", "{datagram}-datagram", "{datagram}-pair"},
       .options = {"--ro-bind", "{dir}"},
       .prepare = listen_outside},
      {.id = "E40",
       .name = "SharedObjects",
       .what = "opens the host's System V objects, POSIX queues and shared memory, which everybody may open",
       .origin = "isolate 2.4 to 2.6",
       .command = {"probe_ipc", "shared", "{key}", "{name}"},
       .shown = {"shmget", "msgget", "semget", "mq_open", "dev-shm"},
       .prepare = share_outside},
      {.id = "E85",
       .name = "HugePages",
       .what = "takes of the host's reserve of huge pages, which no memory limit counts",
       .origin = "found here; vm.nr_hugepages",
       .command = {"probe_ipc", "huge-pages"},
       .shown = {"huge-mmap", "huge-memfd"},
       .host_may_refuse = {"huge-mmap", "huge-memfd"}},
      {.id = "E54",
       .name = "HostLoopback",
       .what = "connects to a service that listens on the host's loopback, by IPv4 and by a mapped address",
       .origin = "databases, caches and metadata services that trust whoever is local",
       .command = {"probe_ipc", "loopback", "{port}"},
       .shown = {"tcp", "tcp-mapped"},
       .prepare = listen_on_loopback,
       .on_purpose = {{"host-network", {"tcp", "tcp-mapped"}, "the host's network is what it is for"}}},
      {.id = "E68",
       .name = "CallersSockets",
       .what = "connects to a socket of the caller's own, in a workspace that it may write",
       .origin = "ssh and gpg agents in a home directory",
       .command = {"probe_ipc", "connect", "{agent}"},
       .shown = {"{agent}-stream"},
       .workspace = Workspace::kWritable,
       .prepare = listen_in_workspace},
  };
}

}  // namespace sandboxd::test
