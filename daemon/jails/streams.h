// The relay of a job's output and input: reads both pipes in chunks of at most 64 KiB, hands each chunk on at once and keeps
// none, so that a paused relay makes the job wait in write(2). Done when both have ended, or a moment after the jail is gone
// with nothing left to read: a descriptor that left the jail can't hold the report back.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/jails/watch.h"

namespace sandboxd::jails {

class Streams {
 public:
  using Output = std::function<void(int stream, std::string_view bytes)>;

  // `fds`: stdin's write end, stdout's and stderr's read ends. `input` is written to the first, which is then closed.
  Status start(sd_event* loop, std::vector<UniqueFd> fds, std::string input, Output output, std::function<void()> done);
  void pause(bool paused);
  void jail_is_gone();  // no writer is left that is ours
  void stop();          // without done()
  [[nodiscard]] bool running() const { return running_; }

 private:
  struct Stream {
    UniqueFd fd{};
    IoWatch watch{};
  };

  void read_some(int stream);
  void write_some();
  void end(int stream);
  void end_all();
  void check_done();
  Status watch_all();

  sd_event* loop_ = nullptr;
  std::array<Stream, 3> streams_;
  std::string input_;
  std::size_t written_ = 0;
  Output output_;
  std::function<void()> done_;
  Timer last_;
  bool running_ = false;
  bool paused_ = false;
  bool gone_ = false;
  bool progress_ = false;  // something was read since the last look
};

}  // namespace sandboxd::jails
