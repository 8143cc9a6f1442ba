// sandboxd-launcher: the only privileged program. It parses flat messages of sandboxd and nothing of a client's or a jail's.
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/listen_fds.h"
#include "base/proc_status.h"
#include "base/text.h"
#include "daemon/launcher/fault.h"
#include "daemon/launcher/landlock_rules.h"
#include "daemon/launcher/server.h"

namespace sandboxd::launcher {
namespace {

struct Capability {
  cap_value_t cap;
  bool at_start_only;
  const char* why;
};
// The smallest set that works; each was taken away, and a launch failed. No CAP_KILL: a jail's processes are killed by its
// cgroup. No CAP_DAC_OVERRIDE, CAP_CHOWN or CAP_SYS_RESOURCE: the files that it writes are root's.
constexpr std::array kCapabilities = {
    Capability{CAP_SYS_ADMIN, false,
               "mount namespaces, open_tree, id-mapped mounts, network namespaces of the host's user namespace"},
    Capability{CAP_NET_ADMIN, false, "lo up in a jail's network namespace, which the host's user namespace owns"},
    Capability{CAP_SETUID, false, "uid maps that are not its own, profilec's uid"},
    Capability{CAP_SETGID, false, "gid maps that are not its own, profilec's gid"},
    Capability{CAP_SYS_CHROOT, false, "setns(2) to the template's and to a client's mount namespace"},
    Capability{CAP_SYS_PTRACE, false, "reads back the namespaces of processes that are undumpable"},
    Capability{CAP_MKNOD, true, "the device nodes of the template's /dev"},
    Capability{CAP_DAC_OVERRIDE, true, "mkdir in the root of a cgroup2 mount, whose mode is 0555"},
    Capability{CAP_SETPCAP, true, "takes the start-only ones out of the bounding set"},
};

std::uint64_t set_of(bool with_start_only) {
  std::uint64_t set = 0;
  for (const Capability& row : kCapabilities) {
    if (with_start_only || !row.at_start_only) set |= 1ULL << static_cast<unsigned>(row.cap);
  }
  return set;
}

struct FreeCap {
  void operator()(cap_t set) const noexcept { ::cap_free(set); }
};

Status keep_capabilities(bool starting) {
  const std::unique_ptr<std::remove_pointer_t<cap_t>, FreeCap> set(::cap_init());
  for (const Capability& row : kCapabilities) {
    if (row.at_start_only && !starting) continue;
    for (const cap_flag_t flag : {CAP_PERMITTED, CAP_EFFECTIVE}) {
      if (::cap_set_flag(set.get(), flag, 1, &row.cap, CAP_SET) < 0) return sys_error("cap_set_flag");
    }
  }
  if (::cap_set_proc(set.get()) < 0) return sys_error("limit the launcher's capabilities (is it started as root?)");
  return {};
}

// Whoever starts the launcher limits its bounding set: what it execs (profilec, jail-init) can gain no more than that.
Status check_bounding_set() {
  TRY_ASSIGN(const ProcStatus status, read_own_status());
  const std::uint64_t allowed = set_of(true);
  if ((status.cap_bounding & ~allowed) != 0) {
    return sys_error_code(EPERM,
                          "the bounding set {:#x} holds more than the launcher's {:#x}; start it through 'sandboxd "
                          "--standalone' or its unit",
                          status.cap_bounding, allowed);
  }
  return {};
}

// For good: after this the launcher holds what a launch needs, and nothing that it execs can get more. Read back.
Status drop_start_only() {
  for (const Capability& row : kCapabilities) {
    if (row.at_start_only && ::prctl(PR_CAPBSET_DROP, row.cap, 0, 0, 0) < 0)
      return sys_error("prctl PR_CAPBSET_DROP {}", row.cap);
  }
  TRY(keep_capabilities(false));
  TRY_ASSIGN(const ProcStatus status, read_own_status());
  const std::uint64_t wanted = set_of(false);
  if (status.cap_permitted != wanted || status.cap_effective != wanted || (status.cap_bounding & ~wanted) != 0) {
    return sys_error_code(EPERM, "capabilities are {:#x} (bounding {:#x}) after the drop, {:#x} wanted",
                          status.cap_permitted, status.cap_bounding, wanted);
  }
  return {};
}

Result<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return make_error("environment variable {} is not set", name);
  return std::string(value);
}

// Beside this program in a build tree and in an installed libexec directory alike.
Result<std::string> own_directory() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return sys_error("readlink /proc/self/exe");
  const std::string text(path, static_cast<std::size_t>(size));
  return text.substr(0, text.rfind('/'));
}

Result<UniqueFd> open_init(const std::string& directory) {
  const UniqueFd folder(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return sys_error("open {}", quoted(directory));
  TRY(check_root_owned(folder.get(), directory));
  UniqueFd program(::openat(folder.get(), "jail-init", O_PATH | O_CLOEXEC | O_NOFOLLOW));
  if (!program) return sys_error("open {}/jail-init", directory);
  TRY(check_root_owned(program.get(), directory + "/jail-init"));
  return program;
}

Result<UniqueFd> take_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGHUP, SIGTERM, SIGINT}) ::sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return sys_error("sigprocmask");
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return sys_error("signalfd");
  return fd;
}

Status run() {
  TRY(check_bounding_set());
  TRY(keep_capabilities(true));
  TRY_ASSIGN(UniqueFd listener, take_listen_fd("launcher"));
  forget_listen_fds();
  TRY_ASSIGN(const std::string runtime_dir, environment("SANDBOXD_RUNTIME_DIR"));
  read_layers(runtime_dir);
  TRY_ASSIGN(const std::string slice_text, environment("SANDBOXD_SLICE_FIRST"));
  const auto slice = parse_uint(slice_text, kPoolLast - kIdsPerSlice + 1);
  if (!slice || *slice < kPoolFirst)
    return make_error("SANDBOXD_SLICE_FIRST is {} (expected an id of the pool)", quoted(slice_text));
  const auto slice_first = static_cast<std::uint32_t>(*slice);
  const int abi = landlock_abi();
  if (abi < 2)
    return make_error(
        "this kernel has Landlock ABI {}; jails need 2 or later (is 'landlock' in /sys/kernel/security/lsm?)", abi);
  TRY_ASSIGN(const std::string directory, own_directory());
  TRY_ASSIGN(UniqueFd init, open_init(directory));
  TRY_ASSIGN(UniqueFd signals, take_signals());
  const char* config = std::getenv("SANDBOXD_CONFIG");
  const char* prefix = std::getenv("SANDBOXD_PREFIX");
  wire::ProfilecRun profilec{directory + "/sandboxd-profilec", config == nullptr ? "" : config,
                             prefix == nullptr ? "" : prefix, own_id(slice_first, OwnId::kProfilec),
                             monotonic_usec() + wire::kProfilecTimeUsec};
  TRY_ASSIGN(wire::LoadedProfiles profiles, wire::run_profilec(profilec).context("load profiles"));
  profiles.set.drop_notes();
  TRY_ASSIGN(Template base, make_template());
  TRY_ASSIGN(cgroups::Root jails, cgroups::open_root(profiles.set.config.cgroup_root, slice_name(slice_first)));
  TRY(drop_start_only());
  UniqueFd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!proc) return sys_error("open /proc");
  TRY_ASSIGN(HostNamespaces namespaces, host_namespaces(proc.get(), base.mount_namespace.get()));
  NetworkPool networks;
  TRY(networks.start());
  Server server(Server::Parts{std::move(listener), std::move(signals), std::move(proc), std::move(init),
                              std::move(base), std::move(jails), std::move(profiles), std::move(profilec), slice_first,
                              abi, runtime_dir, std::move(namespaces), std::move(networks)});
  return server.run();
}

}  // namespace
}  // namespace sandboxd::launcher

int main() {
  const sandboxd::Status ran = sandboxd::launcher::run();
  if (ran.ok()) return 0;
  std::fprintf(stderr, "sandboxd-launcher: %s\n", ran.error().message().c_str());
  return 1;
}
