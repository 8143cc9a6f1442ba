// The blocking way to have a job's streams: one poll loop over its pipes and its replies.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "sandboxd-client/inside.h"

namespace sandboxd::client {
namespace {

constexpr std::size_t kChunk = 65536;
constexpr short kReadable = POLLIN | POLLHUP | POLLERR;

// write(2) that gives EPIPE and no signal, whatever the program does with SIGPIPE: this is its process, not ours.
ssize_t write_quietly(int fd, std::string_view bytes) {
  sigset_t pipe_only;
  sigset_t before;
  sigset_t pending;
  ::sigemptyset(&pipe_only);
  ::sigaddset(&pipe_only, SIGPIPE);
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
  const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
  const int code = errno;
  if (wrote < 0 && code == EPIPE && ::sigismember(&pending, SIGPIPE) == 0) {
    const timespec now{};
    (void)::sigtimedwait(&pipe_only, nullptr, &now);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = code;
  return wrote;
}

class Pump {
 public:
  Pump(Job& job, const Sink& on_output, const Sink& on_error, std::string_view input)
      : job_(job), on_output_(on_output), on_error_(on_error), input_(input) {}

  Expected<JobReport> run() {
    if (job_.input) {
      const int flags = ::fcntl(job_.input.get(), F_GETFL);
      (void)::fcntl(job_.input.get(), F_SETFL, flags | O_NONBLOCK);
    }
    // What came with the start is here already, and no poll(2) tells of it.
    if (Expected<void> taken = take_updates(); !taken) return std::move(taken).error();
    for (;;) {
      if (input_.empty() && !job_.has_terminal()) job_.input.reset();
      // What is stuck keeps its pipes open; what it had written was taken before the report.
      const bool stuck = report_ && report_->verdict == Verdict::kStuck;
      if (report_ && (stuck || (!job_.output && !job_.error))) return std::move(*report_);
      if (Expected<void> done = turn(); !done) return std::move(done).error();
    }
  }

 private:
  Expected<void> turn() {
    // poll(2) passes over negative descriptors.
    std::array<pollfd, 4> polled = {{{report_ ? -1 : job_.fd(), POLLIN, 0},
                                     {job_.output.get(), POLLIN, 0},
                                     {job_.error.get(), POLLIN, 0},
                                     {input_.empty() ? -1 : job_.input.get(), POLLOUT, 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0) {
      return errno == EINTR ? Expected<void>() : Expected<void>(error_of(sys_error("poll")));
    }
    if ((polled[1].revents & kReadable) != 0) read_some(job_.output, on_output_);
    if ((polled[2].revents & kReadable) != 0) read_some(job_.error, on_error_);
    if (polled[3].revents != 0) write_some();
    return (polled[0].revents & kReadable) != 0 ? take_updates() : Expected<void>();
  }

  void read_some(Fd& from, const Sink& sink) {
    char bytes[kChunk];
    const ssize_t got = ::read(from.get(), bytes, sizeof bytes);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      from.reset();  // EIO is a terminal's way to say that nobody is left
    } else if (sink) {
      sink({bytes, static_cast<std::size_t>(got)});
    }
  }

  void write_some() {
    const ssize_t wrote = write_quietly(job_.input.get(), input_.substr(0, kChunk));
    if (wrote > 0) {
      input_.remove_prefix(static_cast<std::size_t>(wrote));
    } else if (wrote < 0 && errno != EINTR && errno != EAGAIN) {
      input_ = {};  // a job that reads no more is no failure
    }
  }

  Expected<void> take_updates() {
    Expected<std::optional<Update>> update = job_.next(Milliseconds(0));
    for (; update && update.value(); update = job_.next(Milliseconds(0))) {
      if (update.value()->output) {
        const Output& output = *update.value()->output;
        const Sink& sink = output.is_error ? on_error_ : on_output_;
        if (sink) sink(output.data);
      }
      if (update.value()->report) {
        report_ = std::move(update.value()->report);
        input_ = {};
        return {};
      }
    }
    return update ? Expected<void>() : Expected<void>(std::move(update).error());
  }

  Job& job_;
  const Sink& on_output_;
  const Sink& on_error_;
  std::string_view input_;
  std::optional<JobReport> report_{};
};

}  // namespace

Expected<JobReport> Job::stream(const Sink& on_output, const Sink& on_error, std::string_view input_data) noexcept {
  return Pump(*this, on_output, on_error, input_data).run();
}

Expected<Completed> Job::communicate(std::string_view input_data) noexcept {
  Completed completed;
  Expected<JobReport> report = stream([&](std::string_view bytes) { completed.out += bytes; },
                                      [&](std::string_view bytes) { completed.error += bytes; }, input_data);
  if (!report) return std::move(report).error();
  completed.report = std::move(report).value();
  return completed;
}

}  // namespace sandboxd::client
