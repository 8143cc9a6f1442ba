// sandboxd-audit: the one writer of the audit log (daemon/wire/audit.h), below SANDBOXD_STATE_DIR/audit. Started with its
// sockets, under an id of its own, without a capability.
#include <csignal>
#include <cstdlib>
#include <string>

#include <fmt/core.h>
#include <openssl/crypto.h>

#include "base/ids.h"
#include "base/path.h"
#include "base/text.h"
#include "daemon/audit/frame.h"
#include "daemon/audit/server.h"
#include "daemon/confine/confine.h"

namespace {

using sandboxd::Result;
using sandboxd::Status;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<std::string> directory() {
  const std::string state = variable("SANDBOXD_STATE_DIR");
  if (!sandboxd::is_canonical_path(state))
    return sandboxd::make_error("SANDBOXD_STATE_DIR is {}", sandboxd::quoted(state));
  return state + "/audit";
}

Result<uid_t> sandboxd_uid() {
  const std::string text = variable("SANDBOXD_SLICE_FIRST");
  const auto first = sandboxd::parse_uint(text, sandboxd::kPoolLast);
  if (!first || !sandboxd::is_pool_id(static_cast<std::uint32_t>(*first))) {
    return sandboxd::make_error("SANDBOXD_SLICE_FIRST is {}", sandboxd::quoted(text));
  }
  return sandboxd::own_id(static_cast<std::uint32_t>(*first), sandboxd::OwnId::kSandboxd);
}

// Its absence at a later start's place in the log is a gap that shows: when this program ran, and which one.
Status record_opening(sandboxd::audit::Log& log) {
  sandboxd::wire::AuditRecord record;
  record.action = "audit.open";
  record.outcome = "ok";
  record.detail = R"({"format":1,"version":")" SANDBOXD_VERSION R"("})";
  TRY(log.stage(record, sandboxd::audit::Source::kAudit));
  TRY_ASSIGN(const sandboxd::audit::Commit done, log.commit());
  if (done == sandboxd::audit::Commit::kNoSpace)
    fmt::print(stderr, "sandboxd-audit: the disk is full: records are refused\n");
  return {};
}

Status run() {
  std::signal(SIGPIPE, SIG_IGN);
  TRY_ASSIGN(const std::string audit_directory, directory());
  TRY_ASSIGN(const uid_t uid, sandboxd_uid());
  TRY_ASSIGN(sandboxd::audit::Sockets sockets, sandboxd::audit::take_sockets());
  // Its configuration file has no say here, and what it loads at first use is loaded while it may.
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
  (void)sandboxd::audit::leaf_hash("");
  TRY(sandboxd::confine_self(sandboxd::Program::kAudit, {.readable = {}, .writable = {audit_directory}}));
  TRY_ASSIGN(sandboxd::audit::Log log, sandboxd::audit::Log::open(audit_directory));
  TRY(record_opening(log));
  return sandboxd::audit::Server(std::move(log), std::move(sockets), uid).run();
}

}  // namespace

int main() {
  const Status done = run();
  if (done.ok()) return 0;
  fmt::print(stderr, "sandboxd-audit: {}\n", done.error().message());
  return 1;
}
