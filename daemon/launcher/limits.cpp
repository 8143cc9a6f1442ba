#include "daemon/launcher/limits.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <sys/xattr.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"

namespace sandboxd::launcher {
namespace {

constexpr const char* kProfileAttribute = "trusted.sandboxd.profile";
constexpr const char* kReserveAttribute = "trusted.sandboxd.reserve";

// What holds a limit on every host.
struct OtherRow {
  std::string_view limit;
  std::string_view by;
};
constexpr std::array kOthers = {OtherRow{"nofile", "RLIMIT_NOFILE"}, OtherRow{"file_size_max", "RLIMIT_FSIZE"},
                                OtherRow{"scratch_max", "tmpfs size"}, OtherRow{"inodes_max", "tmpfs nr_inodes"}};

// /proc/swaps has a heading, and a line for each (swapon(8)).
Result<bool> host_has_swap(int proc_dir) {
  auto text = read_file(proc_dir, "swaps");
  if (!text.ok() && text.error().code == ENOENT) return false;  // a kernel without swap
  if (!text.ok()) return std::move(text).error();
  return std::ranges::count(*text, '\n') > 1;
}

Error refusal(const LimitRow& row, const cgroups::Root& root) {
  const std::string why = root.trouble.empty() ? "" : fmt::format(" ({})", root.trouble);
  return sys_error_code(EOPNOTSUPP,
                        "hold {}: the cgroup controller {} gives no {} in {}{}; enable it, or list {} in "
                        "unenforced_limits of sandboxd.json, and jails start without that limit and say so",
                        quoted(row.name), quoted(row.controller), quoted(cgroups::file_of(row)), quoted(root.path), why,
                        quoted(row.group));
}

// Where the cgroup's file is missing.
Status hold_otherwise(const LimitRow& row, const cgroups::Root& root, const wire::Config& config, int proc_dir,
                      Holding& holding) {
  const auto held_by = [&](const char* by) { holding.enforced.push_back({std::string(row.name), by}); };
  if (row.member == &Limits::pids_max) {
    held_by("RLIMIT_NPROC");
    return {};
  }
  if (row.member == &Limits::memory_swap_max) {
    TRY_ASSIGN(const bool swaps, host_has_swap(proc_dir));
    if (!swaps) {
      held_by("no swap on this host");
      return {};
    }
  }
  if (std::ranges::find(config.unenforced_limits, row.group) == config.unenforced_limits.end())
    return refusal(row, root);
  holding.unenforced.emplace_back(row.name);
  return {};
}

bool is_of(const LimitRow& row, const cgroups::LimitFile& file) {
  // What is left of a jail after a kill would be half a job: with the limit comes the group.
  return cgroups::file_of(row) == file.file || (row.member == &Limits::memory_max && file.file == "memory.oom.group");
}

void add_files(const LimitRow& row, Holding& holding) {
  for (const cgroups::LimitFile& file : cgroups::kLimitFiles) {
    if (!is_of(row, file) || std::ranges::find(holding.files, &file) != holding.files.end()) continue;
    holding.files.push_back(&file);
    holding.needs_disk = holding.needs_disk || file.controller == "io";
  }
}

}  // namespace

bool counts_by_id(const cgroups::Root& root) { return !root.has("pids.max"); }

Result<Holding> hold_limits(const Limits& limits, const cgroups::Root& root, const wire::Config& config, int proc_dir,
                            std::uint64_t reserve) {
  Holding holding;
  for (const LimitRow& row : kLimitRows) {
    if (!cgroups::is_asked(row, limits)) continue;
    const auto other = std::ranges::find(kOthers, row.name, &OtherRow::limit);
    if (other != kOthers.end()) holding.enforced.push_back({std::string(row.name), std::string(other->by)});
    if (row.controller.empty()) continue;
    const std::string_view file = cgroups::file_of(row);
    if (!root.has(file)) {
      TRY(hold_otherwise(row, root, config, proc_dir, holding));
      continue;
    }
    const bool by_id = reserve >= kSessionReserve && row.member == &Limits::pids_max;
    holding.enforced.push_back({std::string(row.name), by_id ? "RLIMIT_NPROC" : fmt::format("cgroup {}", file)});
    add_files(row, holding);
  }
  return holding;
}

Status write_limits(const cgroups::Cgroup& cgroup, const Holding& holding, const Limits& limits,
                    std::vector<wire::Fact>& facts) {
  for (const cgroups::LimitFile* row : holding.files) {
    if (row->controller == "io") continue;
    TRY_ASSIGN(std::string held, cgroups::write_limit(cgroup, *row, row->text(limits), std::nullopt));
    facts.push_back({fmt::format("cgroup.{}", row->file), std::move(held)});
  }
  return {};
}

Status write_disk_limits(const cgroups::Cgroup& cgroup, const Limits& limits, const cgroups::Disk& disk,
                         std::vector<wire::Fact>& facts) {
  const auto row = std::ranges::find(cgroups::kLimitFiles, "io.max", &cgroups::LimitFile::file);
  TRY_ASSIGN(const std::string held, cgroups::write_limit(cgroup, *row, row->text(limits), disk));
  facts.push_back({"cgroup.io.max", fmt::format("{} {}", disk.text(), held)});
  return {};
}

Status add_limit_facts(const cgroups::Cgroup& cgroup, std::vector<wire::Fact>& facts) {
  TRY_ASSIGN(auto rows, cgroups::read_limits(cgroup));
  for (auto& [file, text] : rows) facts.push_back({"cgroup." + file, std::move(text)});
  return {};
}

Status note_reserve(const cgroups::Cgroup& cgroup, std::uint64_t reserve) {
  if (::fsetxattr(cgroup.fd(), kReserveAttribute, &reserve, sizeof reserve, 0) < 0)
    return sys_error("note the reserve on the cgroup (xattr {})", kReserveAttribute);
  return {};
}

Result<std::uint64_t> noted_reserve(const cgroups::Cgroup& cgroup) {
  std::uint64_t reserve = 0;
  const ssize_t size = ::fgetxattr(cgroup.fd(), kReserveAttribute, &reserve, sizeof reserve);
  if (size < 0 && errno == ENODATA) return std::uint64_t{0};
  if (size != static_cast<ssize_t>(sizeof reserve)) return sys_error("read xattr {}", kReserveAttribute);
  return reserve;
}

Limits with_reserve(Limits limits, std::uint64_t reserve) {
  if (limits.pids_max != 0 && limits.pids_max < UINT64_MAX - reserve) limits.pids_max += reserve;
  return limits;
}

Status note_profile(const cgroups::Cgroup& cgroup, const Sha256Digest& hash) {
  if (::fsetxattr(cgroup.fd(), kProfileAttribute, hash.data(), hash.size(), 0) < 0)
    return sys_error("note the profile on the cgroup (xattr {})", kProfileAttribute);
  return {};
}

Result<Sha256Digest> noted_profile(const cgroups::Cgroup& cgroup) {
  Sha256Digest hash{};
  const ssize_t size = ::fgetxattr(cgroup.fd(), kProfileAttribute, hash.data(), hash.size());
  if (size < 0) return sys_error("read xattr {}", kProfileAttribute);
  if (size != static_cast<ssize_t>(hash.size()))
    return sys_error_code(EPROTO, "xattr {} has {} bytes", kProfileAttribute, size);
  return hash;
}

}  // namespace sandboxd::launcher
