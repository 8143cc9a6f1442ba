#include <array>
#include <cerrno>

#include <fcntl.h>
#include <linux/capability.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/proc_status.h"
#include "base/text.h"
#include "daemon/tools/doctor/doctor.h"
#include "daemon/tools/doctor/host_files.h"

namespace sandboxd::doctor {
namespace {

constexpr std::size_t kMostAccounts = 64U << 20;

struct AccountFile {
  const char* path;
  std::optional<std::string> (*find)(std::string_view, std::uint32_t, std::uint32_t);
};
constexpr std::array kAccountFiles = {
    AccountFile{"/etc/passwd", account_in},
    AccountFile{"/etc/group", account_in},
    AccountFile{"/etc/subuid", range_in},
    AccountFile{"/etc/subgid", range_in},
};

Outcome pool(const Context&) {
  for (const AccountFile& file : kAccountFiles) {
    const Result<std::string> text = read_file(AT_FDCWD, file.path, kMostAccounts);
    if (!text.ok() && text.error().code == ENOENT) continue;
    if (!text.ok()) return unknown(text.error().message());
    if (const auto found = file.find(*text, kPoolFirst, kPoolLast)) {
      return missing(
          fmt::format("{} has {} in it; give another pool by id_pool in the configuration", file.path, *found));
    }
  }
  // What a directory service hands out can't be listed here.
  return offered(fmt::format("{} to {}; accounts of directory services were not looked at", kPoolFirst, kPoolLast));
}

struct Capability {
  unsigned number;
  std::string_view name;
};
// What the launcher keeps, and what the parent of the programs needs to start them under ids of their own.
constexpr std::array kCapabilities = {
    Capability{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
    Capability{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
    Capability{CAP_SETUID, "CAP_SETUID"},
    Capability{CAP_SETGID, "CAP_SETGID"},
    Capability{CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},
    Capability{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
    Capability{CAP_MKNOD, "CAP_MKNOD"},
    Capability{CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
    Capability{CAP_SETPCAP, "CAP_SETPCAP"},
    Capability{CAP_CHOWN, "CAP_CHOWN"},
    Capability{CAP_KILL, "CAP_KILL"},
};

Outcome capabilities(const Context& context) {
  // Somebody else's daemon is started by pid 1, not by this user.
  const Result<std::string> text = read_file(AT_FDCWD, context.is_root ? "/proc/self/status" : "/proc/1/status");
  if (!text.ok()) return unknown(text.error().message());
  const Result<ProcStatus> status = parse_proc_status(*text);
  if (!status.ok()) return unknown(status.error().message());
  std::string lacking;
  for (const Capability& one : kCapabilities) {
    if ((status->cap_bounding >> one.number & 1U) == 0)
      lacking += fmt::format("{}{}", lacking.empty() ? "" : ", ", one.name);
  }
  return lacking.empty() ? offered() : missing("without " + lacking);
}

std::string setting(const std::string& path) {
  const Result<std::string> text = read_file(AT_FDCWD, "/proc/sys/" + path);
  if (!text.ok()) return {};
  return text->substr(0, text->find_last_not_of('\n') + 1);
}

Outcome namespace_counts(const Context&) {
  std::string none, detail;
  for (const char* kind : {"user", "pid", "mnt", "ipc", "uts", "cgroup", "net"}) {
    const std::string value = setting(fmt::format("user/max_{}_namespaces", kind));
    if (value == "0") none += fmt::format("{}user.max_{}_namespaces", none.empty() ? "" : ", ", kind);
    detail += fmt::format("{}{} {}", detail.empty() ? "" : ", ", kind, value.empty() ? "?" : value);
  }
  return none.empty() ? offered(detail) : missing(none + " is 0 (sysctl(8))");
}

Outcome mount_count(const Context&) {
  const std::string value = setting("fs/mount-max");
  return value.empty() ? unknown("fs.mount-max can't be read") : offered("fs.mount-max is " + value);
}

// A setting that doesn't matter to jails, but explains what other programs say.
Outcome told(const std::string& path, std::string_view absent) {
  const std::string value = setting(path);
  return offered(value.empty() ? std::string(absent) : value);
}

Outcome unprivileged_namespaces(const Context&) {
  const std::string apparmor = setting("kernel/apparmor_restrict_unprivileged_userns");
  const std::string debian = setting("kernel/unprivileged_userns_clone");
  const bool refused = apparmor == "1" || debian == "0";
  return offered(refused ? "refused to ordinary users; jails are made by root, so it does not matter to them"
                         : "allowed to ordinary users");
}

Outcome yama(const Context&) {
  return told("kernel/yama/ptrace_scope", "no Yama; jail-init is undumpable in any case");
}

Outcome core_dumps(const Context&) {
  const std::string pattern = setting("kernel/core_pattern");
  if (pattern.starts_with('@')) {
    return missing(
        fmt::format("to a socket of the host, at any core limit ({}): set it to a file or to a program", pattern));
  }
  if (!pattern.starts_with('|')) return offered("to files: " + pattern);
  // core(5): 1 is the limit at which the kernel starts no handler; with 0 it would.
  return offered(
      fmt::format("to a program of the host ({}); jobs have a core limit of 1, at which it is not started", pattern));
}

Outcome security_modules(const Context&) {
  const Result<std::string> text = read_file(AT_FDCWD, "/sys/kernel/security/lsm");
  return offered(text.ok() ? *text : "can't be read: securityfs is not mounted, or root only");
}

constexpr std::array kProbes = {
    Probe{"id-pool", "user and group ids that nobody else has", Need::kRequired, "the daemon: it refuses to start",
          pool},
    Probe{"capabilities", "what the launcher needs, in root's bounding set", Need::kRequired, "every jail",
          capabilities},
    Probe{"namespace-counts", "room for namespaces", Need::kRequired, "every jail", namespace_counts},
    Probe{"mount-count", "room for mounts", Need::kInfo, "", mount_count},
    Probe{"unprivileged-namespaces", "user namespaces without root", Need::kInfo, "", unprivileged_namespaces},
    Probe{"yama", "the host's rule for ptrace", Need::kInfo, "", yama},
    Probe{"core-dumps", "core dumps that a limit keeps in", Need::kRequired, "every jail", core_dumps},
    Probe{"security-modules", "security modules", Need::kInfo, "", security_modules},
};

}  // namespace

const std::span<const Probe> kHostProbes = kProbes;

}  // namespace sandboxd::doctor
