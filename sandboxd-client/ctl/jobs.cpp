// jobs, wait, kill, signal and logs: verbs about the jobs of a jail, which are named JAIL/N.
#include <array>
#include <memory>

#include <fmt/core.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "protocol/codec.h"
#include "sandboxd-client/ctl/ask.h"
#include "sandboxd-client/ctl/command.h"
#include "sandboxd-client/ctl/exit_status.h"
#include "sandboxd-client/ctl/job_name.h"
#include "sandboxd-client/ctl/options.h"
#include "sandboxd-client/ctl/render.h"
#include "sandboxd-client/ctl/signals.h"
#include "sandboxd-client/ctl/terminal_text.h"

namespace sandboxd::ctl {
namespace {

using client::Client;
using client::Expected;

void add_job(Options& options, std::string& job) {
  options.argument("JOB", job, "JAIL, the jail's id or name, or JAIL/N for its job N");
}

// `use` gets the name and returns the exit status.
template <class Use> int with_job(const Invocation& invocation, const std::string& text, Use use) {
  const std::optional<JobName> name = job_name_from_text(text);
  return name ? use(*name) : fail(invocation, fmt::format("{}: must be JAIL or JAIL/N", sandboxd::quoted(text)));
}

template <class Use> int with_signal(const Invocation& invocation, const std::string& text, Use use) {
  const std::optional<int> number = signal_number(text);
  return number ? use(*number)
                : fail(invocation, fmt::format("unknown signal {}; 'kill -l' lists them", sandboxd::quoted(text)));
}

Action bind_jobs(Options& options) {
  auto jail = std::make_shared<std::string>();
  options.argument("JAIL", *jail, "the jail's id or name");
  return [jail](const Invocation& invocation) {
    return with_client(invocation, [&](Client& client) {
      const Expected<std::vector<protocol::JobInfo>> jobs = client.jobs(*jail);
      if (!jobs) return fail(invocation, jobs.error());
      if (!invocation.globals.json) return print(invocation, render(job_table(*jobs, realtime_usec()), output_style()));
      Json all = Json::array();
      for (const protocol::JobInfo& job : *jobs) all.push_back(protocol::encode(job));
      return print_value(invocation, all);
    });
  };
}

Action bind_wait(Options& options) {
  auto job = std::make_shared<std::string>();
  add_job(options, *job);
  return [job](const Invocation& invocation) {
    return with_job(invocation, *job, [&](const JobName& name) {
      return with_client(invocation, [&](Client& client) {
        const Expected<protocol::JobReport> report = client.wait(name.jail, name.job);
        if (!report) return fail(invocation, report.error());
        const std::string text = invocation.globals.json ? json_line(protocol::encode(*report))
                                                         : render(report_fields(*report), output_style());
        const int printed = print(invocation, text);
        return printed != 0 ? printed : exit_status(*report);
      });
    });
  };
}

struct KillOptions {
  std::string job{}, signal = "TERM";
  std::optional<std::string> grace{};
};

int run_kill(const Invocation& invocation, const KillOptions& wanted) {
  client::Milliseconds grace(-1);
  if (wanted.grace) {
    const auto time = parse_timespan_usec(*wanted.grace);
    if (!time)
      return fail(invocation,
                  fmt::format("--grace {}: must be a time like 500ms or 10s", sandboxd::quoted(*wanted.grace)));
    grace = std::chrono::ceil<client::Milliseconds>(std::chrono::microseconds(*time));
  }
  return with_job(invocation, wanted.job, [&](const JobName& name) {
    return with_signal(invocation, wanted.signal, [&](int number) {
      return order(invocation, [&](Client& client) { return client.kill(name.jail, name.job, number, grace); });
    });
  });
}

Action bind_kill(Options& options) {
  auto wanted = std::make_shared<KillOptions>();
  add_job(options, wanted->job);
  options.text("--signal,-s", wanted->signal, "SIGNAL", "the signal's name or number");
  options.text("--grace", wanted->grace, "TIME",
               "kill all of it after this long: 0, 500ms, 10s; the daemon's default is 10s");
  return [wanted](const Invocation& invocation) { return run_kill(invocation, *wanted); };
}

int run_signal(const Invocation& invocation, const KillOptions& wanted) {
  return with_job(invocation, wanted.job, [&](const JobName& name) {
    return with_signal(invocation, wanted.signal, [&](int number) {
      return order(invocation, [&](Client& client) { return client.signal(name.jail, name.job, number); });
    });
  });
}

Action bind_signal(Options& options) {
  auto wanted = std::make_shared<KillOptions>();
  add_job(options, wanted->job);
  options.text("--signal,-s", wanted->signal, "SIGNAL", "the signal's name or number");
  return [wanted](const Invocation& invocation) { return run_signal(invocation, *wanted); };
}

struct LogOptions {
  std::string job{};
  bool follow = false, raw = false;
};

// Where each stream of a job goes, made fit for what it goes to.
class LogPrinter {
 public:
  LogPrinter(const Invocation& invocation, bool raw) : invocation_(invocation), raw_(raw) {}

  // Whether to go on.
  bool print_part(const client::LogPart& part) {
    if (invocation_.globals.json) return print_json(part);
    if (part.dropped != 0)
      fail(invocation_, fmt::format("{} bytes are missing here: the log is bounded", part.dropped));
    return put(part.output.is_error, part.output.data);
  }
  int end() {
    if (!invocation_.globals.json) (void)(put(false, {}, true) && put(true, {}, true));
    return status_;
  }

 private:
  bool put(bool is_error, std::string_view bytes, bool last = false) {
    const std::size_t index = is_error ? 1 : 0;
    const int fd = is_error ? STDERR_FILENO : STDOUT_FILENO;
    std::string text(bytes);
    // What a jail has written must not steer the terminal of whoever reads it.
    if (!raw_ && ::isatty(fd) == 1) text = last ? texts_.at(index).end() : texts_.at(index).add(bytes);
    return done(write_all(fd, text));
  }
  bool print_json(const client::LogPart& part) {
    Json line = Json::object();
    if (part.dropped != 0) line["dropped"] = part.dropped;
    if (!part.output.data.empty()) {
      const char* stream = part.output.is_error ? "stderr" : "stdout";
      line["output"] = {{"stream", stream}, {"data", protocol::bytes_to_json(part.output.data)}};
    }
    return done(write_all(STDOUT_FILENO, json_line(line)));
  }
  bool done(const Status& written) {
    if (!written.ok()) status_ = fail(invocation_, written.error());
    return written.ok();
  }

  const Invocation& invocation_;
  bool raw_;
  int status_ = 0;
  std::array<TerminalText, 2> texts_{};
};

int run_logs(const Invocation& invocation, const LogOptions& wanted) {
  LogPrinter printer(invocation, wanted.raw);
  const auto on_part = [&](const client::LogPart& part) { return printer.print_part(part); };
  return with_job(invocation, wanted.job, [&](const JobName& name) {
    return with_client(invocation, [&](Client& client) {
      const Expected<void> read = client.logs(name.jail, name.job, wanted.follow, on_part);
      const int status = printer.end();
      return read ? status : fail(invocation, read.error());
    });
  });
}

Action bind_logs(Options& options) {
  auto wanted = std::make_shared<LogOptions>();
  add_job(options, wanted->job);
  options.flag("--follow,-f", wanted->follow, "go on until the job's end");
  options.flag("--raw", wanted->raw, "show a terminal every byte as it is: it obeys what the job wrote");
  return [wanted](const Invocation& invocation) { return run_logs(invocation, *wanted); };
}

constexpr std::array kVerbs = {
    Verb{"", "jobs", "list the jobs of a jail", "JAIL", Runs::kNothing, bind_jobs},
    Verb{"", "wait", "wait for the end of a jail or job; the exit status is the job's", "JOB", Runs::kNothing,
         bind_wait},
    Verb{"", "logs", "show what a job with --log wrote", "JOB", Runs::kNothing, bind_logs},
    Verb{"", "signal", "send a signal to a job, or to every process of a jail", "JOB", Runs::kNothing, bind_signal},
    Verb{"", "kill", "send a signal to a job or jail, then kill it", "JOB", Runs::kNothing, bind_kill},
};

}  // namespace

const std::span<const Verb> kJobVerbs = kVerbs;

}  // namespace sandboxd::ctl
