#include "daemon/launcher/landlock_rules.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <utility>

#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/landlock_abi.h"
#include "base/path.h"
#include "base/text.h"

namespace sandboxd::launcher {
namespace {

using landlock_abi::kBindTcp;
using landlock_abi::kConnectTcp;
using landlock_abi::kIoctlDev;
using landlock_abi::kScopeAbstractUnix;
using landlock_abi::kScopeSignal;
using landlock_abi::kTruncate;
constexpr int kReferAbi = 2, kTruncateAbi = 3, kTcpAbi = 4, kIoctlAbi = 5, kScopesAbi = 6;

constexpr std::uint64_t kExecute = LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE;
constexpr std::uint64_t kChange = kWriteFile | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                  LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                  LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |
                                  LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REFER;
// Handled, and granted nowhere.
constexpr std::uint64_t kDeviceNodes = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

std::uint64_t known_to(int abi) {
  std::uint64_t known = (1ULL << 13) - 1;
  if (abi >= kReferAbi) known |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= kTruncateAbi) known |= kTruncate;
  if (abi >= kIoctlAbi) known |= kIoctlDev;
  return known;
}

struct Part {
  std::string_view rule;
  int abi;
  std::string_view word;
  std::uint32_t optional;  // bit of ProfileLandlock::optional
  bool (*asked)(const wire::ProfileLandlock&);
};
using wire::LandlockOptional;
using wire::ProfileLandlock;
constexpr std::array kParts = {
    Part{"truncate", kTruncateAbi, "truncate", wire::bit(LandlockOptional::kTruncate),
         [](const ProfileLandlock& landlock) { return landlock.truncate.limited; }},
    Part{"tcp_connect", kTcpAbi, "tcp", wire::bit(LandlockOptional::kTcp),
         [](const ProfileLandlock& landlock) { return landlock.limits_connect; }},
    Part{"tcp_bind", kTcpAbi, "tcp", wire::bit(LandlockOptional::kTcp),
         [](const ProfileLandlock& landlock) { return landlock.limits_bind; }},
    Part{"ioctl", kIoctlAbi, "ioctl", wire::bit(LandlockOptional::kIoctl),
         [](const ProfileLandlock& landlock) { return landlock.ioctl.limited; }},
    Part{"scopes", kScopesAbi, "scopes", wire::bit(LandlockOptional::kScopes),
         [](const ProfileLandlock& landlock) { return landlock.scopes != 0; }},
};

std::vector<std::string> writable_mounts(const wire::JailPlan& plan) {
  std::vector<std::string> mounts;
  for (const wire::Tmpfs& row : plan.tmpfs) mounts.push_back(row.path);
  for (const wire::Bind& bind : plan.binds) {
    if (bind.access == wire::Access::kRw) mounts.push_back(bind.target);
  }
  return mounts;
}

// The paths of a list, with the jail's own for the words that stand for them.
std::vector<std::string> expanded(const std::vector<std::string>& list, const wire::JailPlan& plan) {
  std::vector<std::string> paths;
  for (const std::string& word : list) {
    if (word == "@scratch") {
      for (const wire::Tmpfs& row : plan.tmpfs) paths.push_back(row.path);
    } else if (word == "@workspace" || word == "@binds") {
      for (const wire::Bind& bind : plan.binds) {
        if (bind.workspace == (word == "@workspace")) paths.push_back(bind.target);
      }
    } else {
      paths.push_back(word);
    }
  }
  return paths;
}

// A read-only mount stops neither FIFOs nor sockets: below one nothing is granted, even inside of a writable one.
bool lies_on_writable(const std::string& path, const wire::JailPlan& plan) {
  std::pair<std::size_t, bool> innermost{0, false};
  const auto look = [&](const std::string& mount, bool writable) {
    if (is_beneath(path, mount) && mount.size() >= innermost.first) innermost = {mount.size(), writable};
  };
  for (const wire::Tmpfs& row : plan.tmpfs) look(row.path, true);
  for (const wire::Bind& bind : plan.binds) look(bind.target, bind.access == wire::Access::kRw);
  return innermost.second;
}

// What a list of places and the writable mounts have in common.
std::vector<std::string> writable_part(const std::vector<std::string>& list, const wire::JailPlan& plan) {
  std::vector<std::string> common;
  for (const std::string& path : expanded(list, plan)) {
    if (lies_on_writable(path, plan)) common.push_back(path);
    for (const std::string& mount : writable_mounts(plan)) {
      if (mount != path && is_beneath(mount, path)) common.push_back(mount);
    }
  }
  return common;
}

Status check_words(const wire::JailPlan& plan, const char* rule, const wire::LandlockPaths& list, bool writing) {
  const std::vector<std::string> meant = expanded(list.paths, plan);
  std::vector<std::string> mounts = writable_mounts(plan);
  for (const wire::Bind& bind : plan.binds) {
    if (!writing && bind.access == wire::Access::kRo) mounts.push_back(bind.target);
  }
  for (const std::string& word : list.paths) {
    if (!word.starts_with('@')) continue;
    for (const std::string& path : expanded({word}, plan)) {
      const auto strange = std::ranges::find_if(mounts, [&](const std::string& mount) {
        return is_beneath(mount, path) && std::ranges::find(meant, mount) == meant.end();
      });
      if (strange == mounts.end()) continue;
      return sys_error_code(
          EPERM,
          "the profile's rule 'landlock.{}' can't be held: it grants {} ({}), and {}, which it leaves "
          "out, lies below that; mount it elsewhere",
          rule, quoted(path), word, quoted(*strange));
    }
  }
  return {};
}

// The rows, one for each path.
class Rows {
 public:
  explicit Rows(std::uint64_t known) : known_(known) {}
  void add(const std::string& path, std::uint64_t access) { add(path, access, false); }
  // A path of the profile's in what the jail may write: a symlink in it would lead the grant astray.
  void add_plain(const std::string& path, std::uint64_t access) { add(path, access, true); }
  void put(wire::InitPlan& init) const {
    for (const auto& [row, access] : rows_) init.landlock.push_back({row.first, access, row.second});
  }

 private:
  void add(const std::string& path, std::uint64_t access, bool no_symlinks) {
    if ((access & known_) != 0) rows_[{path, no_symlinks}] |= access & known_;
  }
  std::uint64_t known_;
  std::map<std::pair<std::string, bool>, std::uint64_t> rows_{};
};

// Where a caller's files are, a symlink of theirs would lead the profile's grant astray.
void add_granted(Rows& rows, const wire::JailPlan& plan, const std::string& path, std::uint64_t access) {
  const bool theirs =
      std::ranges::any_of(plan.binds, [&](const wire::Bind& bind) { return is_beneath(path, bind.target); });
  theirs ? rows.add_plain(path, access) : rows.add(path, access);
}

void add_reading(Rows& rows, const wire::JailPlan& plan, const ProfileLandlock& landlock) {
  rows.add("/", (landlock.read.limited ? 0 : kRead) | (landlock.execute.limited ? 0 : kExecute));
  for (const std::string& path : expanded(landlock.read.paths, plan)) add_granted(rows, plan, path, kRead);
  for (const std::string& path : expanded(landlock.execute.paths, plan)) add_granted(rows, plan, path, kExecute);
}

// /dev and /proc are the jail's own, and no list takes reading and writing of them away: /proc/self/comm, oom_score_adj; /proc/sys
// is mounted read-only. On a device opening never truncates.
void add_own(Rows& rows, const ProfileLandlock& landlock, std::uint64_t truncate) {
  const std::uint64_t read = landlock.read.limited ? kRead : 0;
  rows.add("/dev", read | kWriteFile | truncate | (landlock.ioctl.limited ? 0 : kIoctlDev));
  rows.add("/proc", read | kWriteFile | truncate);
  // mq_open(3) goes by a mount of the kernel's own, which "/" is not above. A queue is a file that is made.
  if (!landlock.write.limited)
    rows.add("/dev/mqueue", kRead | kWriteFile | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE);
  for (const std::string& path : landlock.ioctl.paths) rows.add(path, kIoctlDev);
}

void add_writing(Rows& rows, const wire::JailPlan& plan, const ProfileLandlock& landlock, std::uint64_t truncate) {
  if (landlock.write.limited) {
    for (const std::string& path : writable_part(landlock.write.paths, plan)) rows.add_plain(path, kChange | truncate);
  } else {
    for (const std::string& path : writable_mounts(plan)) rows.add(path, kChange | truncate);
  }
  for (const std::string& path : writable_part(landlock.truncate.paths, plan)) rows.add_plain(path, kTruncate);
}

// An empty list refuses every port.
void add_ports(wire::InitPlan& init, const ProfileLandlock& landlock) {
  if (landlock.limits_connect) init.landlock_net |= kConnectTcp;
  if (landlock.limits_bind) init.landlock_net |= kBindTcp;
  for (const std::uint32_t port : landlock.connect) init.landlock_ports.push_back({kConnectTcp, port});
  for (const std::uint32_t port : landlock.bind) init.landlock_ports.push_back({kBindTcp, port});
}

}  // namespace

int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi < 0 ? 0 : static_cast<int>(abi);
}

std::vector<LackingRule> lacking(const ProfileLandlock& landlock, int abi) {
  std::vector<LackingRule> rules;
  for (const Part& part : kParts) {
    if (abi < part.abi && part.asked(landlock))
      rules.push_back({part.rule, part.abi, part.word, (landlock.optional & part.optional) != 0});
  }
  return rules;
}

Status check_held(const wire::JailPlan& plan, const ProfileLandlock& landlock, int abi) {
  for (const LackingRule& rule : lacking(landlock, abi)) {
    if (rule.optional) continue;
    return sys_error_code(EOPNOTSUPP,
                          "the profile's rule 'landlock.{}' needs Landlock ABI {}, and this kernel has {}; a profile "
                          "with \"optional\": [\"{}\"] would do without",
                          rule.rule, rule.abi, abi, rule.word);
  }
  TRY(check_words(plan, "read", landlock.read, false));
  TRY(check_words(plan, "write", landlock.write, true));
  TRY(check_words(plan, "execute", landlock.execute, false));
  return check_words(plan, "truncate", landlock.truncate, true);
}

void put_landlock(wire::InitPlan& init, const wire::JailPlan& plan, const ProfileLandlock& landlock, int abi) {
  const std::uint64_t known = known_to(abi);
  init.landlock_fs = (kRead | kExecute | kChange | kTruncate | kDeviceNodes | kIoctlDev) & known;
  // Always all that the kernel has: a profile's "scopes" says which it can't do without.
  init.landlock_scoped = abi >= kScopesAbi ? kScopeAbstractUnix | kScopeSignal : 0;
  const std::uint64_t truncate = landlock.truncate.limited ? 0 : kTruncate;
  Rows rows(known);
  add_reading(rows, plan, landlock);
  add_own(rows, landlock, truncate);
  add_writing(rows, plan, landlock, truncate);
  rows.put(init);
  if (abi >= kTcpAbi) add_ports(init, landlock);
}

std::vector<wire::Fact> landlock_facts(const wire::JailPlan& plan, const ProfileLandlock& landlock, int abi) {
  std::vector<wire::Fact> facts;
  const auto add_paths = [&](const char* name, const wire::LandlockPaths& list, bool writing, int needed) {
    if (!list.limited || abi < needed) return;
    facts.push_back(
        {name,
         fmt::format("{}", fmt::join(writing ? writable_part(list.paths, plan) : expanded(list.paths, plan), " "))});
  };
  add_paths("landlock_read", landlock.read, false, 1);
  add_paths("landlock_write", landlock.write, true, 1);
  add_paths("landlock_execute", landlock.execute, false, 1);
  add_paths("landlock_truncate", landlock.truncate, true, kTruncateAbi);
  add_paths("landlock_ioctl", landlock.ioctl, false, kIoctlAbi);
  if (landlock.limits_connect && abi >= kTcpAbi)
    facts.push_back({"landlock_tcp_connect", fmt::format("{}", fmt::join(landlock.connect, " "))});
  if (landlock.limits_bind && abi >= kTcpAbi)
    facts.push_back({"landlock_tcp_bind", fmt::format("{}", fmt::join(landlock.bind, " "))});
  if (abi >= kScopesAbi) facts.push_back({"landlock_scopes", "abstract_unix signal"});
  std::string unenforced;
  for (const LackingRule& rule : lacking(landlock, abi))
    unenforced += fmt::format("{}{}", unenforced.empty() ? "" : " ", rule.rule);
  if (!unenforced.empty()) facts.push_back({"landlock_unenforced", unenforced});
  return facts;
}

}  // namespace sandboxd::launcher
