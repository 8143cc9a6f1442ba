#include "bench/peers.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <fmt/core.h>
#include <pwd.h>
#include <unistd.h>

namespace sandboxd::bench {
namespace {

bool installed(const char* program) {
  for (const char* folder : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/"}) {
    if (::access((std::string(folder) + program).c_str(), X_OK) == 0) return true;
  }
  fmt::print(stderr, "start: no row for {}: it is not installed\n", program);
  return false;
}

Row spawning(std::string name, std::vector<std::string> argv) {
  return {.name = std::move(name), .once = [argv = std::move(argv)] { return spawn_and_wait(argv); }};
}

// {0}: the caller's uid, {1}: its gid, {2}: the workspace. runc has no Landlock; the filter refuses what container engines refuse by
// default, the rest is as bwrap's row has it, with masks over /proc besides.
constexpr const char* kBundle = R"({{
"ociVersion": "1.0.2",
"process": {{
  "terminal": false, "user": {{"uid": 0, "gid": 0}}, "args": ["/bin/true"], "env": ["PATH=/usr/bin:/bin"], "cwd": "/",
  "capabilities": {{"bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": []}},
  "noNewPrivileges": true
}},
"root": {{"path": "rootfs", "readonly": true}},
"hostname": "jail",
"mounts": [
  {{"destination": "/proc", "type": "proc", "source": "proc"}},
  {{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]}},
  {{"destination": "/dev/pts", "type": "devpts", "source": "devpts",
    "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}},
  {{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}},
  {{"destination": "/usr", "type": "none", "source": "/usr", "options": ["rbind", "ro", "nosuid", "nodev"]}},
  {{"destination": "{2}", "type": "none", "source": "{2}", "options": ["bind", "rw", "nosuid", "nodev"]}}
],
"linux": {{
  "uidMappings": [{{"containerID": 0, "hostID": {0}, "size": 1}}],
  "gidMappings": [{{"containerID": 0, "hostID": {1}, "size": 1}}],
  "namespaces": [{{"type": "user"}}, {{"type": "pid"}}, {{"type": "mount"}}, {{"type": "ipc"}}, {{"type": "uts"}},
    {{"type": "network"}}, {{"type": "cgroup"}}],
  "maskedPaths": ["/proc/keys", "/proc/key-users", "/proc/interrupts", "/proc/acpi"],
  "readonlyPaths": ["/proc/sys"],
  "seccomp": {{
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [{{"action": "SCMP_ACT_ERRNO", "names": ["acct", "add_key", "bpf", "clock_adjtime", "clock_settime",
      "delete_module", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter",
      "io_uring_register", "io_uring_setup", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount",
      "mount_setattr", "move_mount", "name_to_handle_at", "open_by_handle_at", "open_tree", "perf_event_open", "pivot_root",
      "process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key", "setns", "settimeofday",
      "swapoff", "swapon", "umount2", "unshare", "userfaultfd"]}}]
  }}
}}
}})";

// A root of links into /usr: runc takes no "/".
bool make_bundle(const std::string& directory, const std::string& workspace) {
  std::error_code error;
  const std::filesystem::path root = directory + "/rootfs";
  for (const char* name : {"usr", "proc", "dev", "tmp"}) std::filesystem::create_directories(root / name, error);
  for (const char* name : {"bin", "lib", "lib64", "sbin"}) {
    if (std::filesystem::exists(std::string("/") + name))
      std::filesystem::create_symlink(std::string("usr/") + name, root / name, error);
  }
  std::ofstream(directory + "/config.json") << fmt::format(kBundle, ::getuid(), ::getgid(), workspace);
  return !error;
}

std::vector<std::string> runc_command(const std::string& scratch) {
  return {"runc", "--root", scratch + "/state", "run", "--no-new-keyring", "--bundle", scratch, "bench"};
}

}  // namespace

std::vector<Row> peer_rows(const std::string& workspace, const std::string& scratch) {
  std::vector<Row> rows;
  rows.push_back(spawning(kBaseline, {"bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev",
                                      "/dev", "--tmpfs", "/tmp", "--bind", workspace, workspace, "/bin/true"}));
  if (installed("nsjail"))
    rows.push_back(
        spawning("nsjail, workspace", {"nsjail", "-Q", "-Mo", "--chroot", "/", "-B", workspace, "--", "/bin/true"}));
  if (installed("runc") && make_bundle(scratch, workspace))
    rows.push_back(spawning("runc, workspace", runc_command(scratch)));
  if (installed("firejail")) {
    // firejail looks its caller up in passwd (main.c, init_cfg) and ends without an entry.
    if (::getpwuid(::getuid()) == nullptr) {
      fmt::print(stderr, "start: no row for firejail: it wants a caller with an account, uid {} has none (--uid)\n",
                 ::getuid());
    } else {
      rows.push_back(spawning("firejail, workspace",
                              {"firejail", "--quiet", "--noprofile", "--net=none", "--private", "--seccomp",
                               "--caps.drop=all", "--nonewprivs", "--whitelist=" + workspace, "/bin/true"}));
    }
  }
  return rows;
}

}  // namespace sandboxd::bench
