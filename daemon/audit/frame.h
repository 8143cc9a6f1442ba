// The audit log's bytes: text that grep and jq read, framed so that a torn end is exact. Two kinds of line:
//
//   R <index hex16> <length hex5> <CRC-32C hex8> <JSON>\n         one record; the JSON begins at column 35
//   C <records hex16> <batch bytes hex8> <leaf hash hex64>\n      the end of what one commit wrote; not a record
//
// Leaf hash of a record = SHA-256(0x00 || JSON) (RFC 6962, 2.1) = the next record's "prev_hash"; the first one's is zeros.
// Lengths and CRCs are aids for reading and are never trusted: the hash chain decides. A segment's unused end is zero bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/sha256.h"

namespace sandboxd::audit {

inline constexpr std::size_t kMaxRecord = 32768;    // bytes of JSON
inline constexpr std::size_t kMaxBatch = 1U << 20;  // bytes of records in one commit
inline constexpr std::size_t kRecordPrefix = 34;    // "R " to the JSON
inline constexpr std::size_t kCommitLine = 2 + 16 + 1 + 8 + 1 + 64 + 1;

[[nodiscard]] Sha256Digest leaf_hash(std::string_view json);
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);  // RFC 3720, B.4

void append_record(std::string& out, std::uint64_t index, std::string_view json);
// `records`: how many the log has with this batch, which is the next one's index.
void append_commit(std::string& out, std::uint64_t records, std::size_t batch_bytes, const Sha256Digest& last_leaf);

}  // namespace sandboxd::audit
