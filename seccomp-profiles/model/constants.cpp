#include "seccomp-profiles/model/constants.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/result.h"

namespace sandboxd::filters {
namespace {

struct Constant {
  std::string_view name;
  std::uint64_t value;
};

// Numbers are spelt out where the build host's headers may be older than the constant.
constexpr std::array kConstants = {
    Constant{"AF_INET", 2},
    Constant{"AF_INET6", 10},
    Constant{"AF_NETLINK", 16},
    Constant{"AF_UNIX", 1},
    // Every namespace flag that clone(2) takes. CLONE_NEWTIME (0x80) is not one: there it is a bit of the exit signal.
    Constant{"CLONE_NEW_ANY", 0x7E020000},
    Constant{"CLONE_NEWCGROUP", 0x02000000},
    Constant{"CLONE_NEWIPC", 0x08000000},
    Constant{"CLONE_NEWNET", 0x40000000},
    Constant{"CLONE_NEWNS", 0x00020000},
    Constant{"CLONE_NEWPID", 0x20000000},
    Constant{"CLONE_NEWUSER", 0x10000000},
    Constant{"CLONE_NEWUTS", 0x04000000},
    Constant{"F_NOTIFY", 1026},
    Constant{"F_SETLEASE", 1024},
    Constant{"F_SET_FILE_RW_HINT", 1038},
    Constant{"F_SET_RW_HINT", 1036},
    Constant{"IPPROTO_TCP", 6},
    Constant{"IPPROTO_UDP", 17},
    Constant{"MAP_HUGETLB", 0x40000},
    Constant{"MFD_HUGETLB", 4},
    Constant{"NETLINK_ROUTE", 0},
    Constant{"O_CREAT", 0100},
    Constant{"O_TMPFILE_BIT", 020000000},  // O_TMPFILE without O_DIRECTORY, which is another number on aarch64
    Constant{"PER_QUERY", 0xFFFFFFFF},     // personality(2): ask, change nothing
    Constant{"PROT_EXEC", 4},
    Constant{"PROT_WRITE", 2},
    Constant{"PR_CAPBSET_DROP", 24},
    Constant{"PR_CAPBSET_READ", 23},
    Constant{"PR_CAP_AMBIENT", 47},
    Constant{"PR_GET_DUMPABLE", 3},
    Constant{"PR_GET_KEEPCAPS", 7},
    Constant{"PR_GET_NAME", 16},
    Constant{"PR_GET_NO_NEW_PRIVS", 39},
    Constant{"PR_GET_PDEATHSIG", 2},
    Constant{"PR_GET_SECCOMP", 21},
    Constant{"PR_GET_SECUREBITS", 27},
    Constant{"PR_GET_TIMERSLACK", 30},
    Constant{"PR_GET_THP_DISABLE", 42},
    Constant{"PR_SCHED_CORE", 62},
    Constant{"PR_SET_CHILD_SUBREAPER", 36},
    Constant{"PR_SET_DUMPABLE", 4},
    Constant{"PR_SET_IO_FLUSHER", 57},
    Constant{"PR_SET_KEEPCAPS", 8},
    Constant{"PR_SET_MM", 35},
    Constant{"PR_SET_NAME", 15},
    Constant{"PR_SET_NO_NEW_PRIVS", 38},
    Constant{"PR_SET_PDEATHSIG", 1},
    Constant{"PR_SET_SECCOMP", 22},
    Constant{"PR_SET_SECUREBITS", 28},
    Constant{"PR_SET_THP_DISABLE", 41},
    Constant{"PR_SET_TIMERSLACK", 29},
    Constant{"PR_SET_TSC", 26},
    Constant{"PR_SET_VMA", 0x53564D41},
    Constant{"PR_TASK_PERF_EVENTS_DISABLE", 31},
    Constant{"PR_TASK_PERF_EVENTS_ENABLE", 32},
    Constant{"RLIMIT_CORE", 4},
    Constant{"SECCOMP_FILTER_FLAG_NEW_LISTENER", 8},
    Constant{"SECCOMP_SET_MODE_FILTER", 1},
    Constant{"SHM_HUGETLB", 04000},
    Constant{"SOCK_DGRAM", 2},
    Constant{"SOCK_SEQPACKET", 5},
    Constant{"SOCK_STREAM", 1},
    Constant{"SOCK_TYPE_MASK", 15},  // what is left of a socket type without SOCK_CLOEXEC and SOCK_NONBLOCK
    Constant{"SOL_TCP", 6},
    Constant{"S_IFBLK", 0060000},
    Constant{"S_IFCHR", 0020000},
    Constant{"S_IFMT", 0170000},
    Constant{"S_ISGID", 02000},
    Constant{"S_ISUID", 04000},
    Constant{"TCP_ULP", 31},
    Constant{"TIOCLINUX", 0x541C},
    Constant{"TIOCSETD", 0x5423},
    Constant{"TIOCSTI", 0x5412},
};
static_assert(AF_INET == 2 && AF_INET6 == 10 && AF_NETLINK == 16 && AF_UNIX == 1 && NETLINK_ROUTE == 0);
static_assert((CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER |
               CLONE_NEWUTS) == 0x7E020000);
static_assert(F_NOTIFY == 1026 && F_SET_FILE_RW_HINT == 1038 && F_SET_RW_HINT == 1036);
static_assert(IPPROTO_TCP == 6 && IPPROTO_UDP == 17 && O_CREAT == 0100 && (O_TMPFILE & ~O_DIRECTORY) == 020000000);
static_assert(F_SETLEASE == 1024 && MAP_HUGETLB == 0x40000 && MFD_HUGETLB == 4 && SHM_HUGETLB == 04000);
static_assert(PR_SCHED_CORE == 62 && PR_SET_MM == 35 && PR_SET_IO_FLUSHER == 57 && PR_SET_VMA == 0x53564D41);
static_assert(RLIMIT_CORE == 4 && SECCOMP_FILTER_FLAG_NEW_LISTENER == 8 && SECCOMP_SET_MODE_FILTER == 1);
static_assert(SOCK_DGRAM == 2 && SOCK_SEQPACKET == 5 && SOCK_STREAM == 1 && SOL_TCP == 6 && TCP_ULP == 31);
static_assert(S_IFBLK == 0060000 && S_IFCHR == 0020000 && S_IFMT == 0170000 && S_ISGID == 02000 && S_ISUID == 04000);
static_assert(TIOCLINUX == 0x541C && TIOCSETD == 0x5423 && TIOCSTI == 0x5412);

std::optional<std::uint64_t> parse_number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.front() == '0') {
    base = 8;
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> one_value(std::string_view text) {
  for (const Constant& constant : kConstants) {
    if (constant.name == text) return constant.value;
  }
  return parse_number(text);
}

constexpr auto kNames = [] {
  std::array<std::string_view, kConstants.size()> names{};
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kConstants[i].name;
  return names;
}();

}  // namespace

std::optional<std::uint64_t> constant_value(std::string_view text) {
  std::uint64_t value = 0;
  for (;;) {
    const std::size_t bar = text.find('|');
    const auto part = one_value(text.substr(0, bar));
    if (!part) return std::nullopt;
    value |= *part;
    if (bar == std::string_view::npos) return value;
    text.remove_prefix(bar + 1);
  }
}

std::span<const std::string_view> constant_names() { return kNames; }

std::optional<std::uint16_t> errno_value(std::string_view name) {
  for (std::uint16_t code = 1; code < 134; ++code) {
    if (errno_name(code) == name) return code;
  }
  return std::nullopt;
}

}  // namespace sandboxd::filters
