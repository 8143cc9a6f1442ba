// The fifth part of daemon/jails/jail.h: what its jobs asked for and did not get, told to who asked to hear of it.
#include <cstring>
#include <utility>

#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "daemon/jails/jail.h"
#include "protocol/codec.h"
#include "protocol/json.h"

namespace sandboxd::jails {
namespace {

using protocol::Verdict;

// The limit behind a verdict; empty where there is none.
std::string limit_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOom: return "memory_max";
    case Verdict::kTimeoutWall: return "wall_time";
    case Verdict::kTimeoutCpu: return "cpu_time";
    case Verdict::kTimeoutIdle: return "idle_time";
    case Verdict::kOutputLimit: return "output_max";
    default: return {};
  }
}

}  // namespace

void Jail::on_denied(const wire::InitEventRecord& record) {
  const wire::Profile* profile = profiles_ ? profiles_->find(plan_.profile) : nullptr;
  if (!plan_.explain_denials || profile == nullptr) return on_breach("a refused call that nobody asked for");
  if (record.value > 0) refusals_.add_untold(static_cast<std::uint64_t>(record.value));
  wire::DeniedCall call;
  std::memcpy(&call, record.text, sizeof call);
  if (call.number < 0) return;
  protocol::Denial denial = refused_call(call, record.code, *profile, *profiles_);
  const bool known = (record.job == wire::kFirstJob && !plan_.session) || jobs_.contains(record.job);
  denial.job = known ? record.job : 0;
  tell(std::move(denial));
}

void Jail::on_learned(const wire::InitEventRecord& record) {
  wire::LearnedPart part;
  std::memcpy(&part, record.text, sizeof part);
  if (!learned_.take(part)) on_breach("something learned that is malformed");
}

protocol::LearnedProfile Jail::learned(const std::string& name) const {
  return learned_profile(name, learned_, shown_argv_, plan_, *profiles_);
}

// What the job itself asked for is its own, the jail's is everybody's.
void Jail::note_limit(const protocol::JobReport& report) {
  const std::string limit = limit_of(report.verdict);
  if (limit.empty() || (limit == "memory_max" && plan_.limits.memory_max == 0)) return;
  protocol::Denial denial = refused_by_limit(limit, plan_.limits, plan_.profile);
  if (!report.detail.empty()) denial.rule = report.detail;
  denial.job = limit == "memory_max" ? 0 : report.job;
  tell(std::move(denial));
}

void Jail::note_limit_event(const std::string& kind) {
  if (kind == "disk_full") tell(refused_by_limit("scratch_max", plan_.limits, plan_.profile));
  if (kind == "pids_limit") tell(refused_by_limit("pids_max", plan_.limits, plan_.profile));
}

void Jail::tell(protocol::Denial denial) {
  const protocol::Denial* added = refusals_.add(std::move(denial));
  if (added == nullptr) return;
  // A jail that finds ever new things to be refused does not push everybody's events out of their ring.
  if (refusals_.added() <= Refusals::kMost) emit("refused", protocol::to_text(protocol::encode(*added)));
  if (plan_.explain_denials) say(added->job, denial_line(*added));
}

void Jail::say(std::uint32_t job, const std::string& line) {
  if (!plan_.session) return reported_ ? void() : streams_.say(line);
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;
  const auto keep = found->second;
  keep->say(line);
}

}  // namespace sandboxd::jails
