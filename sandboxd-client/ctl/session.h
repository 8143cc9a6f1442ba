// An attached run, from the call to the job's end: the daemon's replies, the three streams, and the signals that people
// send to stop it, in one poll loop. Ends when the report has come and both outputs are at their end. When it gives up, the
// connection closes, and the daemon kills the jail. It gives up when a signal can't be passed on, and a bounded time after one.
#pragma once

#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/job.h"
#include "sandboxd-client/broker.h"
#include "sandboxd-client/connection.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/stream.h"

namespace sandboxd::ctl {

// SIGINT, SIGTERM, SIGHUP and SIGQUIT as a descriptor, blocked; SIGPIPE ignored. Once, before the call.
Result<UniqueFd> watch_signals();

// From a signal to giving up, microseconds: the daemon's grace (10 s), the time after which it calls a jail stuck (10 s), and
// as long again for an answer.
inline constexpr std::uint64_t kEndWait = 40'000'000;

class Session {
 public:
  // The Run call is sent already. `handed_in` is kept until the jail has started.
  Session(const Invocation& invocation, client::Connection connection, client::HandedIn handed_in, UniqueFd signals,
          std::uint64_t end_wait = kEndWait);
  // The exit status.
  int run();

 private:
  struct Killer {
    client::Connection connection;
    std::size_t index = 0;
  };

  [[nodiscard]] bool over() const;
  [[nodiscard]] int finish();
  Status turn();
  Status work_streams(const Poller& poller);
  Status take_messages();
  Status take(client::Message message);
  Status start(const client::Json& info);
  Status take_output(const client::Json& output);
  void print_json(const client::Message& message);
  std::string output_line(std::string_view stream, std::string_view bytes) const;
  Status take_signal();
  Status send_kill(int signal);
  void take_kill_answer(Killer& killer);
  void give_up(const std::string& why);
  [[nodiscard]] int wait_ms() const;

  const Invocation& invocation_;
  client::Connection connection_;
  client::HandedIn handed_in_;
  UniqueFd signals_;

  Writer out_, error_;
  std::optional<Writer> job_input_{};
  std::vector<Stream> outputs_{};
  std::optional<Stream> input_{};
  std::vector<Killer> killers_{};

  std::string jail_{};
  std::optional<protocol::JobReport> report_{};
  std::optional<client::Message> refused_{};
  std::optional<int> gave_up_{};  // the exit status, when a signal ends it without the daemon
  int signals_taken_ = 0;
  int last_signal_ = 0;
  std::uint64_t end_wait_;
  std::uint64_t give_up_at_ = 0;  // CLOCK_MONOTONIC, microseconds; 0: not asked to end
  bool output_failed_ = false;
};

}  // namespace sandboxd::ctl
