#include "sandboxd-client/ctl/session.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "sandboxd-client/ctl/exit_status.h"
#include "sandboxd-client/ctl/job_name.h"
#include "sandboxd-client/ctl/render.h"

namespace sandboxd::ctl {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT, SIGTSTP};
constexpr short kReadable = POLLIN | POLLHUP | POLLERR;

}  // namespace

Result<UniqueFd> watch_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kSignals) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return sys_error("sigprocmask");
  if (::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return sys_error("ignore SIGPIPE");
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return sys_error("signalfd");
  return fd;
}

Session::Session(const Invocation& invocation, client::Job job, UniqueFd signals, SessionOptions options)
    : invocation_(invocation),
      job_(std::move(job)),
      signals_(std::move(signals)),
      options_(std::move(options)),
      out_(STDOUT_FILENO),
      error_(STDERR_FILENO),
      keys_(options_.detach_keys) {}

int Session::run() {
  while (!over()) {
    if (const Status status = turn(); !status.ok()) {
      terminal_.reset();
      return fail(invocation_, status.error());
    }
  }
  terminal_.reset();  // before anything is said on it
  return finish();
}

bool Session::over() const {
  if (gave_up_) return true;
  const bool written = (out_.empty() || out_.broken()) && (error_.empty() || error_.broken());
  if (refused_) return written;
  if (keys_.seen() && !report_ && (!job_input_ || job_input_->empty() || job_input_->broken())) return true;
  if (!report_ || (invocation_.globals.json && !report_printed_)) return false;
  // Processes that even SIGKILL does not end keep their pipes open; what they had written was taken before the report.
  const bool stuck = report_->verdict == protocol::Verdict::kStuck;
  for (const Stream& stream : outputs_) {
    if (!stream.ended() && !stuck) return false;
  }
  return written;
}

int Session::finish() {
  if (gave_up_) return *gave_up_;
  if (refused_) return fail(invocation_, refused_->text, exit_status(*refused_));
  if (!report_) return finish_detached();
  const int status = exit_status(*report_);
  using protocol::Verdict;
  const bool plain = report_->verdict == Verdict::kExited || report_->verdict == Verdict::kSignalled;
  if (!plain && !invocation_.globals.json && signals_taken_ == 0) {
    const std::string detail = report_->detail.empty() ? std::string() : ": " + escaped(report_->detail);
    fail(invocation_, fmt::format("the job ended by '{}'{}", protocol::name_of(report_->verdict), detail));
  }
  return output_failed_ ? kOwnFailure : status;
}

int Session::finish_detached() {
  if (options_.owns_job) {
    if (const client::Expected<void> done = job_.detach(); !done) return fail(invocation_, done.error());
  }
  const std::string name = to_text(JobName{job_.jail(), job_.number()});
  (void)write_all(STDERR_FILENO, fmt::format("\nsandboxctl: {}: detached; 'sandboxctl attach {}' comes back\n",
                                             invocation_.verb, name))
      .ok();
  return 0;
}

Status Session::turn() {
  Poller poller;
  const std::size_t signal_index = poller.add(signals_.get(), POLLIN);
  // Output that came in replies waits here, in bounds: the daemon, and so the job, waits for us.
  const bool reads = !report_ && !refused_ && !out_.full() && !error_.full();
  const std::size_t reply_index = reads ? poller.add(job_.fd(), POLLIN) : 0;
  for (Stream& stream : outputs_) stream.poll_with(poller);
  if (input_) input_->poll_with(poller);
  if (job_input_) job_input_->poll_with(poller);
  out_.poll_with(poller);
  error_.poll_with(poller);
  TRY(poller.wait(wait_ms()));

  TRY(work_streams(poller));
  if (reads && (poller.revents(reply_index) & kReadable) != 0) TRY(take_updates());
  print_report();
  if ((poller.revents(signal_index) & kReadable) != 0) TRY(take_signal());
  if (give_up_at_ != 0 && monotonic_usec() >= give_up_at_) give_up("the job has not ended in time");
  return {};
}

Status Session::work_streams(const Poller& poller) {
  for (Stream& stream : outputs_) {
    // The disk is full, say: the job's next write fails as it would have without us, and our exit status tells.
    if (const Status status = stream.work(poller); !status.ok()) {
      output_failed_ = true;
      fail(invocation_, status.error());
    }
  }
  if (input_ && job_input_) {
    TRY(input_->work(poller).context("standard input"));
    if (keys_.seen()) input_->close();
    if (input_->ended() && options_.close_input && !job_.has_terminal()) job_input_->close_when_empty();
    // A job that reads no more is no failure.
    (void)job_input_->work(poller).ok();
  }
  for (Writer* writer : {&out_, &error_}) {
    if (const Status status = writer->work(poller); !status.ok()) {
      output_failed_ = true;
      fail(invocation_, status.error());
    }
  }
  return {};
}

Status Session::take_updates() {
  while (!report_ && !refused_) {
    client::Expected<std::optional<client::Update>> update = job_.next(client::Milliseconds(0));
    if (!update) {
      refused_ = std::move(update).error();
      if (invocation_.globals.json && !refused_->name.empty()) print_error();
      return {};
    }
    if (!update.value()) return {};
    TRY(take(std::move(*update.value())));
  }
  return {};
}

Status Session::take(client::Update update) {
  if (invocation_.globals.json) print_update(update);
  if (update.started) TRY(start());
  if (update.output && !invocation_.globals.json) {
    (update.output->is_error ? error_ : out_).push(update.output->data);
  }
  if (!update.report) return {};
  report_ = std::move(update.report);
  input_.reset();
  job_input_.reset();
  return {};
}

Status Session::start() {
  started_ = true;
  if (!job_.output) return {};
  // The pipe's write end is ours alone; of what we write to, this is all that may be made non-blocking.
  const int flags = ::fcntl(job_.input.get(), F_GETFL);
  if (flags < 0 || ::fcntl(job_.input.get(), F_SETFL, flags | O_NONBLOCK) < 0) return sys_error("fcntl F_SETFL");
  job_input_.emplace(UniqueFd(job_.input.release()));
  if (job_.has_terminal() && ::isatty(STDIN_FILENO) == 1) {
    TRY_ASSIGN(RawTerminal raw, RawTerminal::enter(STDIN_FILENO));
    terminal_.emplace(std::move(raw));
    resize();  // it may have changed since the call, and an attached job has another client's
    input_.emplace(UniqueFd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)), *job_input_,
                   [this](std::string_view typed) { return keys_.pass(typed); });
  } else {
    input_.emplace(STDIN_FILENO, *job_input_);
  }
  add_outputs();
  return {};
}

void Session::add_outputs() {
  const auto add = [&](client::Fd& fd, Writer& writer, std::string_view name) {
    if (!fd) return;
    UniqueFd source(fd.release());
    if (invocation_.globals.json) {
      outputs_.emplace_back(std::move(source), out_,
                            [this, name](std::string_view bytes) { return output_line(name, bytes); });
    } else {
      outputs_.emplace_back(std::move(source), writer);
    }
  };
  add(job_.output, out_, "stdout");
  add(job_.error, error_, "stderr");
}

// The last line, though the report may come before all of the output was read.
void Session::print_report() {
  if (!invocation_.globals.json || !report_ || report_printed_) return;
  const bool stuck = report_->verdict == protocol::Verdict::kStuck;
  const bool ended = std::ranges::all_of(outputs_, [](const Stream& stream) { return stream.ended(); });
  if (!ended && !stuck) return;
  report_printed_ = true;
  out_.push(json_line({{"report", protocol::encode(*report_)}}));
}

// As the daemon's own replies are.
void Session::print_update(const client::Update& update) {
  Json shown = Json::object();
  if (update.started && job_.jail_info()) shown["started"] = protocol::encode(*job_.jail_info());
  if (update.started && job_.job_info()) shown["started"] = protocol::encode(*job_.job_info());
  if (!shown.empty()) out_.push(json_line(shown));
  if (update.output) out_.push(output_line(update.output->is_error ? "stderr" : "stdout", update.output->data));
}

void Session::print_error() {
  Json parameters;
  if (protocol::parse_json(refused_->json, parameters)) parameters = Json::object();
  out_.push(json_line({{"error", {{"name", refused_->name}, {"parameters", parameters}}}}));
}

std::string Session::output_line(std::string_view stream, std::string_view bytes) const {
  return json_line({{"output", {{"stream", stream}, {"data", protocol::bytes_to_json(bytes)}}}});
}

Status Session::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return {};
  const int number = static_cast<int>(info.ssi_signo);
  switch (number) {
    case SIGTSTP: stop_self(); return {};
    case SIGCONT:
    case SIGWINCH:
      // Whoever stopped us may have used the terminal meanwhile.
      if (number == SIGCONT && terminal_) terminal_->enter_again();
      resize();
      return {};
    default: end_by_signal(number); return {};
  }
}

void Session::resize() {
  // A size that does not arrive harms nothing but the picture, and the job may just have ended.
  if (terminal_ && !report_) (void)job_.resize(window_size(STDIN_FILENO)).has_value();
}

// The terminal belongs to the shell until we go on. SIGSTOP, since SIGTSTP is blocked here.
void Session::stop_self() {
  if (terminal_) terminal_->leave();
  (void)::raise(SIGSTOP);
}

void Session::end_by_signal(int number) {
  ++signals_taken_;
  last_signal_ = number;
  if (report_) {
    gave_up_ = exit_status(*report_);  // the job is over: only somebody who doesn't read our output keeps us
    return;
  }
  // Nothing runs yet, and the daemon gives up the start when we hang up; or the job is not ours to end.
  if (!started_ || !options_.owns_job) {
    gave_up_ = 128 + number;
    return;
  }
  if (give_up_at_ == 0) give_up_at_ = monotonic_usec() + options_.end_wait;
  // The signal first, with the daemon's usual grace; whoever sends a second one does not want to wait.
  const client::Expected<void> sent =
      signals_taken_ > 1 ? job_.kill(SIGKILL, client::Milliseconds(0)) : job_.kill(number);
  // One that isn't found has ended: its report is on its way.
  if (!sent && sent.error().kind != client::ErrorKind::kNotFound) give_up(sent.error().text);
}

// Hanging up is what the daemon can't refuse.
void Session::give_up(const std::string& why) {
  if (!report_) fail(invocation_, fmt::format("end the job: {}; hanging up, which kills it", why));
  if (!report_ || monotonic_usec() >= give_up_at_) gave_up_ = report_ ? exit_status(*report_) : 128 + last_signal_;
}

int Session::wait_ms() const {
  if (give_up_at_ == 0) return -1;
  const std::uint64_t now = monotonic_usec();
  return now >= give_up_at_ ? 0 : static_cast<int>((give_up_at_ - now) / 1000 + 1);
}

}  // namespace sandboxd::ctl
