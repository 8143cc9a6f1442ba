#include "daemon/confine/landlock.h"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/landlock_abi.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace sandboxd::landlock {
namespace {

// landlock_ruleset_attr as of ABI 6; a kernel of a lower ABI takes a longer one when its tail is zero.
struct RulesetAttr {
  std::uint64_t handled_access_fs = 0;
  std::uint64_t handled_access_net = 0;
  std::uint64_t scoped = 0;
};

constexpr std::uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr std::uint64_t kRead = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWriteFile = LANDLOCK_ACCESS_FS_WRITE_FILE | landlock_abi::kTruncate;
constexpr std::uint64_t kWrite = kWriteFile | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                                 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                                 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
constexpr std::uint64_t kExecute = LANDLOCK_ACCESS_FS_EXECUTE;
// What a rule on something that is no directory may hold; more of it is EINVAL (landlock_add_rule(2)).
constexpr std::uint64_t kOfFiles = kExecute | kReadFile | kWriteFile | landlock_abi::kIoctlDev;

std::uint64_t all_fs(int abi) {
  std::uint64_t bits = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  if (abi >= 2) bits |= LANDLOCK_ACCESS_FS_REFER;
  if (abi >= 3) bits |= landlock_abi::kTruncate;
  if (abi >= 5) bits |= landlock_abi::kIoctlDev;
  return bits;
}

RulesetAttr everything(int abi) {
  RulesetAttr attr{all_fs(abi)};
  if (abi >= 4) attr.handled_access_net = landlock_abi::kBindTcp | landlock_abi::kConnectTcp;
  if (abi >= 6) attr.scoped = landlock_abi::kScopeAbstractUnix | landlock_abi::kScopeSignal;
  return attr;
}

bool has(Grant grant, Grant one) { return (static_cast<std::uint32_t>(grant) & static_cast<std::uint32_t>(one)) != 0; }

std::uint64_t access_of(Grant grant, bool directory) {
  std::uint64_t access = 0;
  if (has(grant, Grant::kRead)) access |= kRead;
  if (has(grant, Grant::kWrite)) access |= kWrite;
  if (has(grant, Grant::kExecute)) access |= kExecute;
  return directory ? access : access & kOfFiles;
}

Status add(int ruleset, const Rule& rule, std::uint64_t handled) {
  const UniqueFd fd(::open(rule.path.c_str(), O_PATH | O_CLOEXEC));
  if (!fd) return sys_error("landlock: open {}", quoted(rule.path));
  struct stat info {};
  if (::fstat(fd.get(), &info) < 0) return sys_error("landlock: stat {}", quoted(rule.path));
  landlock_path_beneath_attr attr{};
  attr.parent_fd = fd.get();
  attr.allowed_access = access_of(rule.grant, S_ISDIR(info.st_mode)) & handled;
  if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0) {
    return sys_error("landlock_add_rule {}", quoted(rule.path));
  }
  return {};
}

}  // namespace

Result<int> abi() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 0) return sys_error("landlock ABI");
  return static_cast<int>(version);
}

Status restrict_self(std::span<const Rule> rules) {
  TRY_ASSIGN(const int version, abi());
  const RulesetAttr attr = everything(version);
  const UniqueFd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0)));
  if (!ruleset) return sys_error("landlock_create_ruleset (ABI {})", version);
  for (const Rule& rule : rules) TRY(add(ruleset.get(), rule, attr.handled_access_fs));
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0) return sys_error("landlock_restrict_self");
  return {};
}

}  // namespace sandboxd::landlock
