#include "daemon/audit/log.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "daemon/audit/frame.h"
#include "daemon/audit/quarantine.h"
#include "daemon/audit/segments.h"

namespace sandboxd::audit {
namespace {

constexpr std::size_t kMaxBatchRecords = 4096;
constexpr std::size_t kMaxIntents = 65536;
constexpr std::size_t kFillStep = 256U << 10;
constexpr std::uint64_t kFullDiskPauseUsec = 1'000'000;
constexpr char kNext[] = "next";

bool is_no_space(int code) { return code == ENOSPC || code == EDQUOT; }

Status write_at(int fd, std::string_view bytes, std::size_t offset) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return sys_error("pwrite");
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
    offset += static_cast<std::size_t>(wrote);
  }
  return {};
}

Status sync_data(int fd) { return ::fdatasync(fd) == 0 ? Status() : Status(sys_error("fdatasync")); }
Status sync_all(int fd, const char* what) { return ::fsync(fd) == 0 ? Status() : Status(sys_error("fsync {}", what)); }

Result<UniqueFd> make_directory(int parent, const char* name) {
  if (::mkdirat(parent, name, 0700) < 0 && errno != EEXIST) return sys_error("mkdir {}", sandboxd::quoted(name));
  UniqueFd fd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return sys_error("open {}", sandboxd::quoted(name));
  return fd;
}

Status check_is_ours(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("fstat");
  if (info.st_uid != ::geteuid() || (info.st_mode & 07777) != 0700) {
    return sys_error_code(EPERM, "must be this program's own (is uid {}, mode {:04o})", info.st_uid,
                          info.st_mode & 07777U);
  }
  return {};
}

}  // namespace

std::optional<std::uint64_t> Intents::find(const std::string& request) const {
  const auto found = by_request_.find(request);
  if (found == by_request_.end()) return std::nullopt;
  return found->second;
}

void Intents::add(const std::string& request, std::uint64_t index) {
  if (!by_request_.emplace(request, index).second) return;
  order_.push_back(request);
  if (order_.size() <= kMaxIntents) return;
  by_request_.erase(order_.front());
  order_.pop_front();
}

void Intents::forget_from(std::uint64_t index) {
  while (!order_.empty() && by_request_.at(order_.back()) >= index) {
    by_request_.erase(order_.back());
    order_.pop_back();
  }
}

Result<Log> Log::open(const std::string& directory, std::size_t segment_bytes) {
  Log log;
  log.directory_ = directory;
  log.segment_bytes_ = segment_bytes;
  TRY(log.lock_directory(directory).context("audit directory {}", sandboxd::quoted(directory)));
  TRY(log.read_segments().context("audit directory {}", sandboxd::quoted(directory)));
  TRY(log.record_recovered().context("audit directory {}", sandboxd::quoted(directory)));
  return log;
}

Status Log::lock_directory(const std::string& directory) {
  root_ = UniqueFd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root_) return sys_error("open");
  TRY(check_is_ours(root_.get()));
  lock_ = UniqueFd(::openat(root_.get(), "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!lock_) return sys_error("open 'lock'");
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) < 0) return sys_error("lock (is another audit program running?)");
  TRY_ASSIGN(segments_, make_directory(root_.get(), "seg"));
  TRY_ASSIGN(quarantine_, make_directory(root_.get(), "quarantine"));
  return sync_all(root_.get(), "audit directory");
}

Status Log::read_segments() {
  if (::unlinkat(segments_.get(), kNext, 0) < 0 && errno != ENOENT) return sys_error("remove 'seg/next'");
  TRY_ASSIGN(const std::vector<std::uint64_t> firsts, list_segments(segments_.get()));
  if (firsts.empty()) return {};
  // The newest alone may be empty; the one before it says what its first record must follow.
  for (std::size_t i = firsts.size() < 2 ? 0 : firsts.size() - 2; i < firsts.size(); ++i) {
    TRY(read_segment(firsts[i], i + 1 == firsts.size()).context("segment '{}'", segment_name(firsts[i])));
  }
  return {};
}

Status Log::read_segment(std::uint64_t first, bool newest) {
  Segment segment;
  segment.first = first;
  segment.fd = UniqueFd(::openat(segments_.get(), segment_name(first).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!segment.fd) return sys_error("open");
  TRY_ASSIGN(const std::string bytes, read_fd(segment.fd.get(), kMaxSegment));
  Position start = committed_;
  if (start.records == 0 && first != 0) {
    TRY_ASSIGN(start, start_of(first, bytes));
  }
  if (start.records != first) return sys_error_code(EBADMSG, "the log has {} records before it", start.records);
  const Scan scan = scan_segment(bytes, start, [this](std::uint64_t index, const nlohmann::json& record) {
    if (const auto request = intent_of(record)) intents_.add(*request, index);
  });
  if (scan.ending == Ending::kBroken || (scan.ending == Ending::kTorn && !newest)) {
    return sys_error_code(EBADMSG, "record {} at byte {}: {}", scan.bad_index, scan.bad_offset, scan.problem);
  }
  committed_ = staged_ = scan.end;
  if (!newest) return {};
  segment.end = scan.end_offset;
  segment.capacity = bytes.size();
  if (scan.ending == Ending::kTorn) {
    TRY(cut_tail(segment, std::string_view(bytes).substr(scan.end_offset, scan.tail_end - scan.end_offset))
            .context("cut off a torn end"));
  }
  segment_ = std::move(segment);
  return {};
}

Status Log::cut_tail(const Segment& segment, std::string_view tail) {
  TRY(set_aside(quarantine_.get(), segment.first, segment.end, tail));
  TRY(write_at(segment.fd.get(), std::string(tail.size(), '\0'), segment.end));
  return sync_data(segment.fd.get());
}

// Before anything else is written: what was cut off would be told by nobody.
Status Log::record_recovered() {
  TRY_ASSIGN(const std::vector<Aside> pending, list_pending(quarantine_.get()));
  for (const Aside& aside : pending) {
    wire::AuditRecord record;
    record.action = "audit.recovered";
    record.outcome = "ok";
    record.detail = aside.detail;
    const Result<wire::Ack> staged = stage(record, Source::kAudit);
    if (!staged.ok()) return staged.error();
    TRY_ASSIGN(const Commit done, commit());
    if (done == Commit::kNoSpace) return sys_error_code(ENOSPC, "record 'quarantine/{}'", aside.name);
    TRY(mark_recorded(quarantine_.get(), aside.name));
  }
  return {};
}

bool Log::is_full() const {
  const std::size_t longest = kRecordPrefix + kMaxRecord + 1 + kCommitLine;
  // A batch lies in one segment, however small segments are made for a test.
  const std::size_t most = std::min(kMaxBatch, segment_bytes_ / 2);
  return staged_records_ >= kMaxBatchRecords || (staged_records_ > 0 && batch_.size() + longest > most);
}

Result<wire::Ack> Log::stage(const wire::AuditRecord& record, Source source) {
  TRY(check(record, source));
  Place place{staged_.records, staged_.last_leaf, std::nullopt, rfc3339_now()};
  // Only sandboxd's: the launcher's word must not stand for it.
  const bool intent = record.phase == wire::AuditPhase::kIntent && source == Source::kSandboxd;
  if (!intent && !record.request.empty()) place.ref = intents_.find(record.request);
  TRY_ASSIGN(const std::string text, to_json(record, source, place));
  append_record(batch_, place.index, text);
  staged_ = {place.index + 1, leaf_hash(text)};
  ++staged_records_;
  if (intent) intents_.add(record.request, place.index);
  return wire::Ack{place.index, staged_.last_leaf};
}

void Log::drop_batch() {
  intents_.forget_from(committed_.records);
  staged_ = committed_;
  batch_.clear();
  staged_records_ = 0;
}

Result<Commit> Log::commit() {
  if (staged_records_ == 0) return Commit::kDurable;
  append_commit(batch_, staged_.records, batch_.size(), staged_.last_leaf);
  if (!segment_ || segment_->end + batch_.size() > segment_->capacity) {
    TRY_ASSIGN(const Commit made, next_segment());
    if (made == Commit::kNoSpace) {
      drop_batch();
      return made;
    }
  }
  TRY(write_at(segment_->fd.get(), batch_, segment_->end).context("write the audit log"));
  TRY(sync_data(segment_->fd.get()).context("write the audit log"));
  segment_->end += batch_.size();
  committed_ = staged_;
  batch_.clear();
  staged_records_ = 0;
  return Commit::kDurable;
}

int Log::idle_wait_ms() const {
  const bool wanted = next_filled_ < segment_bytes_ && (!segment_ || segment_->end * 2 > segment_->capacity);
  if (!wanted) return -1;
  const std::uint64_t now = monotonic_usec();
  return now >= prepare_after_ ? 0 : static_cast<int>((prepare_after_ - now + 999) / 1000);
}

Status Log::prepare_step() {
  Status filled = fill(kFillStep);
  if (filled.ok() || !is_no_space(filled.error().code)) return filled;
  prepare_after_ = monotonic_usec() + kFullDiskPauseUsec;
  return {};
}

// Real zeros, not a hole and not unwritten extents: those would make each fdatasync a journal commit. Reserved first, so that
// a full disk says so before anything is written.
Status Log::fill(std::size_t most) {
  if (!next_) {
    next_ = UniqueFd(::openat(segments_.get(), kNext, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!next_) return sys_error("create 'seg/next'");
    if (::fallocate(next_.get(), 0, 0, static_cast<off_t>(segment_bytes_)) < 0 && errno != EOPNOTSUPP) {
      const int code = errno;
      next_.reset();
      ::unlinkat(segments_.get(), kNext, 0);
      return sys_error_code(code, "reserve {} bytes for 'seg/next'", segment_bytes_);
    }
  }
  const std::string zeros(std::min(most, segment_bytes_ - next_filled_), '\0');
  TRY(write_at(next_.get(), zeros, next_filled_).context("fill 'seg/next'"));
  next_filled_ += zeros.size();
  return sync_data(next_.get()).context("fill 'seg/next'");
}

Result<Commit> Log::next_segment() {
  const Status filled = next_filled_ < segment_bytes_ ? fill(segment_bytes_) : Status();
  if (!filled.ok()) {
    if (is_no_space(filled.error().code)) return Commit::kNoSpace;
    return filled.error();
  }
  TRY(sync_all(next_.get(), "'seg/next'"));
  TRY(close_segment());
  const std::string name = segment_name(committed_.records);
  if (::renameat(segments_.get(), kNext, segments_.get(), name.c_str()) < 0)
    return sys_error("rename 'seg/next' to '{}'", name);
  TRY(sync_all(segments_.get(), "segment directory"));
  segment_ = Segment{std::move(next_), committed_.records, 0, segment_bytes_};
  next_filled_ = 0;
  return Commit::kDurable;
}

Status Log::close_segment() {
  if (!segment_) return {};
  if (::ftruncate(segment_->fd.get(), static_cast<off_t>(segment_->end)) < 0)
    return sys_error("cut the zeros off segment '{}'", segment_name(segment_->first));
  return sync_all(segment_->fd.get(), "closed segment");
}

}  // namespace sandboxd::audit
