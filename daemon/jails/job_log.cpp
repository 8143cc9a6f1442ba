#include "daemon/jails/job_log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/text.h"

namespace sandboxd::jails {
namespace {

struct Header {
  std::uint8_t stream = 0;
  std::array<std::uint8_t, 3> reserved{};
  std::uint32_t size = 0;
};
static_assert(sizeof(Header) == 8);
constexpr std::size_t kMostRecord = 1U << 20;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

Status write_record(int fd, const Header& header, std::string_view bytes) {
  std::array<iovec, 2> parts = {iovec{const_cast<Header*>(&header), sizeof header},
                                iovec{const_cast<char*>(bytes.data()), bytes.size()}};
  const ssize_t wrote = ::writev(fd, parts.data(), static_cast<int>(parts.size()));
  if (wrote < 0) return sys_error("write");
  if (static_cast<std::size_t>(wrote) != sizeof header + bytes.size()) return sys_error_code(ENOSPC, "write");
  return {};
}

}  // namespace

Result<std::shared_ptr<JobLog>> JobLog::create(const std::string& directory, const std::string& name) {
  const std::shared_ptr<JobLog> log(new JobLog(directory, name));
  TRY(log->next_segment());
  return log;
}

JobLog::~JobLog() {
  for (const Segment& segment : segments_) ::unlink(segment.path.c_str());
}

Status JobLog::next_segment() {
  Segment segment;
  segment.path = fmt::format("{}/{}.{}", directory_, name_, ++made_);
  segment.first = end_;
  file_.reset();
  // The older one is written over, not made anew: its pages and blocks are there.
  int create = O_CREAT | O_EXCL;
  if (segments_.size() == 2) {
    if (::rename(segments_.front().path.c_str(), segment.path.c_str()) < 0) return sys_error("rename the log");
    segments_.erase(segments_.begin());
    create = 0;
  }
  file_.reset(::open(segment.path.c_str(), O_WRONLY | O_CLOEXEC | create, 0600));
  if (!file_) return sys_error("open {}", sandboxd::quoted(segment.path));
  segments_.push_back(std::move(segment));
  return {};
}

void JobLog::append(int stream, std::string_view bytes) {
  if (finished_ || bytes.empty()) return;
  Status written;
  if (segments_.back().size >= kSegment) written = next_segment();
  Header header;
  header.stream = static_cast<std::uint8_t>(stream);
  header.size = static_cast<std::uint32_t>(bytes.size());
  if (written.ok()) written = write_record(file_.get(), header, bytes);
  if (!written.ok()) {
    spdlog::error("log of {}: {}", name_, written.error().message());
    return finish();
  }
  const std::uint64_t size = sizeof header + bytes.size();
  segments_.back().size += size;
  end_.record += size;
  end_.payload += bytes.size();
  tell();
}

void JobLog::finish() {
  if (std::exchange(finished_, true)) return;
  file_.reset();
  tell();
}

void JobLog::discard() {
  finish();
  for (const Segment& segment : segments_) ::unlink(segment.path.c_str());
  segments_.clear();
}

void JobLog::tell() {
  std::erase_if(listeners_, [](const auto& weak) { return weak.expired(); });
  const auto listeners = listeners_;
  for (const auto& weak : listeners) {
    if (const auto listener = weak.lock()) (*listener)();
  }
}

std::shared_ptr<void> JobLog::listen(std::function<void()> changed) {
  auto listener = std::make_shared<std::function<void()>>(std::move(changed));
  listeners_.push_back(listener);
  return listener;
}

Result<std::optional<JobLog::Piece>> JobLog::read(Place& place) const {
  Piece piece;
  if (segments_.empty()) {
    if (place.record >= end_.record) return std::optional<Piece>();
    piece.stream = 1;
    piece.dropped = end_.payload - place.payload;
    place = end_;
    return std::optional<Piece>(std::move(piece));
  }
  const Place& first = segments_.front().first;
  if (place.record < first.record) {
    piece.dropped = first.payload - place.payload;
    place = first;
  }
  if (place.record >= end_.record) return std::optional<Piece>();
  const auto after =
      std::ranges::upper_bound(segments_, place.record, {}, [](const Segment& s) { return s.first.record; });
  const Segment& segment = *std::prev(after);
  const UniqueFd file(::open(segment.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return sys_error("open the log");
  Header header;
  const auto at = static_cast<off_t>(place.record - segment.first.record);
  if (::pread(file.get(), &header, sizeof header, at) != sizeof header || header.size > kMostRecord)
    return sys_error_code(EIO, "read the log");
  piece.stream = header.stream;
  piece.bytes.resize(header.size);
  if (::pread(file.get(), piece.bytes.data(), header.size, at + static_cast<off_t>(sizeof header)) !=
      static_cast<ssize_t>(header.size)) {
    return sys_error_code(EIO, "read the log");
  }
  place.record += sizeof header + header.size;
  place.payload += header.size;
  return std::optional<Piece>(std::move(piece));
}

Result<std::shared_ptr<JobLog>> JobLogs::create(uid_t uid, const std::string& directory, const std::string& name) {
  for (auto& [owner, row] : logs_) std::erase_if(row, [](const auto& weak) { return weak.expired(); });
  std::erase_if(logs_, [](const auto& row) { return row.second.empty(); });
  auto& logs = logs_[uid];
  if (logs.size() >= kMost) {
    const auto oldest = std::ranges::find_if(logs, [](const auto& weak) { return weak.lock()->finished(); });
    if (oldest == logs.end()) return sys_error_code(EDQUOT, "{} jobs of uid {} are being logged", kMost, uid);
    oldest->lock()->discard();
    logs.erase(oldest);
  }
  TRY_ASSIGN(std::shared_ptr<JobLog> log, JobLog::create(directory, name));
  logs.push_back(log);
  return log;
}

Status empty_log_directory(const std::string& directory) {
  const std::unique_ptr<DIR, CloseDirectory> list(::opendir(directory.c_str()));
  if (!list) return sys_error("open {}", sandboxd::quoted(directory));
  while (const dirent* entry = ::readdir(list.get())) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (::unlinkat(::dirfd(list.get()), name.c_str(), 0) < 0) return sys_error("remove {}", sandboxd::quoted(name));
  }
  return {};
}

}  // namespace sandboxd::jails
