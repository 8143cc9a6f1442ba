// What a job wrote, kept for Logs: two files at most for a job in the daemon's log directory, of which the older goes when the
// newer is full, so that the end is always there. A record is a header (stream, length) and the bytes. Writing is to the page
// cache and synchronous; an error of the disk ends the log, never the job. The files go with the object.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/jails/watch.h"

namespace sandboxd::jails {

class JobLog {
 public:
  static constexpr std::uint64_t kSegment = 8U << 20;  // bytes; two of them

  // `directory`: ours alone. `name`: a file name.
  static Result<std::shared_ptr<JobLog>> create(const std::string& directory, const std::string& name);
  ~JobLog();
  JobLog(const JobLog&) = delete;
  JobLog& operator=(const JobLog&) = delete;

  void append(int stream, std::string_view bytes);
  void finish();   // nothing more comes
  void discard();  // nor is anything left to read
  [[nodiscard]] bool finished() const { return finished_; }

  struct Place {
    std::uint64_t record = 0;   // offset in all that was ever written, headers included
    std::uint64_t payload = 0;  // the same without headers
  };
  struct Piece {
    int stream = 0;
    std::string bytes{};
    std::uint64_t dropped = 0;  // bytes that are gone, before it
  };
  // The record at `place`, which moves on; nothing when there is none yet.
  Result<std::optional<Piece>> read(Place& place) const;
  // Called after each append and at the end, from within them, for as long as the token lives.
  std::shared_ptr<void> listen(std::function<void()> changed);

 private:
  struct Segment {
    std::string path{};
    Place first{};
    std::uint64_t size = 0;
  };
  JobLog(std::string directory, std::string name) : directory_(std::move(directory)), name_(std::move(name)) {}
  Status next_segment();
  void tell();

  std::string directory_, name_;
  std::vector<Segment> segments_;  // oldest first
  UniqueFd file_;                  // of the last
  Place end_{};
  std::uint32_t made_ = 0;
  bool finished_ = false;
  std::vector<std::weak_ptr<std::function<void()>>> listeners_;
};

// The logs of each user's jobs. A user's next one takes the place of the oldest that is finished, so that no user fills the disk,
// which the audit log needs too.
class JobLogs {
 public:
  static constexpr std::size_t kMost = 64;  // of one user; a GiB

  // EDQUOT: none of them is finished.
  Result<std::shared_ptr<JobLog>> create(uid_t uid, const std::string& directory, const std::string& name);

 private:
  std::map<uid_t, std::vector<std::weak_ptr<JobLog>>> logs_;  // oldest first
};

// Removes what an earlier life left in the log directory.
Status empty_log_directory(const std::string& directory);

}  // namespace sandboxd::jails
