#include "daemon/launcher/update.h"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

#include "base/text.h"
#include "daemon/launcher/audit_record.h"
#include "daemon/launcher/fault.h"
#include "daemon/launcher/limits.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/narrow.h"

namespace sandboxd::launcher {
namespace {

constexpr std::uint64_t kAuditTimeUsec = 10'000'000;

struct Update {
  const Host& host;
  wire::UpdateRequest request;
  std::string step = "update";  // the one that fails, if one does
  bool denied = false;
};

// The profile as it was when the jail started; one that was changed meanwhile says nothing of what this jail may have.
Result<const wire::Profile*> profile_of(const Update& update, const cgroups::Cgroup& jail) {
  TRY_ASSIGN(const Sha256Digest hash, noted_profile(jail));
  const auto& profiles = update.host.profiles.profiles;
  const auto found = std::ranges::find(profiles, hash, &wire::Profile::hash);
  if (found == profiles.end())
    return sys_error_code(ESTALE, "the profile {} that the jail was started with was changed since; start it anew",
                          hex(hash));
  return &*found;
}

Status record(const Update& update, const wire::Profile& profile) {
  wire::AuditRecord record;
  record.action = "launcher.limits";
  record.phase = wire::AuditPhase::kIntent;
  record.outcome = "allow";
  record.request = update.request.request;
  record.uid = 0xFFFFFFFFU;
  record.detail = fmt::format(R"({{"limits_sha256":"{}","number":{},"profile":"{}","profile_sha256":"{}"}})",
                              hex(sha256(wire::encode(update.request.limits))), update.request.number, profile.name,
                              hex(profile.hash));
  TRY_ASSIGN(const UniqueFd audit, send_audit(update.host.runtime_dir, record));
  auto acked = await_audit(audit.get(), kAuditTimeUsec);
  return acked.ok() ? Status() : Status(std::move(acked).error());
}

// Every file that holds limits on this host: those that are none now were perhaps something before.
Status write_all_files(const Update& update, const cgroups::Cgroup& jail, std::uint64_t reserve) {
  const Limits limits = with_reserve(update.request.limits, reserve);
  for (const cgroups::LimitFile& row : cgroups::kLimitFiles) {
    if (!update.host.jails.has(row.file)) continue;
    std::optional<cgroups::Disk> disk;
    const std::string text = row.text(limits);
    if (row.controller == "io") {
      TRY_ASSIGN(disk, cgroups::limited_disk(jail));
      if (!disk && text.empty()) continue;
      if (!disk)
        return sys_error_code(ENOTBLK, "set 'io_max' of a jail that was started without (its disk is not known)");
    }
    TRY_ASSIGN(const std::string held, cgroups::write_limit(jail, row, text, disk));
  }
  return {};
}

Result<wire::Readback> carry_out(Update& update) {
  TRY_ASSIGN(const cgroups::Cgroup jail,
             cgroups::open_child(update.host.jails.cgroup, cgroup_name(update.request.number)));
  TRY_ASSIGN(const wire::Profile* profile, profile_of(update, jail));
  update.step = "narrow";
  if (const auto breach = wire::find_limits_breach(update.request.limits, *profile)) {
    update.denied = true;
    return sys_error_code(breach->malformed ? EINVAL : EPERM, "{} is {}, allowed is {}", breach->rule, breach->value,
                          breach->allowed);
  }
  update.step = "limits";
  TRY_ASSIGN(const std::uint64_t reserve, noted_reserve(jail));
  TRY(hold_limits(update.request.limits, update.host.jails, update.host.profiles.config, update.host.proc_dir,
                  reserve));
  update.step = "audit";
  TRY(record(update, *profile));
  fault_point("update:acked");
  update.step = "limits";
  TRY(write_all_files(update, jail, reserve));
  wire::Readback facts;
  TRY(add_limit_facts(jail, facts.facts));
  return facts;
}

}  // namespace

void update_child(const Host& host, int connection, const wire::Message& message) {
  arm_faults(host.runtime_dir);
  auto request = wire::body_of<wire::UpdateRequest>(message);
  const auto fail = [&](const std::string& step, const Error& error, bool denied) {
    return wire::send(connection, wire::LauncherMessage::kFailed, message.id,
                      wire::Failed{step, error.code, error.context, denied});
  };
  if (!request.ok()) ::_exit(fail("update", request.error(), true).ok() ? 0 : 1);
  if (!in_range(request->number, host.profiles.config)) {
    const Error error = sys_error_code(EINVAL, "number {} is not one of this daemon's", request->number);
    ::_exit(fail("number", error, true).ok() ? 0 : 1);
  }
  Update update{host, std::move(request).value()};
  const auto facts = carry_out(update);
  const Status answered = facts.ok() ? wire::send(connection, wire::LauncherMessage::kUpdated, message.id, *facts)
                                     : fail(update.step, facts.error(), update.denied);
  ::_exit(answered.ok() ? 0 : 1);
}

}  // namespace sandboxd::launcher
