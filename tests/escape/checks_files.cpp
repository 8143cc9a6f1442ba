// Descriptors, the programs that start a job, mounts, files of the caller's and of others.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/escape/check_groups.h"

namespace sandboxd::test {
namespace {

void make_setuid(Ground& ground) { ground.name("tool", ground.program("probe_privs", "tool", 0, 04755)); }

void make_capable(Ground& ground) {
  const std::string path = ground.program("probe_privs", "tool", 0, 0755);
  vfs_cap_data data{};
  data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  data.data[0].permitted = 1U << CAP_DAC_READ_SEARCH;
  ASSERT_EQ(::setxattr(path.c_str(), "security.capability", &data, XATTR_CAPS_SZ_2, 0), 0);
  ground.name("tool", path);
}

void make_node(Ground& ground) {
  const std::string path = ground.workspace() + "/node";
  ASSERT_EQ(::mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 5)), 0);
  ::chmod(path.c_str(), 0666);
}

void make_secret(Ground& ground) { ground.write("secret", "secret\n", 0, 0600); }

void make_leased(Ground& ground) { ground.write("leased", "text\n"); }

void make_fifo(Ground& ground) {
  const std::string path = ground.workspace() + "/fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  ASSERT_EQ(::chown(path.c_str(), kAlice, kAlice), 0);
  ground.keep(UniqueFd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)));
}

Check taking_away(std::string_view name, std::string_view path) {
  return {.id = "E14",
          .name = name,
          .what = "takes a mount away that masks or protects: unmount, remount, mount_setattr, move_mount, open_tree",
          .origin = "CVE-2025-31133, CVE-2023-25809",
          .command = {"probe_mounts", "take-away", path},
          .shown = {"unmount", "remount-writable", "mount-over", "open_tree-clone"},
          .control = {"probe_mounts", "take-away-private", "{workspace}"},
          .outside = 0,
          .workspace = Workspace::kWritable};
}

}  // namespace

std::vector<Check> file_checks() {
  return {
      {.id = "E01",
       .name = "StartersProgram",
       .what = "opens the program that its first process runs, and its own for writing",
       .origin = "CVE-2019-5736",
       .command = {"probe_self", "exe", "1"},
       .shown = {"other-exe-read", "other-exe-path"},
       .control = {"probe_self", "exe", "self"},
       .outside = 0},
      {.id = "E02",
       .name = "Descriptors",
       .what = "finds a descriptor beyond 0, 1 and 2",
       .origin = "CVE-2024-21626, CVE-2016-9962",
       .command = {"probe_self", "fds"},
       .shown = {"extra-descriptor"},
       .control = {"probe_self", "fds-with-one-more"}},
      {.id = "E03",
       .name = "WorkingDirectory",
       .what = "goes up from its working directory, and from each descriptor, to a file of the host's",
       .origin = "CVE-2024-21626",
       .command = {"probe_self", "cwd", "{marker}"},
       .shown = {"up-and-down"}},
      {.id = "E15",
       .name = "HardLinks",
       .what = "makes a hard link in its workspace to a setuid program of root's",
       .origin = "isolate's chowntree; fs.protected_hardlinks",
       .command = {"probe_files", "link", "{tool}", "{workspace}/link"},
       .shown = {"hard-link"},
       .outside = 0,
       .workspace = Workspace::kWritable,
       .prepare = make_setuid},
      {.id = "E23",
       .name = "SetuidProgram",
       .what = "runs a setuid program of root's in its workspace",
       .origin = "setuid escapes; nosuid, no_new_privs",
       .command = {"probe_privs", "gain", "{tool}"},
       .shown = {"CapEff"},
       .workspace = Workspace::kWritable,
       .prepare = make_setuid},
      {.id = "E23",
       .name = "FileCapabilities",
       .what = "runs a program of root's with a file capability in its workspace",
       .origin = "setuid escapes; nosuid, no_new_privs",
       .command = {"probe_privs", "gain", "{tool}"},
       .shown = {"CapEff"},
       .workspace = Workspace::kWritable,
       .prepare = make_capable},
  };
}

std::vector<Check> workspace_checks() {
  return {
      {.id = "E29",
       .name = "DeviceNodes",
       .what = "makes device nodes in its workspace, and opens one that is there",
       .origin = "nodev; overlay whiteouts taken for devices",
       .command = {"probe_files", "devices", "{workspace}", "{workspace}/node"},
       .shown = {"null", "whiteout", "loop", "existing-node"},
       .outside = 0,
       .workspace = Workspace::kWritable,
       .prepare = make_node},
      {.id = "E64",
       .name = "SetuidBits",
       .what = "leaves a setuid or setgid file of the caller's for an accomplice on the host, by every call that can",
       .origin = "found here; chmod, open, creat, mkdir, mknod, O_TMPFILE",
       .command = {"probe_files", "setuid", "{workspace}"},
       .shown = {"chmod-setuid", "fchmod-setuid", "fchmodat-setuid", "openat-setuid", "openat2-setuid",
                 "mknodat-setuid", "tmpfile-setuid", "fchmod-setgid"},
       .workspace = Workspace::kWritable},
      {.id = "E68",
       .name = "FifoOfAReadOnlyWorkspace",
       .what = "writes into a FIFO of the caller's in a read-only workspace",
       .origin = "a read-only mount stops no FIFO",
       .command = {"probe_ipc", "fifo", "{workspace}/fifo"},
       .shown = {"open"},
       .workspace = Workspace::kReadOnly,
       .prepare = make_fifo},
      {.id = "E68",
       .name = "FifoAtAnotherPlace",
       .what = "the same where nothing above it is writable",
       .origin = "a read-only mount stops no FIFO",
       .command = {"probe_ipc", "fifo", "/work/fifo"},
       .shown = {"open"},
       .options = {"--at", "/work"},
       .control = {"probe_ipc", "fifo", "{workspace}/fifo"},
       .workspace = Workspace::kReadOnly,
       .prepare = make_fifo},
      {.id = "E86",
       .name = "Leases",
       .what = "takes a lease on a file of the caller's in a read-only workspace: who opens it on the host waits",
       .origin = "found here; fs.lease-break-time",
       .command = {"probe_files", "leases", "{workspace}/leased"},
       .shown = {"read-lease", "write-lease"},
       .workspace = Workspace::kReadOnly,
       .prepare = make_leased,
       .host_may_refuse = {"read-lease", "write-lease"}},
      {.id = "E82",
       .name = "FilesOfRoot",
       .what = "reads a file of the host's root (0600) in its workspace",
       .origin = "id maps that hand uid 0 through",
       .command = {"probe_files", "read", "{workspace}/secret"},
       .shown = {"{workspace}/secret"},
       .outside = 0,
       .workspace = Workspace::kWritable,
       .prepare = make_secret},
  };
}

std::vector<Check> mount_checks() {
  return {
      {.id = "E12",
       .name = "SystemFiles",
       .what = "writes to /usr, /etc, /, /dev, the cgroup's and the kernel's files",
       .origin = "CVE-2023-25809",
       .command = {"probe_mounts", "write", "/usr", "/etc", "/", "/sys/fs/cgroup", "/proc/sys", "/dev",
                   "/sys/devices/system/cpu"},
       .shown = {"/usr", "/etc", "/"},
       .outside = 0},
      taking_away("TakeAwayUsr", "/usr"),
      taking_away("TakeAwayProcSys", "/proc/sys"),
      taking_away("TakeAwayWorkspace", "{workspace}"),
      {.id = "E14",
       .name = "MountFlags",
       .what = "has a mount that propagates, honours setuid bits or has devices",
       .origin = "mount_namespaces(7): a shared mount appears on the host",
       .command = {"probe_mounts", "flags"},
       .shown = {"setuid"},
       .workspace = Workspace::kWritable},
  };
}

const std::vector<Check>& checks() {
  static const std::vector<Check> all = [] {
    std::vector<Check> rows;
    for (auto* group : {file_checks, workspace_checks, mount_checks, proc_checks, privilege_checks, call_checks,
                        socket_checks, channel_checks}) {
      for (Check& row : group()) rows.push_back(std::move(row));
    }
    return rows;
  }();
  return all;
}

}  // namespace sandboxd::test
