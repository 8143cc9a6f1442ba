#include "cgroups/limits.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "cgroups/usage.h"

namespace sandboxd::cgroups {
namespace {

constexpr std::string_view kMax = "max";

// The kernel counts pages, and rounds down; so do we, that the comparison is exact.
std::string bytes_text(std::uint64_t value, std::uint64_t none) {
  if (value == none) return std::string(kMax);
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return std::to_string(value - value % page);
}

std::string memory_max(const Limits& limits) { return bytes_text(limits.memory_max, 0); }
std::string memory_high(const Limits& limits) { return bytes_text(limits.memory_high, 0); }
std::string memory_swap_max(const Limits& limits) { return bytes_text(limits.memory_swap_max, kNoLimit); }
// The whole jail is one unit: what is left of it after a kill would be half a job.
std::string oom_group(const Limits& limits) { return limits.memory_max == 0 ? "0" : "1"; }

// "QUOTA PERIOD". A quota is 1 ms at least, so a hundredth of a core and less takes a longer period than the usual.
std::string cpu_max(const Limits& limits) {
  constexpr std::uint64_t kPeriod = 100'000, kLongPeriod = 1'000'000;
  if (limits.cpu_max == 0) return fmt::format("{} {}", kMax, kPeriod);
  const std::uint64_t period = limits.cpu_max < 10 ? kLongPeriod : kPeriod;
  const std::uint64_t most = UINT64_MAX / period;
  return fmt::format("{} {}", std::min(limits.cpu_max, most) * period / 1000, period);
}
std::string cpu_weight(const Limits& limits) { return std::to_string(limits.cpu_weight); }

std::string pids_max(const Limits& limits) {
  if (limits.pids_max == 0 || limits.pids_max > UINT64_MAX - kOwnProcesses) return std::string(kMax);
  return std::to_string(limits.pids_max + kOwnProcesses);
}

// As the kernel says it; empty when nothing is asked, as a new cgroup's.
std::string io_max(const Limits& limits) {
  const auto shown = [](std::uint64_t value) { return value == 0 ? std::string(kMax) : std::to_string(value); };
  if ((limits.io_max_rbps | limits.io_max_wbps | limits.io_max_riops | limits.io_max_wiops) == 0) return {};
  return fmt::format("rbps={} wbps={} riops={} wiops={}", shown(limits.io_max_rbps), shown(limits.io_max_wbps),
                     shown(limits.io_max_riops), shown(limits.io_max_wiops));
}

std::string without_newline(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// io.max has a line a disk; of the others the text is the whole file.
std::string line_of(const std::string& text, const std::string& disk) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.starts_with(disk + " ")) return std::string(line.substr(disk.size() + 1));
  }
  return {};
}

std::optional<Disk> parse_disk(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto major = parse_uint(text.substr(0, colon), UINT32_MAX);
  const auto minor = parse_uint(text.substr(colon + 1), UINT32_MAX);
  if (!major || !minor) return std::nullopt;
  return Disk{static_cast<unsigned>(*major), static_cast<unsigned>(*minor)};
}

}  // namespace

const std::array<LimitFile, kLimitFileCount> kLimitFiles = {
    LimitFile{"memory.max", "memory", "max", memory_max},
    LimitFile{"memory.oom.group", "memory", "0", oom_group},
    LimitFile{"memory.high", "memory", "max", memory_high},
    LimitFile{"memory.swap.max", "memory", "max", memory_swap_max},
    LimitFile{"cpu.max", "cpu", "max 100000", cpu_max},
    LimitFile{"cpu.weight", "cpu", "100", cpu_weight},
    LimitFile{"pids.max", "pids", "max", pids_max},
    LimitFile{"io.max", "io", "", io_max},
};

std::string Disk::text() const { return fmt::format("{}:{}", major, minor); }

Result<Disk> whole_disk(unsigned major, unsigned minor, const std::string& sys_dev_block) {
  const Disk given{major, minor};
  const std::string at = fmt::format("{}/{}", sys_dev_block, given.text());
  if (major == 0 || ::access(at.c_str(), F_OK) < 0) {
    return sys_error_code(ENOTBLK,
                          "find the disk under device {}: its file system stands on no single block device (btrfs, "
                          "overlay, tmpfs or a network's)",
                          given.text());
  }
  if (::access((at + "/partition").c_str(), F_OK) < 0) return given;
  // The link leads to DISK/PARTITION of the device tree.
  TRY_ASSIGN(const std::string text, read_file(AT_FDCWD, at + "/../dev"));
  const auto disk = parse_disk(without_newline(text));
  if (!disk) return sys_error_code(EPROTO, "the disk of {} is {}", given.text(), quoted(text));
  return *disk;
}

Result<Disk> disk_under(int fd, const std::string& sys_dev_block) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("fstat");
  return whole_disk(major(info.st_dev), minor(info.st_dev), sys_dev_block);
}

std::string_view file_of(const LimitRow& row) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kFiles = {
      {{"memory_max", "memory.max"},
       {"memory_high", "memory.high"},
       {"memory_swap_max", "memory.swap.max"},
       {"cpu_max", "cpu.max"},
       {"cpu_weight", "cpu.weight"},
       {"pids_max", "pids.max"},
       {"io_max", "io.max"}}};
  const auto found = std::ranges::find(kFiles, row.group, &std::pair<std::string_view, std::string_view>::first);
  return found == kFiles.end() ? std::string_view() : found->second;
}

bool is_asked(const LimitRow& row, const Limits& limits) {
  const std::uint64_t value = limits.*row.member;
  if (row.kind == LimitKind::kWeight) return value != Limits{}.*row.member;
  return value != (row.zero_is_none ? 0 : kNoLimit);
}

// One descriptor for both: a cgroup's file is made anew when it is read from its beginning.
Result<std::string> write_limit(const Cgroup& cgroup, const LimitFile& row, const std::string& text,
                                const std::optional<Disk>& disk) {
  const std::string name(row.file);
  if (row.file == "io.max" && !disk) return sys_error_code(ENOTBLK, "write {}: no disk is known", quoted(name));
  const std::string device = row.file == "io.max" ? disk->text() : "";
  constexpr std::string_view kNoIo = "rbps=max wbps=max riops=max wiops=max";
  const std::string words = device.empty() ? text : fmt::format("{} {}", device, text.empty() ? kNoIo : text);
  TRY_ASSIGN(const UniqueFd fd, cgroup.open(name.c_str(), O_RDWR));
  const ssize_t wrote = ::pwrite(fd.get(), words.data(), words.size(), 0);
  if (wrote < 0) return sys_error("write {} to {}", quoted(words), quoted(name));
  TRY_ASSIGN(const std::string all, reread(fd.get()).context("{}", quoted(name)));
  const std::string held = device.empty() ? without_newline(all) : line_of(all, device);
  if (held != text)
    return sys_error_code(EPROTO, "{} says {} after {} was written", quoted(name), quoted(held), quoted(text));
  return held;
}

Result<std::vector<std::pair<std::string, std::string>>> read_limits(const Cgroup& cgroup) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const LimitFile& row : kLimitFiles) {
    const std::string name(row.file);
    auto text = cgroup.read(name.c_str());
    if (!text.ok() && text.error().code == ENOENT) continue;  // the host has no such controller
    if (!text.ok()) return std::move(text).error();
    std::string value = without_newline(std::move(text).value());
    if (value != row.unset) found.emplace_back(name, std::move(value));
  }
  return found;
}

Result<std::optional<Disk>> limited_disk(const Cgroup& cgroup) {
  auto text = cgroup.read("io.max");
  if (!text.ok() && text.error().code != ENOENT) return std::move(text).error();
  return text.ok() ? parse_disk(std::string_view(*text).substr(0, text->find(' '))) : std::nullopt;
}

}  // namespace sandboxd::cgroups
