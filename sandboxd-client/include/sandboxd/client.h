// The client's side of sandboxd: jails, the jobs in them, their streams and files. One Client is for one thread at a time; a
// program may have many. Calls wait for the daemon's answer, Options::timeout at most; those that wait for a job take a
// deadline of their own. No function lets an exception out. Jails are named by id or name; job 0 is a jail as a whole.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sandboxd/files.h>
#include <sandboxd/request.h>
#include <sandboxd/result.h>

namespace sandboxd::client {

using Milliseconds = std::chrono::milliseconds;
inline constexpr Milliseconds kForever = Milliseconds::max();

struct Options {
  // The daemon's socket; when empty SANDBOXD_SOCKET, else /run/sandboxd/sandboxd.sock. uid 0 tries admin.sock beside it first.
  std::string socket{};
  Milliseconds timeout =
      std::chrono::seconds(30);  // of each call; not of the start of a jail, nor of waiting for a job
};

struct Output {
  bool is_error = false;  // standard error
  std::string data{};
};

// One thing that happened to a job, in this order: started, output (Stdio::kRelay only), report.
struct Update {
  bool started = false;
  std::optional<Output> output{};
  std::optional<JobReport> report{};
};

struct Completed {
  JobReport report{};
  std::string out{}, error{};
};

using Sink = std::function<void(std::string_view bytes)>;

// A job whose streams this process has. One that was started here, and not detached, is killed when this goes: the daemon sees
// the connection's end.
class SANDBOXD_CLIENT_API Job {
 public:
  Job(Job&&) noexcept;
  Job& operator=(Job&&) noexcept;
  ~Job();

  // Known once it has started.
  [[nodiscard]] const std::string& jail() const noexcept;  // the jail's id
  [[nodiscard]] std::uint32_t number() const noexcept;
  [[nodiscard]] bool has_terminal() const noexcept;
  [[nodiscard]] const std::optional<JailInfo>& jail_info() const noexcept;  // of a run
  [[nodiscard]] const std::optional<JobInfo>& job_info() const noexcept;    // of an exec or attach

  // Stdio::kPass and attach: the job's ends. Of a terminal: `input` is what is typed, `output` what it shows, no `error`. They
  // may be moved out.
  Fd input{}, output{}, error{};

  // For event loops: call next() with a deadline of 0 until it has nothing, then poll fd() for reading, and again. What came
  // together with the start is not seen by the poll.
  [[nodiscard]] int fd() const noexcept;
  // The next update; nothing when the deadline passes. After the report, or an error, there is none.
  Expected<std::optional<Update>> next(Milliseconds deadline = kForever) noexcept;

  // The report. Output in replies is dropped; with Stdio::kPass read output and error before, or the job may wait for you.
  Expected<JobReport> wait(Milliseconds deadline = kForever) noexcept;
  // Writes `input_data` to the job, closes its input, and hands out what it writes until its end.
  Expected<JobReport> stream(const Sink& on_output, const Sink& on_error, std::string_view input_data = {}) noexcept;
  Expected<Completed> communicate(std::string_view input_data = {}) noexcept;

  Expected<void> signal(int number) noexcept;
  // SIGTERM, then SIGKILL after the grace time (the daemon's 10 s when it is negative). Of a run: the whole jail. Fails at once
  // when the daemon takes no more connections; dropping the job is what it can't refuse.
  Expected<void> kill(int number = 15, Milliseconds grace = Milliseconds(-1)) noexcept;
  Expected<void> resize(WindowSize size) noexcept;
  // The job outlives this object from now on. Only one with a terminal, or started with `detach`.
  Expected<void> detach() noexcept;

  struct SANDBOXD_CLIENT_LOCAL Inside;
  explicit Job(std::unique_ptr<Inside> inside) noexcept;

 private:
  std::unique_ptr<Inside> inside_;
};

struct Event {
  std::uint64_t cursor = 0;
  std::uint64_t time = 0;  // microseconds since 1970
  std::string epoch{};     // of the daemon's life for which cursors count
  std::string jail{}, kind{};
  std::string detail{};  // JSON
  std::uint32_t uid = 0;
};

// Where to go on. Both parts are those of the last event that was seen.
struct Cursor {
  std::uint64_t after = 0;
  std::string epoch{};
};

struct EventUpdate {
  std::optional<Event> event{};
  std::optional<std::uint64_t> gap{};  // so many events at least are missing here; 0 when that is unknown
};

class SANDBOXD_CLIENT_API Events {
 public:
  Events(Events&&) noexcept;
  Events& operator=(Events&&) noexcept;
  ~Events();

  // The next one; nothing at the end (only when they are not followed). kTimedOut at the deadline: it can be called again.
  Expected<std::optional<EventUpdate>> next(Milliseconds deadline = kForever) noexcept;
  // For Client::events() after a reconnect.
  [[nodiscard]] const Cursor& cursor() const noexcept;
  [[nodiscard]] int fd() const noexcept;

  struct SANDBOXD_CLIENT_LOCAL Inside;
  explicit Events(std::unique_ptr<Inside> inside) noexcept;

 private:
  std::unique_ptr<Inside> inside_;
};

struct LogPart {
  Output output{};
  std::uint64_t dropped = 0;  // bytes missing before this one
};

class SANDBOXD_CLIENT_API Client {
 public:
  static Expected<Client> connect(const Options& options = {}) noexcept;
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // A jail for one job. Returns when the job has started; spec.detach: it outlives this process.
  Expected<Job> run(Request request) noexcept;
  // A session: a jail that waits for jobs.
  Expected<JailInfo> create(Request request) noexcept;
  // One more job in a live jail. spec.detach: it outlives this process.
  Expected<Job> exec(const std::string& jail, const ExecSpec& spec) noexcept;
  // The streams of a job that has a terminal or was started with detach. replay: so many of its last bytes come first, all
  // that are kept when absent. What is written to `input` is typed on its terminal; a job without one reads nothing of it.
  Expected<Job> attach(const std::string& jail, std::uint32_t job = 1,
                       std::optional<std::uint64_t> replay = {}) noexcept;
  // run, exec and attach without the wait for the start: the first update of next() is `started`, or what went wrong.
  Expected<Job> begin_run(Request request) noexcept;
  Expected<Job> begin_exec(const std::string& jail, const ExecSpec& spec) noexcept;
  Expected<Job> begin_attach(const std::string& jail, std::uint32_t job = 1,
                             std::optional<std::uint64_t> replay = {}) noexcept;
  Expected<void> detach(const std::string& jail, std::uint32_t job = 1) noexcept;
  // What a run would get, as JSON; nothing is started.
  Expected<std::string> explain(Request request) noexcept;

  Expected<JobReport> wait(const std::string& jail, std::uint32_t job = 0, Milliseconds deadline = kForever) noexcept;
  // number, then SIGKILL after the grace time; a negative one is the daemon's (10 s).
  Expected<void> kill(const std::string& jail, std::uint32_t job = 0, int number = 15,
                      Milliseconds grace = Milliseconds(-1)) noexcept;
  Expected<void> signal(const std::string& jail, std::uint32_t job, int number) noexcept;
  Expected<void> resize(const std::string& jail, std::uint32_t job, WindowSize size) noexcept;
  Expected<void> freeze(const std::string& jail) noexcept;
  Expected<void> thaw(const std::string& jail) noexcept;
  // A session ends this long from now. Returns when: microseconds since 1970.
  Expected<std::uint64_t> extend(const std::string& jail, Milliseconds ttl) noexcept;
  Expected<void> remove(const std::string& jail, bool force = false) noexcept;

  Expected<std::vector<JailInfo>> list() noexcept;
  Expected<JailInfo> inspect(const std::string& jail) noexcept;
  // Files of a profile, and of its filter, both named `name`, which let an ended jail's jobs do what they did; of a jail whose
  // profile learns, and for the administrator.
  Expected<LearnedProfile> learned(const std::string& jail, const std::string& name) noexcept;
  // What its jobs asked for and did not get; of an ended jail too, as long as it is remembered.
  Expected<Denials> why(const std::string& jail) noexcept;
  // What live jails use now: one by id or name, or all that list() has.
  Expected<std::vector<JailStats>> stats(const std::string& jail = {}) noexcept;
  // New limits of a live jail, those that a cgroup holds; the others must be absent. Returns what is in force then.
  Expected<std::vector<Fact>> update(const std::string& jail, const AskedLimits& limits) noexcept;
  Expected<std::vector<JobInfo>> jobs(const std::string& jail) noexcept;
  // What a job with `log` wrote. `on_part` says whether to go on; follow: until the job's end.
  Expected<void> logs(const std::string& jail, std::uint32_t job, bool follow,
                      const std::function<bool(const LogPart&)>& on_part) noexcept;
  Expected<Events> events(const Cursor& cursor = {}, bool follow = true) noexcept;

  // The files of a live jail, with the rights of its jobs. It may outlive the Client.
  [[nodiscard]] Files files(const std::string& jail) noexcept;

  // Any method with one reply: parameters and result as JSON objects.
  Expected<std::string> call(const std::string& method, const std::string& parameters = "{}") noexcept;

  struct SANDBOXD_CLIENT_LOCAL Inside;

 private:
  explicit Client(std::shared_ptr<Inside> inside) noexcept;
  std::shared_ptr<Inside> inside_;
};

}  // namespace sandboxd::client
