// The writer of the audit log, the only one (a lock on the directory keeps it so). Records are staged, then committed: one
// pwrite and one fdatasync for all of them, into a segment that was filled with zeros before. Only after commit() said
// `kDurable` may anyone be told. Any I/O error but a full disk is final: the object must not be used again, and the program
// must end (a second fsync may succeed without the data: see fsync(2), and PostgreSQL's data_sync_retry).
//
//   DIR/seg/<first index, hex16>.seg    DIR/quarantine/ (quarantine.h)    DIR/lock
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/audit/record.h"
#include "daemon/audit/scan.h"
#include "daemon/wire/audit.h"

namespace sandboxd::audit {

inline constexpr std::size_t kSegmentBytes = 16U << 20;

enum class Commit : std::uint8_t { kDurable, kNoSpace };

// The index of the newest intents by request id; bounded.
class Intents {
 public:
  [[nodiscard]] std::optional<std::uint64_t> find(const std::string& request) const;
  void add(const std::string& request, std::uint64_t index);  // the first one of a request stays
  void forget_from(std::uint64_t index);                      // of a batch that was not written

 private:
  std::unordered_map<std::string, std::uint64_t> by_request_;
  std::deque<std::string> order_;
};

class Log {
 public:
  // Reads the newest two segments; moves a torn end aside and records that. EBADMSG when something that was written whole has
  // been changed, with the place; EWOULDBLOCK when another writer runs; EPERM when the directory isn't ours alone.
  static Result<Log> open(const std::string& directory, std::size_t segment_bytes = kSegmentBytes);

  // Checks and adds to the batch. An error refuses this record and leaves the batch as it was.
  Result<wire::Ack> stage(const wire::AuditRecord& record, Source source);
  [[nodiscard]] bool has_intent(const std::string& request) const { return intents_.find(request).has_value(); }
  [[nodiscard]] bool is_full() const;  // commit before the next stage()
  [[nodiscard]] bool is_empty() const { return staged_records_ == 0; }

  // kNoSpace: nothing of the batch is on the disk, the log stands where it stood, and the batch is dropped.
  Result<Commit> commit();

  // How long the caller may wait for something to do before prepare_step(), in ms: 0 when the next segment is to be prepared
  // now (a small part at each step), -1 when it isn't. A full disk puts it off.
  [[nodiscard]] int idle_wait_ms() const;
  Status prepare_step();

  [[nodiscard]] const Position& position() const { return committed_; }

 private:
  struct Segment {
    UniqueFd fd{};
    std::uint64_t first = 0;
    std::size_t end = 0;       // offset of the next commit
    std::size_t capacity = 0;  // its size: written over, never grown
  };

  Status lock_directory(const std::string& directory);
  Status read_segments();
  Status read_segment(std::uint64_t first, bool newest);
  Status cut_tail(const Segment& segment, std::string_view tail);
  Status record_recovered();
  Status fill(std::size_t most);
  Result<Commit> next_segment();
  Status close_segment();
  void drop_batch();

  std::string directory_;
  std::size_t segment_bytes_ = kSegmentBytes;
  UniqueFd root_, lock_, segments_, quarantine_;
  std::optional<Segment> segment_;
  UniqueFd next_;  // "seg/next": becomes the next segment
  std::size_t next_filled_ = 0;
  std::uint64_t prepare_after_ = 0;  // CLOCK_MONOTONIC, microseconds: the disk was full
  Position committed_{};
  Position staged_{};
  std::string batch_;
  std::size_t staged_records_ = 0;
  Intents intents_;
};

}  // namespace sandboxd::audit
