#include "daemon/launcher/namespaces.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>

#include <fcntl.h>
#include <linux/if.h>
#include <linux/nsfs.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sys.h"

namespace sandboxd::launcher {
namespace {

struct FreeSocket {
  void operator()(nl_sock* socket) const noexcept { ::nl_socket_free(socket); }
};
struct FreeCapabilities {
  void operator()(cap_t set) const noexcept { ::cap_free(set); }
};
struct FreeMessage {
  void operator()(nl_msg* message) const noexcept { ::nlmsg_free(message); }
};

std::string map_text(const std::vector<IdRange>& ranges) {
  std::string text;
  for (const IdRange& range : ranges) text += fmt::format("{} {} {}\n", range.inside, range.outside, range.count);
  return text;
}

void wait_for_ever(void*) {
  for (;;) sys::raw(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

Error nl_error(const char* what, int code) { return make_error("{}: {}", what, ::nl_geterror(code)); }

// RTM_NEWLINK of interface 1 with IFF_UP (rtnetlink(7)): in a new network namespace lo is the only interface.
Status bring_lo_up() {
  const std::unique_ptr<nl_sock, FreeSocket> socket(::nl_socket_alloc());
  const std::unique_ptr<nl_msg, FreeMessage> message(::nlmsg_alloc_simple(RTM_NEWLINK, 0));
  if (!socket || !message) return sys_error_code(ENOMEM, "allocate netlink message");
  ifinfomsg link{};
  link.ifi_family = AF_UNSPEC;
  link.ifi_index = 1;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  if (const int r = ::nlmsg_append(message.get(), &link, sizeof link, NLMSG_ALIGNTO); r < 0)
    return nl_error("bring lo up", r);
  if (const int r = ::nl_connect(socket.get(), NETLINK_ROUTE); r < 0) return nl_error("bring lo up", r);
  if (const int r = ::nl_send_auto(socket.get(), message.get()); r < 0) return nl_error("bring lo up", r);
  if (const int r = ::nl_wait_for_ack(socket.get()); r < 0) return nl_error("bring lo up", r);
  return {};
}

}  // namespace

Status write_id_maps(int proc_pid_dir, const std::vector<IdRange>& uids, const std::vector<IdRange>& gids) {
  TRY(write_file_at(proc_pid_dir, "uid_map", map_text(uids)));
  return write_file_at(proc_pid_dir, "gid_map", map_text(gids));
}

Result<UniqueFd> make_file_owner_namespace(int proc_dir, const IdRange& uid, const IdRange& gid) {
  // It shares our memory, so that no page table is copied for a process that only waits to be killed.
  alignas(16) static std::array<std::uint8_t, 4096> stack;
  const long pid = sys::clone_on_stack(CLONE_NEWUSER | CLONE_VM | SIGCHLD, stack.data() + stack.size(), nullptr,
                                       wait_for_ever, nullptr);
  if (pid < 0) return sys_error_code(static_cast<int>(-pid), "clone for a user namespace");
  const UniquePid holder(static_cast<int>(pid), UniqueFd());
  const UniqueFd dir(::openat(proc_dir, std::to_string(pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir) return sys_error("open /proc/{}", pid);
  TRY(write_id_maps(dir.get(), {uid}, {gid}));
  UniqueFd ns(::openat(dir.get(), "ns/user", O_RDONLY | O_CLOEXEC));
  if (!ns) return sys_error("open /proc/{}/ns/user", pid);
  return ns;
}

// The real and the saved id stay root's, so that the permitted capabilities do (capabilities(7)), and nobody of that id may signal
// or trace this process meanwhile; the file system's stays root's for the cgroup that the child is born in.
Result<int> clone_owned(clone_args& args, std::uint32_t owner) {
  const std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCapabilities> held(::cap_get_proc());
  if (!held) return sys_error("cap_get_proc");
  constexpr auto kSame = static_cast<uid_t>(-1);
  if (::setresuid(kSame, owner, kSame) < 0) return sys_error("setresuid to the owner of the jail's user namespace");
  ::setfsuid(0);
  const bool ready = ::cap_set_proc(held.get()) == 0;
  const long pid = ready ? ::syscall(SYS_clone3, &args, sizeof args) : -1;
  if (pid == 0) return 0;
  const Error failed = sys_error("{}", ready ? "clone3" : "cap_set_proc");
  if (::setresuid(kSame, 0, kSame) < 0) return sys_error("setresuid back");
  if (pid < 0) return failed;
  return static_cast<int>(pid);
}

Status enter_new_network() {
  if (::unshare(CLONE_NEWNET) < 0) return sys_error("unshare network namespace");
  return bring_lo_up();
}

Status enter_network(int network) {
  if (::setns(network, CLONE_NEWNET) < 0) return sys_error("setns to a network namespace");
  return {};
}

Result<uid_t> namespace_owner(int proc_pid_dir) {
  const UniqueFd fd(::openat(proc_pid_dir, "ns/user", O_RDONLY | O_CLOEXEC));
  if (!fd) return sys_error("open a process's user namespace");
  uid_t owner = 0;
  if (::ioctl(fd.get(), NS_GET_OWNER_UID, &owner) < 0) return sys_error("ioctl NS_GET_OWNER_UID");
  return owner;
}

Result<std::uint64_t> namespace_inode(int proc_pid_dir, const char* name) {
  struct stat info {};
  const std::string path = std::string("ns/") + name;
  if (::fstatat(proc_pid_dir, path.c_str(), &info, 0) < 0) return sys_error("stat {}", path);
  return static_cast<std::uint64_t>(info.st_ino);
}

}  // namespace sandboxd::launcher
