#include "daemon/plan/tmpfs.h"

#include <algorithm>
#include <string>
#include <vector>

namespace sandboxd::plan {
namespace {

constexpr std::uint64_t kDefaultTmpfs = 64U << 20;
constexpr std::uint64_t kBytesPerInode = 4096;
constexpr std::uint64_t kFurtherInodes = 4096;
constexpr std::uint64_t kPage = 4096;

std::uint64_t left_of(std::uint64_t most, const std::vector<wire::Tmpfs>& taken, std::uint64_t wire::Tmpfs::*member) {
  for (const wire::Tmpfs& tmpfs : taken) most -= std::min(most, tmpfs.*member);
  return most;
}

// A tmpfs of the request takes an equal share of what the profile's own leave, unless it says how much.
wire::Tmpfs further_tmpfs(const protocol::Tmpfs& asked, const wire::JailPlan& plan, std::size_t still_to_come) {
  wire::Tmpfs made{asked.path, kDefaultTmpfs, 0, 01777};
  if (plan.limits.scratch_max != 0) {
    made.size = std::min(made.size, left_of(plan.limits.scratch_max, plan.tmpfs, &wire::Tmpfs::size) / still_to_come);
  }
  // With nothing left the cap itself is asked for: the check then says what would be allowed.
  if (made.size == 0) made.size = kDefaultTmpfs;
  if (asked.size) made.size = *asked.size;
  made.inodes = std::max<std::uint64_t>(made.size / kBytesPerInode, 16);
  if (plan.limits.inodes_max != 0) {
    const std::uint64_t share = left_of(plan.limits.inodes_max, plan.tmpfs, &wire::Tmpfs::inodes) / still_to_come;
    made.inodes = std::min(made.inodes, std::max<std::uint64_t>(share, 1));
  }
  return made;
}

bool is_sized(const protocol::JobSpec& spec, const std::string& path) {
  const auto asked = std::ranges::find(spec.tmpfs, path, &protocol::Tmpfs::path);
  return asked != spec.tmpfs.end() && asked->size.has_value();
}

// `value` * `part` / `whole`, in a type that holds the product.
std::uint64_t share_of(std::uint64_t value, std::uint64_t part, std::uint64_t whole) {
  return static_cast<std::uint64_t>(static_cast<long double>(value) * static_cast<long double>(part) /
                                    static_cast<long double>(whole));
}

void fit_sizes(const protocol::JobSpec& spec, const std::vector<protocol::Tmpfs>& further, wire::JailPlan& plan) {
  if (plan.limits.scratch_max == 0) return;
  std::uint64_t room = plan.limits.scratch_max;
  std::uint64_t wish = 0;
  std::uint64_t unsized = 0;
  for (const wire::Tmpfs& tmpfs : plan.tmpfs) {
    if (is_sized(spec, tmpfs.path)) {
      room -= std::min(room, tmpfs.size);
    } else {
      wish += tmpfs.size;
    }
  }
  for (const protocol::Tmpfs& tmpfs : further) {
    room -= std::min(room, tmpfs.size.value_or(0));
    if (!tmpfs.size) ++unsized;
  }
  if (wish < room || (wish == room && unsized == 0)) return;
  const std::uint64_t whole = wish + unsized * kDefaultTmpfs;
  for (wire::Tmpfs& tmpfs : plan.tmpfs) {
    if (is_sized(spec, tmpfs.path)) continue;
    tmpfs.size = std::max(share_of(tmpfs.size, room, whole) / kPage * kPage, kPage);
  }
}

void fit_inodes(std::size_t further, wire::JailPlan& plan) {
  const std::uint64_t most = plan.limits.inodes_max;
  std::uint64_t wish = 0;
  for (const wire::Tmpfs& tmpfs : plan.tmpfs) wish += tmpfs.inodes;
  if (most == 0 || wish + further <= most) return;
  const std::uint64_t whole = wish + further * kFurtherInodes;
  for (wire::Tmpfs& tmpfs : plan.tmpfs) tmpfs.inodes = std::max<std::uint64_t>(share_of(tmpfs.inodes, most, whole), 1);
}

}  // namespace

void put_tmpfs(const protocol::JobSpec& spec, const wire::Profile& profile, wire::JailPlan& plan) {
  plan.tmpfs = profile.tmpfs;
  std::vector<protocol::Tmpfs> further;
  for (const protocol::Tmpfs& asked : spec.tmpfs) {
    const auto own = std::ranges::find(profile.tmpfs, asked.path, &wire::Tmpfs::path);
    if (own == profile.tmpfs.end()) {
      further.push_back(asked);
    } else if (asked.size) {
      plan.tmpfs[static_cast<std::size_t>(own - profile.tmpfs.begin())].size = *asked.size;
    }
  }
  fit_sizes(spec, further, plan);
  fit_inodes(further.size(), plan);
  for (std::size_t i = 0; i < further.size(); ++i) {
    plan.tmpfs.push_back(further_tmpfs(further[i], plan, further.size() - i));
  }
  std::ranges::stable_sort(plan.tmpfs, {}, &wire::Tmpfs::path);
}

}  // namespace sandboxd::plan
