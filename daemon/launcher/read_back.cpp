#include "daemon/launcher/read_back.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/path.h"
#include "base/proc_status.h"
#include "base/text.h"
#include "daemon/launcher/fault.h"
#include "daemon/launcher/jail_setup.h"
#include "daemon/launcher/limits.h"
#include "daemon/launcher/namespaces.h"

namespace sandboxd::launcher {
namespace {

constexpr std::array kNamespaces = {"user", "pid", "mnt", "ipc", "uts", "cgroup", "net"};

Result<UniqueFd> open_process(int proc_dir, std::int32_t pid) {
  UniqueFd fd(::openat(proc_dir, std::to_string(pid).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open /proc/{}", pid);
  return fd;
}

std::string capability_text(std::uint64_t set) { return fmt::format("{:016x}", set); }

void add(wire::Readback& out, std::string name, std::string value) {
  out.facts.push_back({std::move(name), std::move(value)});
}

std::string_view next_column(std::string_view& line) {
  line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

// "soft hard", of the line of /proc/PID/limits (proc(5)).
Result<std::string> core_limit_of(int process) {
  TRY_ASSIGN(const std::string text, read_file(process, "limits"));
  constexpr std::string_view kName = "\nMax core file size ";
  const std::size_t at = text.find(kName);
  if (at == std::string::npos) return sys_error_code(EPROTO, "no core limit in /proc/PID/limits");
  std::string_view line = std::string_view(text).substr(at + kName.size());
  line = line.substr(0, line.find('\n'));
  const std::string_view soft = next_column(line);
  return fmt::format("{} {}", soft, next_column(line));
}

// Of the job: what it holds.
void add_identity(wire::Readback& out, const ProcStatus& status) {
  add(out, "uid", fmt::format("{}", fmt::join(status.uid, " ")));
  add(out, "gid", fmt::format("{}", fmt::join(status.gid, " ")));
  add(out, "groups", fmt::format("{}", fmt::join(status.groups, " ")));
  add(out, "cap_inh", capability_text(status.cap_inheritable));
  add(out, "cap_prm", capability_text(status.cap_permitted));
  add(out, "cap_eff", capability_text(status.cap_effective));
  add(out, "cap_bnd", capability_text(status.cap_bounding));
  add(out, "cap_amb", capability_text(status.cap_ambient));
}

// What it has in common with every process of the jail, jail-init too.
Status add_confinement(wire::Readback& out, int process, const ProcStatus& status) {
  add(out, "no_new_privs", status.no_new_privs ? "1" : "0");
  add(out, "seccomp", std::to_string(static_cast<unsigned>(status.seccomp)));
  add(out, "seccomp_filters", std::to_string(status.seccomp_filters));
  TRY_ASSIGN(std::string core_limit, core_limit_of(process));
  add(out, "core_limit", std::move(core_limit));
  for (const char* name : kNamespaces) {
    TRY_ASSIGN(const std::uint64_t inode, namespace_inode(process, name));
    add(out, std::string("ns.") + name, std::to_string(inode));
  }
  TRY_ASSIGN(const uid_t owner, namespace_owner(process));
  add(out, "ns.user.owner", std::to_string(owner));
  return {};
}

std::string_view next_word(std::string_view& line) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(line.size(), word.size() + 1));
  return word;
}

// mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape_octal(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Of the jail's devpts: "0" where nobody may open ptmx, and the bound, which the kernel shows where there is one.
std::string terminals_of(std::string_view super_options) {
  std::string most = "unbounded";
  for (std::string_view rest = super_options; !rest.empty();) {
    const std::string_view option = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), option.size() + 1));
    if (option == "ptmxmode=000") return "0";
    if (option.starts_with("max=")) most = option.substr(4);
  }
  return most;
}

// mountinfo (proc(5)): field 5 is the mount point, 6 its options, then optional fields up to "-", then the type, the source and the
// file system's own options.
Status add_mounts(wire::Readback& out, int process) {
  TRY_ASSIGN(const std::string text, read_file(process, "mountinfo"));
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    for (int i = 0; i < 4; ++i) next_word(line);
    const std::string_view point = next_word(line);
    const std::string_view options = next_word(line);
    const bool shared = !line.starts_with("- ");
    line.remove_prefix(std::min(line.size(), line.find("- ") + 2));
    add(out, "mount:" + unescape_octal(point),
        fmt::format("{} {}{}", options, next_word(line), shared ? " propagates" : ""));
    next_word(line);
    if (point == "/dev/pts") add(out, "terminals", terminals_of(line));
  }
  return {};
}

class Comparison {
 public:
  explicit Comparison(const wire::Readback& facts) {
    // Several mounts may stand on one point; the last one is what is seen there.
    for (const wire::Fact& fact : facts.facts) facts_.insert_or_assign(fact.name, fact.value);
  }
  void want(const std::string& name, const std::string& value) {
    const auto found = facts_.find(name);
    if (found == facts_.end()) return differ(name, "absent", value);
    if (found->second != value) differ(name, found->second, value);
  }
  void want_not(const std::string& name, const std::string& value) {
    const auto found = facts_.find(name);
    if (found == facts_.end() || found->second == value) differ(name, value, "another");
  }
  // The option is one of the mount's comma-separated ones, and it propagates nowhere.
  void want_mount(const std::string& point, std::initializer_list<const char*> options) {
    const auto found = facts_.find("mount:" + point);
    if (found == facts_.end()) return differ("mount:" + point, "absent", "mounted");
    const std::string all = "," + found->second.substr(0, found->second.find(' ')) + ",";
    for (const char* option : options) {
      if (all.find(fmt::format(",{},", option)) == std::string::npos) differ("mount:" + point, found->second, option);
    }
    if (found->second.ends_with(" propagates")) differ("mount:" + point, found->second, "private");
  }
  // Of every mount, the ones that nobody named too (what lies below a bind).
  void want_all_mounts(const std::vector<std::string>& writable) {
    for (const auto& [name, value] : facts_) {
      if (!name.starts_with("mount:")) continue;
      const std::string point = name.substr(6);
      want_mount(point, {"nosuid"});
      const bool device_tmpfs = is_beneath(point, "/dev") || (is_beneath(point, "/proc") && value.ends_with(" tmpfs"));
      if (!device_tmpfs) want_mount(point, {"nodev"});
      const auto covers = [&](const std::string& top) { return is_beneath(point, top); };
      if (std::ranges::none_of(writable, covers) && point != "/proc" && point != "/dev/pts" && point != "/dev/mqueue" &&
          point != kNestedProc)
        want_mount(point, {"ro"});
    }
  }
  [[nodiscard]] Status result() const {
    return difference_.empty() ? Status() : Status(sys_error_code(EPERM, "{}", difference_));
  }

 private:
  void differ(const std::string& name, const std::string& is, const std::string& wanted) {
    if (difference_.empty())
      difference_ = fmt::format("{} is {} in the kernel, the plan wants {}", name, quoted(is), quoted(wanted));
  }
  std::map<std::string, std::string> facts_;
  std::string difference_;
};

void compare_process(Comparison& compare, const Expected& expected) {
  const std::uint32_t id = expected.first_id + kJobOffset;
  const std::string ids = fmt::format("{0} {0} {0} {0}", id);
  compare.want("uid", ids);
  compare.want("gid", ids);
  compare.want("groups", "");
  for (const char* set : {"cap_inh", "cap_prm", "cap_eff", "cap_bnd", "cap_amb"}) compare.want(set, capability_text(0));
  compare.want("no_new_privs", "1");
  compare.want("seccomp", "2");
  compare.want("core_limit", fmt::format("{0} {0}", expected.core_limit));
  compare.want("cgroup", expected.cgroup_path);
  compare.want("ns.net", std::to_string(expected.network_inode));
  compare.want("ns.user.owner", std::to_string(expected.first_id + kOwnerOffset));
}

void compare_namespaces(Comparison& compare, const HostNamespaces& host) {
  for (const auto& [name, inode] : host.inodes) compare.want_not("ns." + name, std::to_string(inode));
}

void compare_mounts(Comparison& compare, const wire::JailPlan& plan) {
  compare.want_mount("/", {"ro", "nosuid", "nodev"});
  compare.want_mount("/dev", {"ro", "nosuid", "noexec"});
  compare.want_mount("/proc", {"nosuid", "nodev", "noexec"});
  compare.want_mount("/sys/fs/cgroup", {"ro", "nosuid", "nodev", "noexec"});
  if (plan.root == wire::RootKind::kUsr) compare.want_mount("/usr", {"ro", "nosuid", "nodev"});
  if (plan.proc == wire::ProcKind::kFull) compare.want_mount("/proc/sys", {"ro"});
  std::vector<std::string> writable;
  for (const wire::Tmpfs& row : plan.tmpfs) {
    compare.want_mount(row.path, {"rw", "nosuid", "nodev"});
    writable.push_back(row.path);
  }
  for (const wire::Bind& bind : plan.binds) {
    const bool rw = bind.access == wire::Access::kRw;
    if (!rw) compare.want_mount(bind.target, {"ro", "nosuid", "nodev", "idmapped"});
    if (rw) writable.push_back(bind.target);
    if (rw) compare.want_mount(bind.target, {"nosuid", "nodev", "idmapped"});
  }
  compare.want_all_mounts(writable);
}

Result<std::string> cgroup_of(int process) {
  TRY_ASSIGN(const std::string text, read_file(process, "cgroup"));
  const std::size_t line = text.starts_with("0::") ? 0 : text.find("\n0::") + 1;  // npos + 1 is 0
  const std::string path = text.substr(line, text.find('\n', line) - line);
  if (!path.starts_with("0::")) return sys_error_code(EPROTO, "no cgroup v2 line in /proc/PID/cgroup");
  return path.substr(path.rfind('/') + 1);
}

// The one process of the cgroup that is not jail-init's: beside it there is the recorder, where refused calls are told.
Result<std::int32_t> find_job(int proc_dir, const cgroups::Cgroup& cgroup, const Expected& expected) {
  TRY_ASSIGN(std::vector<std::int32_t> pids, cgroup.processes());
  const std::size_t count = pids.size();
  const bool tells = expected.plan->has_recorder();
  std::erase(pids, expected.init_pid);
  for (auto pid = pids.begin(); tells && pid != pids.end(); ++pid) {
    TRY_ASSIGN(const UniqueFd process, open_process(proc_dir, *pid));
    TRY_ASSIGN(const ProcStatus status, read_proc_status(process.get()));
    if (status.uid.empty() || status.uid[0] != expected.first_id + kInitOffset) continue;
    pids.erase(pid);
    break;
  }
  if (count == (tells ? 3U : 2U) && pids.size() == 1) return pids[0];
  return sys_error_code(EPERM, "the jail's cgroup has {} processes, the plan wants jail-init{} and its first job",
                        count, tells ? ", its recorder" : "");
}

Status read_live_process(wire::Readback& out, int process, const ProcStatus& status, bool is_job) {
  if (is_job) add_identity(out, status);
  TRY(add_confinement(out, process, status));
  TRY_ASSIGN(std::string group, cgroup_of(process));
  add(out, "cgroup", std::move(group));
  return add_mounts(out, process);
}

// Of a job, else of any of jail-init's own: an idle session has no job, and what they have in common is told. One that ends while
// it is read, or has and is not yet collected, has no namespaces any more: then the next is read.
Status read_some_process(wire::Readback& out, int proc_dir, const std::vector<std::int32_t>& pids,
                         std::uint32_t job_id) {
  Status last = sys_error_code(ESRCH, "no process is left in the jail");
  for (const bool is_job : {true, false}) {
    for (const std::int32_t pid : pids) {
      const auto process = open_process(proc_dir, pid);
      if (!process.ok()) continue;
      const auto status = read_proc_status(process->get());
      if (!status.ok() || status->uid.empty() || (status->uid[0] == job_id) != is_job) continue;
      wire::Readback found;
      last = read_live_process(found, process->get(), *status, is_job);
      if (!last.ok()) continue;
      out = std::move(found);
      return {};
    }
  }
  return last;
}

}  // namespace

Result<HostNamespaces> host_namespaces(int proc_dir, int template_namespace) {
  HostNamespaces host;
  TRY_ASSIGN(const UniqueFd self, open_process(proc_dir, ::getpid()));
  for (const char* name : kNamespaces) {
    if (std::string_view(name) == "net") continue;  // network 'host' is one that a profile may allow
    TRY_ASSIGN(const std::uint64_t inode, namespace_inode(self.get(), name));
    host.inodes.emplace_back(name, inode);
  }
  struct stat info {};
  if (::fstat(template_namespace, &info) < 0) return sys_error("stat the template's mount namespace");
  host.inodes.emplace_back("mnt", info.st_ino);
  return host;
}

Result<wire::Readback> read_back_launch(int proc_dir, const cgroups::Cgroup& cgroup, const Expected& expected) {
  TRY_ASSIGN(const std::int32_t job, find_job(proc_dir, cgroup, expected));
  TRY_ASSIGN(const UniqueFd process, open_process(proc_dir, job));
  wire::Readback out;
  TRY_ASSIGN(const ProcStatus status, read_proc_status(process.get()));
  add_identity(out, status);
  TRY(add_confinement(out, process.get(), status));
  TRY_ASSIGN(std::string group, cgroup_of(process.get()));
  add(out, "cgroup", std::move(group));
  add(out, "landlock_abi", std::to_string(expected.landlock_abi));
  const char* wanted = expected.nested ? "nothing about files" : "refused";
  add(out, "landlock_probe", expected.landlock_probe ? "refused" : expected.nested ? wanted : "not refused");
  TRY(add_mounts(out, process.get()));
  Comparison compare(out);
  compare_process(compare, expected);
  compare.want("landlock_probe", wanted);
  compare.want("terminals", std::to_string(expected.plan->terminals));
  compare_namespaces(compare, *expected.host);
  compare_mounts(compare, *expected.plan);
  if (!without(Layer::kReadBack)) TRY(compare.result());
  return out;
}

Result<wire::Readback> read_back_live(int proc_dir, const cgroups::Cgroup& cgroup, std::uint32_t first_id) {
  TRY_ASSIGN(const std::vector<std::int32_t> pids, cgroup.processes());
  wire::Readback out;
  TRY(read_some_process(out, proc_dir, pids, first_id + kJobOffset));
  add(out, "processes", std::to_string(pids.size()));
  TRY(add_limit_facts(cgroup, out.facts));
  return out;
}

}  // namespace sandboxd::launcher
