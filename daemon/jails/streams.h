// A job's streams, from the moment when jail-init gave them out: read in chunks of at most 64 KiB and handed on at once, to the
// client's replies, to the job's log and to every client that is attached. Nothing is kept but the last 64 KiB of a job that can
// be attached to, and one chunk for each client: who reads slowly makes the job wait in write(2), as a pipe does. A job that can
// be attached to goes on without a reader. Done when both outputs have ended, or a moment after the last writer is known to be
// gone: a descriptor that left the jail can't hold the report back. Past output_max it is still read, and dropped but for its end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "daemon/jails/job_log.h"
#include "daemon/jails/output_limit.h"
#include "daemon/jails/watch.h"
#include "protocol/job.h"

namespace sandboxd::jails {

// What jail-init sends: pipes (stdin's write end, stdout's and, unless it is merged, stderr's read end), or a PTY's master.
enum class StreamKind : std::uint8_t { kPipes, kMerged, kTerminal };
[[nodiscard]] constexpr std::size_t descriptors_of(StreamKind kind) {
  return kind == StreamKind::kPipes ? 3 : kind == StreamKind::kMerged ? 2 : 1;
}

class Streams {
 public:
  using Output = std::function<void(int stream, std::string_view bytes)>;
  struct Options {
    StreamKind kind = StreamKind::kPipes;
    std::string input{};        // goes to standard input, which is then at its end; not for a terminal
    bool keep_input = false;    // it was given away: nothing is written here
    bool attachable = false;    // a terminal, or detached
    bool after_others = false;  // what else there is to hear at a time is heard before what is written
    Output output{};            // none: nobody hears of it by replies
    std::shared_ptr<JobLog> log{};
    std::uint64_t most = 0;          // output_max
    std::function<void()> over{};    // it was passed: once
    std::function<void()> active{};  // something was written; none: nobody asks
  };

  Status start(sd_event* loop, std::vector<UniqueFd> fds, Options options, std::function<void()> done);
  // Pipes of our own for one more client. Terminal: its write end to type, its read end to see. Else standard input's write end
  // (without a reader), and the read ends of the outputs. `token`: dropping it, or the client's closing of its ends, detaches.
  Result<std::vector<UniqueFd>> attach(std::uint64_t replay, std::shared_ptr<void>& token);
  // A line of ours, without its end, where the job's standard error goes; after its end to replies only.
  void say(const std::string& line);
  Status resize(protocol::WindowSize size);
  void pause(bool paused);
  void writers_are_gone();  // no writer is left that is ours
  void stop();              // without done()

  [[nodiscard]] bool running() const { return running_; }
  [[nodiscard]] bool attachable() const { return options_.attachable; }
  [[nodiscard]] std::uint32_t attached() const;

 private:
  struct Source {
    UniqueFd fd{};
    IoWatch watch{};
    std::string tail{};  // attachable: the last that was read
  };
  // Our end of one of a client's pipes.
  struct Sink {
    UniqueFd fd{};
    IoWatch watch{};
    std::string pending{};
    bool last = false;  // to be closed once what is pending was written
  };
  struct Attachment {
    std::array<Sink, 2> sinks{};
    UniqueFd input{};
    IoWatch input_watch{};
    bool gone = false;
  };

  Status watch_sources();
  Status watch_input(const std::weak_ptr<Attachment>& weak);
  void read_some(std::size_t index);
  void take(std::size_t index, std::string_view bytes);
  void hand_on(std::size_t index, std::string_view bytes);
  void push(const std::shared_ptr<Attachment>& to, std::size_t index, std::string_view bytes);
  void write_sink(const std::shared_ptr<Attachment>& to, std::size_t index);
  void drop(const std::shared_ptr<Attachment>& gone);
  void read_input(const std::shared_ptr<Attachment>& from);
  void write_input();
  void want_sources();
  [[nodiscard]] bool wanted(std::size_t index) const;
  void end(std::size_t index);
  void end_all();
  void check_done();

  sd_event* loop_ = nullptr;
  Options options_;
  std::array<Source, 2> sources_;  // standard output or the terminal, standard error
  UniqueFd input_;
  IoWatch input_watch_;
  std::string input_pending_;
  std::size_t input_written_ = 0;
  std::vector<std::shared_ptr<Attachment>> attachments_;
  std::function<void()> done_;
  OutputLimit limit_;
  Timer last_;
  bool running_ = false;
  bool paused_ = false;
  bool gone_ = false;
  bool progress_ = false;  // something was read since the last look
  bool had_reader_ = false;
};

}  // namespace sandboxd::jails
