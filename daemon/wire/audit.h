// What sandboxd and the launcher say to sandboxd-audit, a connection each (audit.sock for sandboxd, audit-launcher.sock for
// the launcher; SOCK_SEQPACKET). The socket a record came by says who wrote it; the record can't.
//
//   kAppend  AuditRecord  ->  kAck Ack      the record, and all before it in the log, are on stable storage
//                         ->  kRefused Failed-like text: not written (disk full, malformed); the act must not happen
//
// Appends are answered in order. A launcher's record with `ref` (the request id of sandboxd's intent) is acked only when an
// intent with that request id is in the log before it, else refused.
#pragma once

#include <cstdint>
#include <string>

#include "base/sha256.h"

namespace sandboxd::wire {

enum class AuditMessage : std::uint16_t { kAppend = 1, kAck = 101, kRefused = 102 };

enum class AuditPhase : std::uint8_t { kIntent = 0, kResult = 1, kEvent = 2 };

struct AuditRecord {
  std::string action{};  // "jail.start", "jail.launch", "jail.exit" ...
  AuditPhase phase = AuditPhase::kEvent;
  std::string outcome{};  // allow | deny | ok | error | unknown
  std::string request{};  // correlation id: of the request that this belongs to
  std::string jail{};
  std::uint32_t uid = 0;  // the actor's uid
  std::string detail{};   // a JSON object; parsed and re-serialised by the audit program, refused if it isn't one
  std::string id{};       // of what may be sent twice: two records of one id are one record; empty for the others

  template <class A> void fields(A& a) {
    a(action);
    a(phase);
    a(outcome);
    a(request);
    a(jail);
    a(uid);
    a(detail);
    a(id);
  }
};

struct Ack {
  std::uint64_t index = 0;
  Sha256Digest leaf_hash{};
  template <class A> void fields(A& a) {
    a(index);
    a(leaf_hash);
  }
};

struct Refused {
  std::int32_t code = 0;
  std::string detail{};
  template <class A> void fields(A& a) {
    a(code);
    a(detail);
  }
};

}  // namespace sandboxd::wire
