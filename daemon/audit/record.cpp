#include "daemon/audit/record.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "daemon/audit/frame.h"
#include "daemon/audit/json_rules.h"

namespace sandboxd::audit {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 3> kPhases = {"intent", "result", "event"};
constexpr std::array<std::string_view, 5> kOutcomes = {"allow", "deny", "ok", "error", "unknown"};
constexpr std::size_t kMaxAction = 64;
constexpr std::size_t kMaxId = 128;

// Who alone may write an action that begins so: a taken-over sandboxd can't tell a launch that was none.
struct Reserved {
  std::string_view prefix;
  Source owner;
};
constexpr std::array kReserved = {
    Reserved{"audit.", Source::kAudit},
    Reserved{"jail.launch", Source::kLauncher},
    Reserved{"launcher.", Source::kLauncher},
};

bool is_action(std::string_view text) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_'; };
  return !text.empty() && text.size() <= kMaxAction && text.front() != '.' && text.back() != '.' &&
         text.find("..") == std::string_view::npos && std::all_of(text.begin(), text.end(), fits);
}

bool is_id(std::string_view text) {
  return text.size() <= kMaxId && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

Status check_owner(std::string_view action, Source source) {
  for (const Reserved& row : kReserved) {
    if (action.starts_with(row.prefix) && row.owner != source) {
      return sys_error_code(EPERM, "action {} is the {}'s alone", sandboxd::quoted(action), to_text(row.owner));
    }
  }
  return {};
}

}  // namespace

std::string_view to_text(Source source) {
  switch (source) {
    case Source::kSandboxd: return "sandboxd";
    case Source::kLauncher: return "launcher";
    case Source::kAudit: return "audit";
  }
  return "unknown";
}

Status check(const wire::AuditRecord& record, Source source) {
  if (!is_action(record.action))
    return sys_error_code(EINVAL, "action {}", sandboxd::quoted(record.action.substr(0, kMaxAction)));
  TRY(check_owner(record.action, source));
  if (static_cast<std::size_t>(record.phase) >= kPhases.size())
    return sys_error_code(EINVAL, "phase {}", static_cast<int>(record.phase));
  if (std::find(kOutcomes.begin(), kOutcomes.end(), record.outcome) == kOutcomes.end()) {
    return sys_error_code(EINVAL, "outcome {}", sandboxd::quoted(record.outcome.substr(0, kMaxAction)));
  }
  if (!is_id(record.request)) return sys_error_code(EINVAL, "request id of {} bytes", record.request.size());
  if (!is_id(record.jail)) return sys_error_code(EINVAL, "jail id of {} bytes", record.jail.size());
  if (!is_id(record.id)) return sys_error_code(EINVAL, "id of {} bytes", record.id.size());
  if (record.phase == wire::AuditPhase::kIntent && record.request.empty())
    return sys_error_code(EINVAL, "intent without a request id");
  if (record.detail.size() > kMaxRecord) return sys_error_code(E2BIG, "detail of {} bytes", record.detail.size());
  const std::optional<json> detail = parse_strict(record.detail);
  if (!detail || !detail->is_object()) return sys_error_code(EINVAL, "detail is not a JSON object of the log's rules");
  return {};
}

Result<std::string> to_json(const wire::AuditRecord& record, Source source, const Place& place) {
  std::optional<json> detail = parse_strict(record.detail);
  if (!detail) return sys_error_code(EINVAL, "detail is not a JSON object of the log's rules");
  json text = {
      {"action", record.action},
      {"actor", {{"source", to_text(source)}, {"uid", record.uid}}},
      {"detail", std::move(*detail)},
      {"outcome", record.outcome},
      {"phase", kPhases[static_cast<std::size_t>(record.phase)]},
      {"prev_hash", sandboxd::hex(place.previous)},
      {"seq", place.index},
      {"time", place.time},
      {"v", 1},
  };
  if (!record.id.empty()) text["id"] = record.id;
  if (!record.jail.empty()) text["jail"] = record.jail;
  if (!record.request.empty()) text["request"] = record.request;
  if (place.ref) text["ref"] = *place.ref;
  std::string out = text.dump();
  if (out.size() > kMaxRecord) return sys_error_code(E2BIG, "record of {} bytes (at most {})", out.size(), kMaxRecord);
  return out;
}

}  // namespace sandboxd::audit
