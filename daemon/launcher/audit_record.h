// The launcher's own records: sent to the audit program, acked when they and sandboxd's intent that they cite are durable.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/wire/audit.h"

namespace sandboxd::launcher {

// The connection that the ack comes by.
Result<UniqueFd> send_audit(const std::string& runtime_dir, const wire::AuditRecord& record);
// The record's index in the log; ETIMEDOUT, or why it was refused.
Result<std::uint64_t> await_audit(int connection, std::uint64_t patience_usec);

}  // namespace sandboxd::launcher
