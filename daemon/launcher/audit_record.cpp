#include "daemon/launcher/audit_record.h"

#include <cerrno>

#include <sys/socket.h>

#include "base/clock.h"
#include "base/socket.h"
#include "daemon/wire/message.h"

namespace sandboxd::launcher {

Result<UniqueFd> send_audit(const std::string& runtime_dir, const wire::AuditRecord& record) {
  TRY_ASSIGN(UniqueFd connection, connect_unix(runtime_dir + "/audit-launcher.sock", SOCK_SEQPACKET));
  TRY(wire::send(connection.get(), wire::AuditMessage::kAppend, 1, record));
  return connection;
}

Result<std::uint64_t> await_audit(int connection, std::uint64_t patience_usec) {
  TRY_ASSIGN(const bool ready, wait_readable(connection, monotonic_usec() + patience_usec));
  if (!ready) return sys_error_code(ETIMEDOUT, "no ack of the launcher's record");
  TRY_ASSIGN(const wire::Message answer, wire::receive_message(connection, 0));
  if (answer.type == static_cast<std::uint16_t>(wire::AuditMessage::kAck)) {
    TRY_ASSIGN(const wire::Ack ack, wire::body_of<wire::Ack>(answer));
    return ack.index;
  }
  TRY_ASSIGN(const wire::Refused refused, wire::body_of<wire::Refused>(answer));
  return Error{refused.code, fmt::format("the launcher's record was refused: {}", refused.detail)};
}

}  // namespace sandboxd::launcher
