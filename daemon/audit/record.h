// One record of the audit log as JSON, and what a record from another program must be before it may become one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/sha256.h"
#include "daemon/wire/audit.h"

namespace sandboxd::audit {

// Who wrote it: known by the socket that it came by, never by what it says.
enum class Source : std::uint8_t { kSandboxd = 0, kLauncher = 1, kAudit = 2 };
[[nodiscard]] std::string_view to_text(Source source);

struct Place {
  std::uint64_t index = 0;
  Sha256Digest previous{};
  std::optional<std::uint64_t> ref{};  // the index of the intent that this belongs to
  std::string time{};                  // RFC 3339, UTC
};

// EINVAL, E2BIG or EPERM, with the member that is wrong: a dotted action (those of the audit program and of the launcher are
// theirs alone), a known outcome, ids of printable ASCII, and a detail that keeps the log's JSON rules.
Status check(const wire::AuditRecord& record, Source source);

// The canonical text, at most kMaxRecord bytes (E2BIG). Checked before.
Result<std::string> to_json(const wire::AuditRecord& record, Source source, const Place& place);

}  // namespace sandboxd::audit
