// kill -9 at every point of a job's stream: of the client, of the jail's first process, of sandboxd. What is left afterwards is
// what each of them promises: a client's death is its job's, jail-init's is the jail's, sandboxd's is that of all its jails.
#include <array>
#include <csignal>
#include <fstream>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/jail/live.h"

namespace sandboxd::test {
namespace {

using client::Client;
using client::ExecSpec;
using client::Job;
using protocol::Stdio;
using protocol::Verdict;

constexpr std::size_t kWritten = 60'000;  // less than a pipe holds: it is written by a job that has ended

enum class Point { kBeforeTheFirstByte, kPipeFull, kEndedUnread };
enum class Way { kPass, kPassAndLog, kRelay, kTerminal };

struct Moment {
  Point point;
  Way way;
};
// For SCOPED_TRACE.
std::string name_of(const Moment& moment) {
  constexpr std::array<const char*, 3> kPoints = {"before the first byte", "with a full pipe", "ended, unread"};
  constexpr std::array<const char*, 4> kWays = {"pass", "pass and log", "relay", "terminal"};
  return fmt::format("{}, {}", kPoints.at(static_cast<std::size_t>(moment.point)),
                     kWays.at(static_cast<std::size_t>(moment.way)));
}

std::vector<Moment> all_moments() {
  std::vector<Moment> all;
  for (const Point point : {Point::kBeforeTheFirstByte, Point::kPipeFull, Point::kEndedUnread}) {
    for (const Way way : {Way::kPass, Way::kPassAndLog, Way::kRelay, Way::kTerminal}) all.push_back({point, way});
  }
  return all;
}

ExecSpec spec_of(const Moment& moment) {
  ExecSpec spec;
  switch (moment.point) {
    case Point::kBeforeTheFirstByte: spec.argv = {"sleep", "1000"}; break;
    case Point::kPipeFull: spec.argv = {"cat", "/dev/zero"}; break;
    case Point::kEndedUnread: spec.argv = {"head", "-c", fmt::format("{}", kWritten), "/dev/zero"}; break;
  }
  spec.stdio = moment.way == Way::kRelay ? Stdio::kRelay : Stdio::kPass;
  spec.log = moment.way == Way::kPassAndLog;
  if (moment.way == Way::kTerminal) spec.tty = protocol::WindowSize{};
  return spec;
}

std::uint64_t written_by(pid_t pid) {
  std::ifstream io(fmt::format("/proc/{}/io", pid));
  std::string key;
  for (std::uint64_t value = 0; io >> key >> value;) {
    if (key == "wchar:") return value;
  }
  return 0;
}

class LiveKill : public Live {
 protected:
  static pid_t running_program(const std::string& name) {
    for (const pid_t pid : jail_processes()) {
      if (command_name(pid) == name) return pid;
    }
    return 0;
  }
  // Everything that takes what `pid` writes is full: it has come no further between three looks.
  static bool has_stalled(pid_t pid) {
    std::uint64_t last = 0;
    int same = 0;
    return eventually([&] {
      const std::uint64_t now = written_by(pid);
      same = now > 0 && now == last && status_line(pid, "State").starts_with("S") ? same + 1 : 0;
      last = now;
      return same >= 3;
    });
  }
  static bool arrive(const Moment& moment) {
    switch (moment.point) {
      case Point::kBeforeTheFirstByte: return eventually([] { return running_program("sleep") > 0; });
      case Point::kPipeFull:
        return eventually([] { return running_program("cat") > 0; }) && has_stalled(running_program("cat"));
      // A terminal's end waits for who reads it; a job's isn't.
      case Point::kEndedUnread: return eventually([] { return jail_processes().size() == 1; });
    }
    return false;
  }
  static std::size_t read_to_end(const Job& job) {
    return read_until(job.output.get(), [](const std::string&) { return false; }).size();
  }
  // How much the client still gets; a terminal's newline discipline leaves zeroes as they are.
  static void expect_what_was_written(const Moment& moment, Job& job) {
    const std::size_t got = read_to_end(job);
    if (moment.point == Point::kBeforeTheFirstByte) {
      EXPECT_EQ(got, 0U);
    } else if (moment.point == Point::kPipeFull) {
      EXPECT_GT(got, 0U);
    } else {
      EXPECT_EQ(got, moment.way == Way::kTerminal ? got : kWritten);
    }
  }
  void connect_again() {
    client_.reset();
    ASSERT_TRUE(eventually([this] {
      const AsUser alice;
      auto fresh = Client::connect({.socket = stack().socket(), .timeout = within(60)});
      if (!fresh || !fresh->list()) return false;
      client_.emplace(std::move(fresh).value());
      return true;
    }));
  }
  void remove_last() {
    const AsUser alice;
    EXPECT_TRUE(client().remove(jails_.back(), /*force=*/true));
    jails_.pop_back();
  }
};

// A process of alice's that starts a job, says so, and then reads nothing.
class ClientProcess {
 public:
  ClientProcess(const std::string& socket, const std::string& jail, const ExecSpec& spec) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) std::abort();
    const UniqueFd from(ends[0]);
    UniqueFd to(ends[1]);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::setgid(kAlice) < 0 || ::setuid(kAlice) < 0) ::_exit(1);
      auto client = Client::connect({.socket = socket, .timeout = within(60)});
      auto job = client ? client->exec(jail, spec) : client::Expected<Job>(client.error());
      if (!job || ::write(to.get(), "", 1) != 1) ::_exit(2);
      for (;;) ::pause();
    }
    to.reset();
    char byte = 0;
    started_ = ::read(from.get(), &byte, 1) == 1;
  }
  ~ClientProcess() { kill(); }
  ClientProcess(const ClientProcess&) = delete;
  ClientProcess& operator=(const ClientProcess&) = delete;

  [[nodiscard]] bool started() const { return started_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  bool started_ = false;
};

TEST_F(LiveKill, AClientAtEveryPointTakesItsJobAlongAndNothingElse) {
  const std::string jail = session();
  EXPECT_EQ(output(jail, "echo warm"), "warm\n");
  const pid_t init = jail_init();
  const std::size_t daemon_fds = open_descriptors(stack().program("sandboxd")), init_fds = open_descriptors(init);
  for (const Moment& moment : all_moments()) {
    SCOPED_TRACE(name_of(moment));
    ClientProcess process(stack().socket(), jail, spec_of(moment));
    ASSERT_TRUE(process.started());
    ASSERT_TRUE(arrive(moment));
    process.kill();
    EXPECT_TRUE(eventually([] { return jail_processes().size() == 1; })) << names_of(jail_processes());
    EXPECT_EQ(output(jail, "echo lives"), "lives\n");
    EXPECT_TRUE(eventually([&] { return open_descriptors(stack().program("sandboxd")) <= daemon_fds; }));
    EXPECT_TRUE(eventually([&] { return open_descriptors(init) == init_fds; }));
  }
  EXPECT_EQ(jail_init(), init);
}

TEST_F(LiveKill, AJailInitAtEveryPointIsTheEndOfItsJail) {
  for (const Moment& moment : all_moments()) {
    SCOPED_TRACE(name_of(moment));
    const std::string jail = session();
    auto job = exec(jail, spec_of(moment));
    ASSERT_TRUE(job);
    ASSERT_TRUE(arrive(moment));
    ASSERT_EQ(::kill(jail_init(), SIGKILL), 0);
    if (moment.way != Way::kRelay) expect_what_was_written(moment, *job);
    {
      const AsUser alice;
      const auto completed = job->communicate();
      ASSERT_TRUE(completed) << completed.error().text;
      const bool ended = moment.point == Point::kEndedUnread;
      EXPECT_EQ(completed->report.verdict, ended ? Verdict::kExited : Verdict::kKilled) << completed->report.detail;
      if (ended && moment.way == Way::kRelay) {
        EXPECT_EQ(completed->out.size(), kWritten);
      }
      const auto end = client().wait(jail, 0, within(30));
      ASSERT_TRUE(end) << end.error().text;
      EXPECT_EQ(end->verdict, Verdict::kKilled);
    }
    remove_last();
    EXPECT_TRUE(eventually([] { return jail_processes().empty(); }));
  }
}

TEST_F(LiveKill, SandboxdAtEveryPointIsTheEndOfItsJailsAndItServesAgain) {
  for (const Moment& moment : all_moments()) {
    // It is started again later each time.
    if (moment.way == Way::kPassAndLog || moment.way == Way::kTerminal) continue;
    SCOPED_TRACE(name_of(moment));
    const std::string jail = session();
    auto job = exec(jail, spec_of(moment));
    ASSERT_TRUE(job);
    ASSERT_TRUE(arrive(moment));
    const pid_t daemon = stack().program("sandboxd");
    ASSERT_GT(daemon, 0);
    ASSERT_EQ(::kill(daemon, SIGKILL), 0);
    // What went by the daemon is lost with it; the job's own pipes still hold what was written.
    if (moment.way == Way::kPass) expect_what_was_written(moment, *job);
    {
      const AsUser alice;
      const auto report = job->wait(within(30));
      // Of a job that had ended the report may have been on its way.
      if (report) {
        EXPECT_EQ(moment.point, Point::kEndedUnread);
        EXPECT_EQ(report->verdict, Verdict::kExited);
      }
    }
    EXPECT_TRUE(eventually([] { return jail_processes().empty(); })) << names_of(jail_processes());
    EXPECT_TRUE(eventually([&] {
      const pid_t next = stack().program("sandboxd");
      return next > 0 && next != daemon;
    }));
    jails_.clear();
    connect_again();
  }
  EXPECT_TRUE(eventually([] { return jail_cgroups(stack().slice()).empty(); }));
}

}  // namespace
}  // namespace sandboxd::test
