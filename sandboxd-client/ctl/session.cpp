#include "sandboxd-client/ctl/session.h"

#include <array>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "protocol/errors.h"
#include "sandboxd-client/ctl/exit_status.h"
#include "sandboxd-client/failure.h"

namespace sandboxd::ctl {
namespace {

using client::Json;
using client::Message;

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr short kReadable = POLLIN | POLLHUP | POLLERR;

Status decoded(const protocol::Checked& wrong) {
  return wrong ? Status(sys_error_code(EBADMSG, "the daemon's answer: {}", wrong->message())) : Status();
}

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

Session::Session(const Invocation& invocation, client::Connection connection, client::HandedIn handed_in,
                 UniqueFd signals, std::uint64_t end_wait)
    : invocation_(invocation),
      connection_(std::move(connection)),
      handed_in_(std::move(handed_in)),
      signals_(std::move(signals)),
      out_(STDOUT_FILENO),
      error_(STDERR_FILENO),
      end_wait_(end_wait) {}

int Session::run() {
  while (!over()) {
    if (const Status status = turn(); !status.ok()) return fail(invocation_, status.error());
  }
  return finish();
}

bool Session::over() const {
  if (gave_up_) return true;
  const bool written = (out_.empty() || out_.broken()) && (error_.empty() || error_.broken());
  if (refused_) return written;
  if (!report_) return false;
  // Processes that even SIGKILL does not end keep their pipes open; what they had written was taken before the report.
  const bool stuck = report_->verdict == protocol::Verdict::kStuck;
  for (const Stream& stream : outputs_) {
    if (!stream.ended() && !stuck) return false;
  }
  return written;
}

int Session::finish() {
  if (gave_up_) return *gave_up_;
  if (refused_) {
    if (const auto why = client::refusal(handed_in_)) return fail(invocation_, *why);
    return fail(invocation_, client::failure_text(*refused_), exit_status(*refused_));
  }
  const int status = exit_status(*report_);
  using protocol::Verdict;
  const bool plain = report_->verdict == Verdict::kExited || report_->verdict == Verdict::kSignalled;
  if (!plain && !invocation_.globals.json && signals_taken_ == 0) {
    const std::string detail = report_->detail.empty() ? std::string() : ": " + escaped(report_->detail);
    fail(invocation_, fmt::format("the job ended by '{}'{}", protocol::name_of(report_->verdict), detail));
  }
  return output_failed_ ? kOwnFailure : status;
}

Status Session::turn() {
  Poller poller;
  const std::size_t signal_index = poller.add(signals_.get(), POLLIN);
  // Output that came in replies waits here, in bounds: the daemon, and so the job, waits for us.
  const bool reads = !report_ && !refused_ && !out_.full() && !error_.full();
  const std::size_t reply_index = reads ? poller.add(connection_.fd(), POLLIN) : 0;
  for (Killer& killer : killers_) killer.index = poller.add(killer.connection.fd(), POLLIN);
  for (Stream& stream : outputs_) stream.poll_with(poller);
  if (input_) input_->poll_with(poller);
  if (job_input_) job_input_->poll_with(poller);
  out_.poll_with(poller);
  error_.poll_with(poller);
  TRY(poller.wait(wait_ms()));

  TRY(work_streams(poller));
  for (Killer& killer : killers_) {
    if ((poller.revents(killer.index) & kReadable) != 0) take_kill_answer(killer);
  }
  std::erase_if(killers_, [](const Killer& killer) { return killer.connection.fd() < 0; });
  if (reads && (poller.revents(reply_index) & kReadable) != 0) TRY(take_messages());
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
    if (input_->ended()) job_input_->close_when_empty();
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

Status Session::take_messages() {
  TRY_ASSIGN(const bool open, connection_.read_ready());
  for (;;) {
    TRY_ASSIGN(std::optional<Message> message, connection_.next());
    if (!message) break;
    TRY(take(std::move(*message)));
  }
  if (!open && !report_ && !refused_)
    return sys_error_code(EPIPE, "the daemon closed the connection before the job's end");
  return {};
}

Status Session::take(Message message) {
  if (!message.error.empty()) {
    const Json error = {{"error", {{"name", message.error}, {"parameters", message.parameters}}}};
    if (invocation_.globals.json) out_.push(protocol::to_text(error) + "\n");
    refused_ = std::move(message);
    return {};
  }
  if (invocation_.globals.json) print_json(message);
  const Json& fields = message.parameters;
  const auto present = [&](const char* key) { return fields.contains(key) && !fields[key].is_null(); };
  if (present("started")) TRY(start(fields["started"]));
  if (present("output")) TRY(take_output(fields["output"]));
  if (!present("report")) return {};
  protocol::JobReport report;
  TRY(decoded(protocol::decode(fields["report"], "/parameters/report", report)));
  report_ = std::move(report);
  input_.reset();
  job_input_.reset();
  return {};
}

Status Session::start(const Json& info) {
  protocol::JailInfo jail;
  TRY(decoded(protocol::decode(info, "/parameters/started", jail)));
  jail_ = jail.jail;
  handed_in_.connection.reset();
  std::vector<UniqueFd> fds = connection_.take_fds();
  if (fds.empty()) return {};
  if (fds.size() != 3) return sys_error_code(EBADMSG, "the daemon sent {} descriptors, not 3", fds.size());
  // The pipe's write end is ours alone; of what we write to, this is all that may be made non-blocking.
  const int flags = ::fcntl(fds[0].get(), F_GETFL);
  if (flags < 0 || ::fcntl(fds[0].get(), F_SETFL, flags | O_NONBLOCK) < 0) return sys_error("fcntl F_SETFL");
  job_input_.emplace(std::move(fds[0]));
  input_.emplace(STDIN_FILENO, *job_input_);
  if (!invocation_.globals.json) {
    outputs_.emplace_back(std::move(fds[1]), out_);
    outputs_.emplace_back(std::move(fds[2]), error_);
    return {};
  }
  outputs_.emplace_back(std::move(fds[1]), out_,
                        [this](std::string_view bytes) { return output_line("stdout", bytes); });
  outputs_.emplace_back(std::move(fds[2]), out_,
                        [this](std::string_view bytes) { return output_line("stderr", bytes); });
  return {};
}

Status Session::take_output(const Json& output) {
  if (invocation_.globals.json) return {};  // printed as it came
  if (!output.is_object() || !output.contains("stream") || !output.contains("data")) {
    return sys_error_code(EBADMSG, "the daemon's answer has an ill-formed 'output'");
  }
  std::string bytes;
  TRY(decoded(protocol::bytes_from_json(output["data"], "/parameters/output/data", protocol::kMaxFrame, bytes)));
  (output["stream"] == "stderr" ? error_ : out_).push(bytes);
  return {};
}

void Session::print_json(const Message& message) {
  Json shown = Json::object();
  for (const char* key : {"started", "output", "report"}) {
    if (message.parameters.contains(key) && !message.parameters[key].is_null()) shown[key] = message.parameters[key];
  }
  out_.push(protocol::to_text(shown) + "\n");
}

// As the daemon's own `output` replies are.
std::string Session::output_line(std::string_view stream, std::string_view bytes) const {
  const Json line = {{"output", {{"stream", stream}, {"data", protocol::bytes_to_json(bytes)}}}};
  return protocol::to_text(line) + "\n";
}

Status Session::take_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return {};
  const int number = static_cast<int>(info.ssi_signo);
  ++signals_taken_;
  last_signal_ = number;
  if (jail_.empty()) {
    gave_up_ = 128 + number;  // nothing runs yet; the daemon gives up the start when we hang up
    return {};
  }
  if (report_) {
    gave_up_ = exit_status(*report_);  // the job is over: only somebody who doesn't read our output keeps us
    return {};
  }
  if (give_up_at_ == 0) give_up_at_ = monotonic_usec() + end_wait_;
  if (const Status sent = send_kill(number); !sent.ok()) give_up(client::failure_text(sent.error()));
  return {};
}

// The signal first, with the daemon's usual grace; whoever sends a second one does not want to wait.
Status Session::send_kill(int signal) {
  Json parameters = {{"jail", jail_}, {"signal", signals_taken_ > 1 ? SIGKILL : signal}};
  if (signals_taken_ > 1) parameters["grace"] = 0;
  TRY_ASSIGN(client::Connection connection, connect(connection_.paths()));
  TRY(connection.send("org.sandboxd.Jail.Kill", parameters));
  killers_.push_back({std::move(connection)});
  return {};
}

void Session::take_kill_answer(Killer& killer) {
  const Result<bool> open = killer.connection.read_ready();
  Result<std::optional<Message>> answer = killer.connection.next();
  if (!open.ok()) {
    give_up(client::failure_text(open.error()));
  } else if (!answer.ok()) {
    give_up(client::failure_text(answer.error()));
  } else if (!answer.value()) {
    if (open.value()) return;  // more is to come
    give_up("the daemon closed the connection: it takes no more of this user");
  } else if (const std::string& error = answer.value()->error; !error.empty() && error != protocol::kNotFound) {
    give_up(client::failure_text(*answer.value()));  // a jail that isn't found has ended: its report is on its way
  }
  killer.connection = client::Connection();
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
