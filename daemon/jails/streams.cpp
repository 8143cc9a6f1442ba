#include "daemon/jails/streams.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/prompt_release.h"

namespace sandboxd::jails {
namespace {

constexpr std::size_t kChunk = 64U << 10;
constexpr std::size_t kTail = 64U << 10;
constexpr std::size_t kTyped = 4U << 10;
constexpr int kPipeSize = 1 << 20;
constexpr std::uint64_t kLastWords = 500'000;

char g_buffer[kChunk];  // one thread, one loop

Status set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return sys_error("fcntl O_NONBLOCK");
  return {};
}

struct Pipe {
  UniqueFd read{}, write{};
};
Result<Pipe> make_pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) < 0) return sys_error("pipe2");
  Pipe made{UniqueFd(ends[0]), UniqueFd(ends[1])};
  // Less is only slower: the kernel bounds what one user may have in pipes (pipe(7)).
  (void)::fcntl(made.write.get(), F_SETPIPE_SZ, kPipeSize);
  return made;
}

// What jail-init made it may have kept: O_NONBLOCK is of the open file, which it can change at any time (fcntl(2)).
bool was_made_to_block(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags < 0 || (flags & O_NONBLOCK) == 0;
}

// A read or write that waits because of that ends within two milliseconds.
ssize_t promptly(const auto& call) {
  const PromptRelease prompt;
  return call();
}

void keep_tail(std::string& tail, std::string_view bytes) {
  if (bytes.size() >= kTail) {
    tail.assign(bytes.substr(bytes.size() - kTail));
    return;
  }
  tail.append(bytes);
  if (tail.size() > 2 * kTail) tail.erase(0, tail.size() - kTail);
}

std::string_view last_of(std::string_view tail, std::uint64_t most) {
  most = std::min<std::uint64_t>({most, kTail, tail.size()});
  return tail.substr(tail.size() - most);
}

}  // namespace

Status Streams::start(sd_event* loop, std::vector<UniqueFd> fds, Options options, std::function<void()> done) {
  loop_ = loop;
  options_ = std::move(options);
  done_ = std::move(done);
  limit_ = OutputLimit(options_.most);
  running_ = true;
  if (options_.kind == StreamKind::kTerminal) {
    // A second descriptor: epoll takes each only once, and the two directions are watched apart.
    input_.reset(::fcntl(fds[0].get(), F_DUPFD_CLOEXEC, 3));
    if (!input_) return sys_error("dup the terminal");
    sources_[0].fd = std::move(fds[0]);
  } else {
    if (!options_.keep_input) input_ = std::move(fds[0]);
    sources_[0].fd = std::move(fds[1]);
    if (options_.kind == StreamKind::kPipes) sources_[1].fd = std::move(fds[2]);
  }
  input_pending_ = std::move(options_.input);
  if (input_) TRY(set_nonblocking(input_.get()));
  TRY(watch_sources());
  want_sources();
  if (options_.kind != StreamKind::kTerminal) write_input();
  return {};
}

Status Streams::watch_sources() {
  if (input_ && (options_.kind == StreamKind::kTerminal || !input_pending_.empty())) {
    TRY(input_watch_.start(loop_, input_.get(), EPOLLOUT, [this](std::uint32_t) { write_input(); }));
    if (input_pending_.empty()) TRY(input_watch_.set_events(0));
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    Source& source = sources_[i];
    if (!source.fd) continue;
    TRY(set_nonblocking(source.fd.get()));
    // Measured (bench_stream): with 1 MiB before and behind us a relay that copies beats one that splices.
    (void)::fcntl(source.fd.get(), F_SETPIPE_SZ, kPipeSize);
    TRY(source.watch.start(loop_, source.fd.get(), EPOLLIN, [this, i](std::uint32_t) { read_some(i); }));
    if (options_.after_others) TRY(source.watch.after_others());
  }
  return {};
}

std::uint32_t Streams::attached() const { return static_cast<std::uint32_t>(attachments_.size()); }

Result<std::vector<UniqueFd>> Streams::attach(std::uint64_t replay, std::shared_ptr<void>& token) {
  auto made = std::make_shared<Attachment>();
  std::vector<UniqueFd> theirs;
  TRY_ASSIGN(Pipe input, make_pipe());
  theirs.push_back(std::move(input.write));
  if (options_.kind == StreamKind::kTerminal) {
    made->input = std::move(input.read);
    TRY(set_nonblocking(made->input.get()));
    TRY(watch_input(made));
  }
  for (std::size_t i = 0; i < (options_.kind == StreamKind::kPipes ? 2U : 1U); ++i) {
    TRY_ASSIGN(Pipe output, make_pipe());
    theirs.push_back(std::move(output.read));
    Sink& sink = made->sinks.at(i);
    sink.fd = std::move(output.write);
    TRY(set_nonblocking(sink.fd.get()));
    // Not asked for anything: only that the reader has gone (EPOLLERR).
    const auto ready = [this, weak = std::weak_ptr(made), i](std::uint32_t) {
      if (const auto attachment = weak.lock()) write_sink(attachment, i);
    };
    TRY(sink.watch.start(loop_, sink.fd.get(), EPOLLRDHUP, ready));
  }
  attachments_.push_back(made);
  had_reader_ = true;
  for (std::size_t i = 0; i < made->sinks.size(); ++i) {
    if (!made->sinks.at(i).fd) continue;
    made->sinks.at(i).last = !sources_.at(i).fd;
    push(made, i, last_of(sources_.at(i).tail, replay));
  }
  // Not null: whoever is given it asks whether there is one.
  token = std::shared_ptr<void>(made.get(), [this, weak = std::weak_ptr(made)](void*) {
    if (const auto attachment = weak.lock()) drop(attachment);
  });
  return theirs;
}

Status Streams::watch_input(const std::weak_ptr<Attachment>& weak) {
  const auto attachment = weak.lock();
  return attachment->input_watch.start(loop_, attachment->input.get(), EPOLLIN, [this, weak](std::uint32_t) {
    if (const auto from = weak.lock()) read_input(from);
  });
}

Status Streams::resize(protocol::WindowSize size) {
  if (options_.kind != StreamKind::kTerminal || !input_) return sys_error_code(ENOTTY, "resize");
  winsize window{};
  window.ws_row = size.rows;
  window.ws_col = size.columns;
  if (::ioctl(input_.get(), TIOCSWINSZ, &window) < 0) return sys_error("resize");
  return {};
}

void Streams::pause(bool paused) {
  paused_ = paused;
  if (paused) last_.stop();
  want_sources();
  if (!paused && gone_) writers_are_gone();
}

bool Streams::wanted(std::size_t index) const {
  if (paused_) return false;
  return std::ranges::all_of(attachments_, [index](const auto& to) {
    const Sink& sink = to->sinks.at(index);
    return sink.pending.empty();
  });
}

void Streams::want_sources() {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i].watch.active()) (void)sources_[i].watch.set_events(wanted(i) ? std::uint32_t{EPOLLIN} : 0);
  }
}

void Streams::read_some(std::size_t index) {
  Source& from = sources_.at(index);
  const ssize_t got = promptly([&] { return ::read(from.fd.get(), g_buffer, sizeof g_buffer); });
  const bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
  if (later && !was_made_to_block(from.fd.get())) return;
  if (got <= 0) return end(index);  // EIO of a terminal: nobody has it open any more
  progress_ = true;
  if (options_.active) options_.active();
  take(index, {g_buffer, static_cast<std::size_t>(got)});
}

void Streams::take(std::size_t index, std::string_view bytes) {
  const bool was_over = limit_.over();
  const std::size_t goes = limit_.take(index, bytes);
  const bool passed = !was_over && limit_.over();
  const auto over = options_.over;
  if (goes > 0) hand_on(index, bytes.substr(0, goes));
  if (passed && over) over();
}

void Streams::say(const std::string& line) {
  const std::size_t index = options_.kind == StreamKind::kPipes ? 1 : 0;
  const std::string whole = line + (options_.kind == StreamKind::kTerminal ? "\r\n" : "\n");
  if (running_) return hand_on(index, whole);
  const auto output = options_.output;
  if (output) output(static_cast<int>(index) + 1, whole);
}

void Streams::hand_on(std::size_t index, std::string_view bytes) {
  const int stream = static_cast<int>(index) + 1;
  if (options_.attachable) keep_tail(sources_.at(index).tail, bytes);
  if (options_.log) options_.log->append(stream, bytes);
  const auto readers = attachments_;
  for (const auto& to : readers) push(to, index, bytes);
  const auto output = options_.output;
  if (output) return output(stream, bytes);
  // Its only reader has closed its end: the job hears of it as it would from the pipe itself.
  if (had_reader_ && attachments_.empty() && !options_.attachable && sources_.at(index).fd) end(index);
}

void Streams::push(const std::shared_ptr<Attachment>& to, std::size_t index, std::string_view bytes) {
  Sink& sink = to->sinks.at(index);
  if (!sink.fd) return;
  while (sink.pending.empty() && !bytes.empty()) {
    const ssize_t wrote = ::write(sink.fd.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0 && errno != EAGAIN) return drop(to);
    if (wrote < 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  sink.pending.append(bytes);
  if (sink.pending.empty() && sink.last) {
    sink.watch.stop();
    sink.fd.reset();
    return;
  }
  (void)sink.watch.set_events(sink.pending.empty() ? std::uint32_t{EPOLLRDHUP} : std::uint32_t{EPOLLOUT});
  if (!sink.pending.empty()) want_sources();
}

void Streams::write_sink(const std::shared_ptr<Attachment>& to, std::size_t index) {
  Sink& sink = to->sinks.at(index);
  if (sink.pending.empty()) return drop(to);  // EPOLLERR: its reader has gone
  const std::string rest = std::exchange(sink.pending, {});
  push(to, index, rest);
  if (!to->gone) want_sources();
}

void Streams::drop(const std::shared_ptr<Attachment>& gone) {
  if (std::exchange(gone->gone, true)) return;
  for (Sink& sink : gone->sinks) {
    sink.watch.stop();
    sink.fd.reset();
    sink.pending.clear();
  }
  gone->input_watch.stop();
  gone->input.reset();
  std::erase(attachments_, gone);
  want_sources();
}

void Streams::read_input(const std::shared_ptr<Attachment>& from) {
  char typed[kTyped];
  const ssize_t got = ::read(from->input.get(), typed, sizeof typed);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0 || !input_) {
    from->input_watch.stop();
    from->input.reset();
    return;
  }
  input_pending_.append(typed, static_cast<std::size_t>(got));
  write_input();
}

void Streams::write_input() {
  if (!input_) return;
  if (input_written_ < input_pending_.size()) {
    const std::string_view rest = std::string_view(input_pending_).substr(input_written_);
    const ssize_t wrote = promptly([&] { return ::write(input_.get(), rest.data(), rest.size()); });
    const bool later = wrote < 0 && (errno == EAGAIN || errno == EINTR);
    const bool whole = wrote == static_cast<ssize_t>(rest.size());
    // Whatever else is wrong: the job doesn't read it (EPIPE), or has gone (EIO).
    if ((wrote < 0 && !later) || (!whole && was_made_to_block(input_.get()))) {
      input_written_ = input_pending_.size();
    } else if (wrote > 0) {
      input_written_ += static_cast<std::size_t>(wrote);
    }
  }
  const bool all = input_written_ >= input_pending_.size();
  if (all) {
    input_pending_ = {};
    input_written_ = 0;
  }
  if (options_.kind != StreamKind::kTerminal) {
    if (!all) return;
    input_watch_.stop();
    input_.reset();
    return;
  }
  // Who types faster than the job reads waits.
  (void)input_watch_.set_events(all ? 0 : std::uint32_t{EPOLLOUT});
  for (const auto& attachment : attachments_) {
    if (attachment->input_watch.active()) (void)attachment->input_watch.set_events(all ? std::uint32_t{EPOLLIN} : 0);
  }
}

void Streams::end(std::size_t index) {
  sources_.at(index).watch.stop();
  sources_.at(index).fd.reset();
  if (const std::string last = limit_.end(index); !last.empty()) hand_on(index, last);
  const auto readers = attachments_;
  for (const auto& to : readers) {
    to->sinks.at(index).last = true;
    push(to, index, {});
  }
  check_done();
}

void Streams::check_done() {
  if (!running_ || sources_[0].fd || sources_[1].fd) return;
  running_ = false;
  last_.stop();
  input_watch_.stop();
  input_.reset();
  if (options_.log) options_.log->finish();
  const auto done = std::exchange(done_, {});
  if (done) done();
}

void Streams::writers_are_gone() {
  gone_ = true;
  if (!running_ || paused_) return;
  progress_ = false;
  const Status armed = last_.arm(loop_, kLastWords, [this] {
    if (progress_) return writers_are_gone();  // what was written is still being read
    // A client that reads slowly is waited for: what its job wrote is not lost.
    if (!wanted(0) || !wanted(1)) return writers_are_gone();
    end_all();
  });
  if (!armed.ok()) end_all();
}

void Streams::end_all() {
  for (const std::size_t i : {0U, 1U}) {
    if (running_ && sources_.at(i).fd) end(i);
  }
}

void Streams::stop() {
  running_ = false;
  done_ = {};
  last_.stop();
  input_watch_.stop();
  input_.reset();
  for (Source& source : sources_) {
    source.watch.stop();
    source.fd.reset();
  }
  const auto readers = attachments_;
  for (const auto& to : readers) drop(to);
  if (options_.log) options_.log->finish();
}

}  // namespace sandboxd::jails
