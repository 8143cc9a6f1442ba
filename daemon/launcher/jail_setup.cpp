#include "daemon/launcher/jail_setup.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/path.h"
#include "base/text.h"
#include "daemon/launcher/fault.h"
#include "daemon/launcher/mounts.h"
#include "daemon/launcher/root_fill.h"
#include "daemon/wire/sync.h"

namespace sandboxd::launcher {
namespace {

constexpr std::string_view kNestedNamespaces = "256";
constexpr std::uint64_t kReadOnly = kProtected | MOUNT_ATTR_RDONLY;

// The state of the steps: the jail's root, attached in the template's /mnt.
struct Work {
  JailSetup& setup;
  UniqueFd root{};
};

Status expect(Work& work, wire::Sync what) {
  wire::SyncRecord record{};
  ssize_t got = 0;
  do {
    got = ::read(work.setup.sync.get(), &record, sizeof record);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof record && record.what == what) return {};
  ::_exit(1);  // the launch child is gone or has given up: there is nobody to tell
}

Status await_maps(Work& work) {
  for (const int fd : work.setup.close_first) ::close(fd);
  return expect(work, wire::Sync::kMapped);
}

Status take_ids(Work&) {
  constexpr uid_t id = kInitInsideId;
  if (::setgroups(0, nullptr) < 0) return sys_error("setgroups");
  if (::setresgid(id, id, id) < 0) return sys_error("setresgid");
  if (::setresuid(id, id, id) < 0) return sys_error("setresuid");
  if (::prctl(PR_SET_DUMPABLE, 0) < 0) return sys_error("prctl PR_SET_DUMPABLE");
  // Until the go, a jail whose launcher dies dies with it. Set after the ids, whose change clears it (prctl(2)).
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return sys_error("prctl PR_SET_PDEATHSIG");
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS)
    return sys_error("keyctl KEYCTL_JOIN_SESSION_KEYRING");
  return {};
}

// Not among clone3's flags: the owner of the message queues' directory is whoever makes the namespace, and an owner without an id in
// the jail would leave it without write access for anybody (inode_permission: HAS_UNMAPPED_ID), so mq_open(3) could make nothing.
Status take_ipc(Work&) {
  if (without(Layer::kNamespaces)) return {};
  if (::unshare(CLONE_NEWIPC) < 0) return sys_error("unshare IPC namespace");
  return {};
}

Status make_root(Work& work) {
  TRY_ASSIGN(work.root, new_filesystem("tmpfs", {{"mode", "755"}, {"size", "1m"}, {"nr_inodes", "4k"}},
                                       static_cast<unsigned>(kProtected)));
  if (::move_mount(work.root.get(), "", AT_FDCWD, "/mnt", MOVE_MOUNT_F_EMPTY_PATH) < 0)
    return sys_error("move_mount to the template");
  return {};
}

Status fill_root(Work& work) {
  if (work.setup.plan.root == wire::RootKind::kUsr) return fill_from_usr(work.root.get(), work.setup);
  return fill_from_entries(work.root.get(), work.setup);
}

Status make_dev(Work& work) {
  TRY_ASSIGN(const UniqueFd dev, clone_tree(AT_FDCWD, "/dev", false));
  TRY(ensure_directory(work.root.get(), "/dev"));
  TRY(attach(dev.get(), work.root.get(), "/dev"));
  // All instances together have kernel.pty.max terminals (4096), less kernel.pty.reserve, which the host's own keeps: without a share
  // one jail would take everybody's. max=0 would be no bound at all (fs/devpts/inode.c), so without one nobody may open ptmx.
  const std::uint32_t terminals = work.setup.plan.terminals;
  const Options options = {{"newinstance", ""},
                           {"ptmxmode", terminals == 0 ? "0000" : "0666"},
                           {"mode", "620"},
                           {"max", std::to_string(std::max(terminals, 1U))}};
  TRY_ASSIGN(const UniqueFd pts, new_filesystem("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  TRY(attach(pts.get(), work.root.get(), "/dev/pts"));
  if (without(Layer::kNamespaces)) return {};  // the host's queues can't be mounted
  // mq_open(3) uses a mount of the kernel's own, but Landlock asks by the file system, and a rule needs a path to it.
  TRY_ASSIGN(const UniqueFd queues,
             new_filesystem("mqueue", {}, static_cast<unsigned>(kProtected | MOUNT_ATTR_NOEXEC)));
  return attach(queues.get(), work.root.get(), "/dev/mqueue");
}

// Per user namespace, and for all that are made below it (user_namespaces(7)): a wall behind the filter's. Without the bound, a
// nested jail could use up the host's, whose counts of ids that launch jails go up the tree.
Status bound_namespaces(int proc, bool nested) {
  if (without(Layer::kNamespaces)) return {};
  constexpr std::array kNested = {"user", "mnt", "pid", "ipc", "uts", "cgroup"};
  constexpr std::array kNone = {"net", "time"};
  const auto bound = [&](const char* kind, std::string_view most) -> Status {
    const std::string file = fmt::format("sys/user/max_{}_namespaces", kind);
    TRY(write_file_at(proc, file, most));
    TRY_ASSIGN(const std::string held, read_file(proc, file));
    if (held == fmt::format("{}\n", most)) return {};
    return sys_error_code(EPERM, "{} is {} in the kernel, and {} was written", file, quoted(held), most);
  };
  if (!nested) return bound("user", "0");
  for (const char* kind : kNested) TRY(bound(kind, kNestedNamespaces));
  for (const char* kind : kNone) TRY(bound(kind, "0"));
  return {};
}

// A /proc that is covered in part lets nobody mount another in a namespace of its own (mnt_already_visible): a whole one, though of
// processes only, must be in sight. bubblewrap needs /proc/sys too, so this one is beside the jail's.
Status show_whole_proc(Work& work) {
  TRY_ASSIGN(const UniqueFd proc, new_filesystem("proc", {{"hidepid", "invisible"}, {"subset", "pid"}},
                                                 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  TRY(ensure_directory(work.root.get(), kNestedProc, 0555));
  return attach(proc.get(), work.root.get(), kNestedProc);
}

Status make_proc(Work& work) {
  const bool only_pids = work.setup.plan.proc == wire::ProcKind::kPid && !without(Layer::kMounts);
  const char* hidden = without(Layer::kMounts) ? "off" : "invisible";
  const Options full = {{"hidepid", hidden}};
  const Options pids = {{"hidepid", hidden}, {"subset", "pid"}};
  TRY_ASSIGN(const UniqueFd proc,
             new_filesystem("proc", only_pids ? pids : full, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  TRY(ensure_directory(work.root.get(), "/proc", 0555));
  TRY(attach(proc.get(), work.root.get(), "/proc"));
  const bool nested = work.setup.profile.nested;
  if (nested) TRY(show_whole_proc(work));
  if (!only_pids) {
    TRY(bound_namespaces(proc.get(), nested));
    return mask_proc(work.root.get(), proc.get());
  }
  TRY_ASSIGN(const UniqueFd whole, new_filesystem("proc", full, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  return bound_namespaces(whole.get(), nested);
}

// Nothing of /sys but the cpu list, which runtimes size themselves by, and the jail's own cgroup.
Status make_sys(Work& work) {
  TRY_ASSIGN(const UniqueFd cpu, clone_tree(AT_FDCWD, "/cpu", true));
  TRY(ensure_directory(work.root.get(), "/sys/devices/system/cpu", 0555));
  TRY(attach(cpu.get(), work.root.get(), "/sys/devices/system/cpu"));
  TRY_ASSIGN(const UniqueFd cgroup,
             new_filesystem("cgroup2", {}, static_cast<unsigned>(kReadOnly | MOUNT_ATTR_NOEXEC)));
  TRY(ensure_directory(work.root.get(), "/sys/fs/cgroup", 0555));
  return attach(cgroup.get(), work.root.get(), "/sys/fs/cgroup");
}

Status make_tmpfs(Work& work) {
  for (const wire::Tmpfs& row : work.setup.plan.tmpfs) {
    const Options options = {{"mode", fmt::format("{:o}", row.mode & 07777U)},
                             {"size", std::to_string(row.size)},
                             {"nr_inodes", std::to_string(row.inodes)}};
    TRY_ASSIGN(
        const UniqueFd tmpfs,
        new_filesystem("tmpfs", options, static_cast<unsigned>(kProtected)).context("tmpfs {}", quoted(row.path)));
    if (!is_beneath(row.path, "/dev")) TRY(ensure_directory(work.root.get(), row.path));
    TRY(attach(tmpfs.get(), work.root.get(), row.path));
  }
  return {};
}

Status make_dirs(Work& work) {
  for (const std::string& path : work.setup.plan.dirs) TRY(ensure_directory(work.root.get(), path));
  return {};
}

Status await_ack(Work& work) { return expect(work, wire::Sync::kAcked); }

Status attach_one(Work& work, std::size_t index) {
  const std::string& target = work.setup.plan.binds[index].target;
  if (work.setup.bind_is_directory[index]) {
    TRY(ensure_directory(work.root.get(), target));
  } else {
    TRY(touch_file(work.root.get(), target));
  }
  return attach(work.setup.bind_mounts[index].get(), work.root.get(), target);
}

// In the plan's order, which the narrowing check has seen: a parent stands before what lies below it.
Status attach_binds(Work& work) {
  for (std::size_t i = 0; i < work.setup.plan.binds.size(); ++i) {
    TRY(attach_one(work, i).context("{}", quoted(work.setup.plan.binds[i].target)));
  }
  return {};
}

Status seal_root(Work& work) {
  TRY(add_attributes(work.root.get(), MOUNT_ATTR_RDONLY, false));
  return make_private(work.root.get());
}

// pivot_root(2), "pivot_root(".", ".")": the old root ends up on top of the new one, and is unmounted from there.
Status pivot(Work& work) {
  if (::fchdir(work.root.get()) < 0) return sys_error("fchdir root");
  if (::syscall(SYS_pivot_root, ".", ".") < 0) return sys_error("pivot_root");
  if (::umount2(".", MNT_DETACH) < 0) return sys_error("umount old root");
  if (::chdir("/") < 0) return sys_error("chdir '/'");
  return {};
}

Status set_hostname(Work& work) {
  if (without(Layer::kNamespaces)) return {};  // it is the host's
  const std::string& name = work.setup.plan.hostname;
  if (::sethostname(name.c_str(), name.size()) < 0) return sys_error("sethostname {}", quoted(name));
  return ::setdomainname("", 0) < 0 ? Status(sys_error("setdomainname")) : Status();
}

Status set_capabilities(std::uint32_t permitted, std::uint32_t inheritable) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {{permitted, permitted, inheritable}, {0, 0, 0}};
  if (::syscall(SYS_capset, &header, &sets[0]) < 0) return sys_error("capset");
  return {};
}

// Over the change to a job's id and the exec as well.
Status keep_all_capabilities() {
  constexpr int kLast = 63;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (::syscall(SYS_capget, &header, &sets[0]) < 0) return sys_error("capget");
  for (__user_cap_data_struct& set : sets) set.inheritable = set.permitted;
  if (::syscall(SYS_capset, &header, &sets[0]) < 0) return sys_error("capset");
  for (int cap = 0; cap <= kLast; ++cap) {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0 && errno != EINVAL)
      return sys_error("raise ambient capability {}", cap);
  }
  return ::prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0 ? Status(sys_error("prctl PR_SET_SECUREBITS"))
                                                                         : Status();
}

// jail-init keeps three capabilities over its exec as ambient ones. The order is the kernel's: inheritable while the
// bounding set still allows it, the bounding set while SETPCAP is held, ambient before it is locked.
Status limit_capabilities(Work&) {
  if (without(Layer::kCapabilities)) return keep_all_capabilities();
  constexpr std::array kKept = {CAP_SETUID, CAP_SETGID, CAP_KILL};
  std::uint32_t kept = 0;
  for (const int cap : kKept) kept |= 1U << static_cast<unsigned>(cap);
  TRY(set_capabilities(kept | 1U << CAP_SETPCAP, kept));
  for (int cap = 0; cap <= 63; ++cap) {
    if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
      if (errno == EINVAL) break;  // past the kernel's last capability
      return sys_error("prctl PR_CAPBSET_DROP {}", cap);
    }
  }
  for (const int cap : kKept) {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
      return sys_error("raise ambient capability {}", cap);
  }
  constexpr unsigned long kBits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                  SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
  if (::prctl(PR_SET_SECUREBITS, kBits, 0, 0, 0) < 0) return sys_error("prctl PR_SET_SECUREBITS");
  return set_capabilities(kept, kept);
}

// The numbers that jail-init knows, and nothing else. What lies on a wanted number is moved out of the way first.
Status place_descriptors(Work& work) {
  std::vector<std::pair<int, int>> wanted = {{work.setup.control.get(), wire::kInitControlFd},
                                             {work.setup.sync.get(), wire::kInitSyncFd},
                                             {work.setup.init_plan.get(), wire::kInitPlanFd}};
  for (std::size_t i = 0; i < work.setup.stdio.size(); ++i)
    wanted.emplace_back(work.setup.stdio[i].get(), wire::kInitStdioFd + static_cast<int>(i));
  constexpr int kAbove = 32;
  wanted.emplace_back(work.setup.init_program, kAbove - 1);
  for (auto& [from, to] : wanted) {
    from = ::fcntl(from, F_DUPFD_CLOEXEC, kAbove);
    if (from < 0) return sys_error("dup descriptor for {}", to);
  }
  for (const auto& [from, to] : wanted) {
    if (::dup3(from, to, to == kAbove - 1 ? O_CLOEXEC : 0) < 0) return sys_error("dup3 to {}", to);
  }
  const unsigned last = static_cast<unsigned>(wire::kInitPlanFd) + static_cast<unsigned>(work.setup.stdio.size());
  if (::close_range(last + 1, kAbove - 2, 0) < 0 || ::close_range(kAbove, ~0U, 0) < 0) return sys_error("close_range");
  // Released, not closed: the numbers may be other files by now.
  static_cast<void>(work.setup.control.release());
  static_cast<void>(work.setup.sync.release());
  work.setup.sync = UniqueFd(wire::kInitSyncFd);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return sys_error("open '/dev/null'");
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(null.get(), fd) < 0) return sys_error("dup2 to {}", fd);
  }
  return {};
}

Status exec_init(Work&) {
  std::uint64_t none = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
  char name[] = "jail-init";
  char* const argv[] = {name, nullptr};
  char* const env[] = {nullptr};
  ::execveat(31, "", argv, env, AT_EMPTY_PATH);
  return sys_error("execveat jail-init");
}

enum class Step : std::uint8_t {
  kMaps,
  kIds,
  kIpc,
  kRoot,
  kRootFill,
  kDev,
  kProc,
  kSys,
  kTmpfs,
  kDirs,
  kAck,
  kBinds,
  kSealRoot,
  kPivot,
  kHostname,
  kCapabilities,
  kDescriptors,
  kExec
};
struct StepRow {
  Step id;
  const char* name;
  Status (*run)(Work&);
};
constexpr std::array kSteps = {
    StepRow{Step::kMaps, "maps", await_maps},
    StepRow{Step::kIds, "ids", take_ids},
    StepRow{Step::kIpc, "ipc", take_ipc},
    StepRow{Step::kRoot, "root", make_root},
    StepRow{Step::kRootFill, "root-fill", fill_root},
    StepRow{Step::kDev, "dev", make_dev},
    StepRow{Step::kProc, "proc", make_proc},
    StepRow{Step::kSys, "sys", make_sys},
    StepRow{Step::kTmpfs, "tmpfs", make_tmpfs},
    StepRow{Step::kDirs, "dirs", make_dirs},
    StepRow{Step::kAck, "ack", await_ack},  // client files only after the launch is on record
    StepRow{Step::kBinds, "binds", attach_binds},
    StepRow{Step::kSealRoot, "read-only-root", seal_root},
    StepRow{Step::kPivot, "pivot", pivot},
    StepRow{Step::kHostname, "hostname", set_hostname},
    StepRow{Step::kCapabilities, "bounding-set", limit_capabilities},
    StepRow{Step::kDescriptors, "descriptors", place_descriptors},
    StepRow{Step::kExec, "exec-init", exec_init},
};
static_assert(std::ranges::is_sorted(kSteps, {}, &StepRow::id), "steps must run in enum order");

[[noreturn]] void give_up(const Work& work, const char* step, const Error& error) {
  wire::SetupFailure failure{};
  failure.code = error.code;
  std::strncpy(failure.step, step, sizeof failure.step - 1);
  std::strncpy(failure.text, error.context.c_str(), sizeof failure.text - 1);
  const ssize_t sent = ::write(work.setup.sync.get(), &failure, sizeof failure);
  ::_exit(sent == sizeof failure ? 1 : 2);
}

}  // namespace

void set_up_jail(JailSetup& setup) {
  Work work{setup};
  for (const StepRow& step : kSteps) {
    fault_point(step.name);
    const Status done = step.run(work);
    if (!done.ok()) give_up(work, step.name, done.error());
  }
  ::_exit(1);
}

}  // namespace sandboxd::launcher
