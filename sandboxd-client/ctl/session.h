// A job whose streams are ours, from the call to its end: the daemon's replies, the three streams or the job's terminal, and the
// signals that people send to stop it, in one poll loop. Ends when the report has come and both outputs are at their end, or
// when it is left. When it gives up, the connection closes: the daemon kills an attached job. It gives up when a signal can't be
// passed on, and a bounded time after one.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sandboxd/client.h>

#include "base/result.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/detach_keys.h"
#include "sandboxd-client/ctl/stream.h"
#include "sandboxd-client/ctl/terminal.h"

namespace sandboxd::ctl {

// SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCONT and SIGTSTP as a descriptor, blocked; SIGPIPE ignored. Once, before the
// call.
Result<UniqueFd> watch_signals();

// From a signal to giving up, microseconds: the daemon's grace (10 s), the time after which it calls a jail stuck (10 s), and
// as long again for an answer.
inline constexpr std::uint64_t kEndWait = 40'000'000;

struct SessionOptions {
  bool owns_job = true;     // signals are for the job; else they leave it
  bool close_input = true;  // the job's input ends where ours does
  std::string detach_keys{};
  std::uint64_t end_wait = kEndWait;
};

class Session {
 public:
  // The call is sent already.
  Session(const Invocation& invocation, client::Job job, UniqueFd signals, SessionOptions options);
  // The exit status.
  int run();
  // After run(): whether the job's end was told, and whose it was.
  [[nodiscard]] bool reported() const { return report_.has_value(); }
  [[nodiscard]] std::string jail() const { return job_.jail(); }

 private:
  [[nodiscard]] bool over() const;
  [[nodiscard]] int finish();
  [[nodiscard]] int finish_detached();
  Status turn();
  Status work_streams(const Poller& poller);
  Status take_updates();
  Status take(client::Update update);
  Status start();
  void add_outputs();
  void print_update(const client::Update& update);
  void print_report();
  void print_error();
  std::string output_line(std::string_view stream, std::string_view bytes) const;
  Status take_signal();
  void resize();
  void stop_self();
  void end_by_signal(int number);
  void give_up(const std::string& why);
  [[nodiscard]] int wait_ms() const;

  const Invocation& invocation_;
  client::Job job_;
  UniqueFd signals_;
  SessionOptions options_;

  Writer out_, error_;
  std::optional<Writer> job_input_{};
  std::vector<Stream> outputs_{};
  std::optional<Stream> input_{};
  std::optional<RawTerminal> terminal_{};
  DetachKeys keys_;

  bool started_ = false;
  std::optional<protocol::JobReport> report_{};
  std::optional<client::Error> refused_{};
  std::optional<int> gave_up_{};  // the exit status, when a signal ends it without the daemon
  int signals_taken_ = 0;
  int last_signal_ = 0;
  std::uint64_t give_up_at_ = 0;  // CLOCK_MONOTONIC, microseconds; 0: not asked to end
  bool output_failed_ = false;
  bool report_printed_ = false;
};

}  // namespace sandboxd::ctl
