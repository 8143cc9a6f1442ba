#include "daemon/jails/streams.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace sandboxd::jails {
namespace {

constexpr std::size_t kChunk = 64U << 10;
constexpr std::uint64_t kLastWords = 500'000;

Status set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return sys_error("fcntl O_NONBLOCK");
  return {};
}

}  // namespace

Status Streams::start(sd_event* loop, std::vector<UniqueFd> fds, std::string input, Output output,
                      std::function<void()> done) {
  loop_ = loop;
  input_ = std::move(input);
  output_ = std::move(output);
  done_ = std::move(done);
  running_ = true;
  for (std::size_t i = 0; i < streams_.size(); ++i) {
    streams_[i].fd = std::move(fds[i]);
    TRY(set_nonblocking(streams_[i].fd.get()));
  }
  TRY(watch_all());
  if (paused_) pause(true);
  write_some();
  return {};
}

Status Streams::watch_all() {
  if (!input_.empty()) {
    TRY(streams_[0].watch.start(loop_, streams_[0].fd.get(), EPOLLOUT, [this](std::uint32_t) { write_some(); }));
  }
  for (const int i : {1, 2}) {
    Stream& stream = streams_[static_cast<std::size_t>(i)];
    TRY(stream.watch.start(loop_, stream.fd.get(), EPOLLIN, [this, i](std::uint32_t) { read_some(i); }));
  }
  return {};
}

void Streams::pause(bool paused) {
  paused_ = paused;
  for (const std::size_t i : {1U, 2U}) {
    if (streams_[i].watch.active()) (void)streams_[i].watch.set_events(paused ? 0 : std::uint32_t{EPOLLIN});
  }
  if (paused) last_.stop();
  if (!paused && gone_) jail_is_gone();
}

void Streams::write_some() {
  // One write: the pipe is watched, and the job may be slow.
  if (written_ < input_.size()) {
    const ssize_t wrote = ::write(streams_[0].fd.get(), input_.data() + written_, input_.size() - written_);
    if (wrote < 0 && (errno == EAGAIN || errno == EINTR)) return;
    written_ =
        wrote < 0 ? input_.size() : written_ + static_cast<std::size_t>(wrote);  // EPIPE: the job doesn't read it
  }
  if (written_ < input_.size()) return;
  streams_[0].watch.stop();
  streams_[0].fd.reset();
  input_ = {};
  written_ = 0;
}

void Streams::read_some(int stream) {
  static char buffer[kChunk];  // one thread, one loop
  Stream& from = streams_[static_cast<std::size_t>(stream)];
  const ssize_t got = ::read(from.fd.get(), buffer, sizeof buffer);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return end(stream);
  progress_ = true;
  const auto output = output_;
  output(stream, {buffer, static_cast<std::size_t>(got)});
}

void Streams::end(int stream) {
  streams_[static_cast<std::size_t>(stream)].watch.stop();
  streams_[static_cast<std::size_t>(stream)].fd.reset();
  check_done();
}

void Streams::check_done() {
  if (!running_ || streams_[1].fd || streams_[2].fd) return;
  stop();
  const auto done = std::move(done_);
  done();
}

void Streams::jail_is_gone() {
  gone_ = true;
  if (!running_ || paused_) return;
  progress_ = false;
  const Status armed = last_.arm(loop_, kLastWords, [this] {
    if (progress_) return jail_is_gone();  // what was written is still being read
    end_all();
  });
  if (!armed.ok()) end_all();
}

void Streams::end_all() {
  streams_[1].watch.stop();
  streams_[1].fd.reset();
  if (running_) end(2);
}

void Streams::stop() {
  running_ = false;
  last_.stop();
  for (Stream& stream : streams_) {
    stream.watch.stop();
    stream.fd.reset();
  }
}

}  // namespace sandboxd::jails
