// Sessions as programs use them: through libsandboxd-client, against the whole daemon. Many jobs, two clients, clients and
// programs that die, and what is left afterwards: nothing.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

#include "tests/jail/live.h"

namespace sandboxd::test {
namespace {

namespace fs = std::filesystem;
using client::Client;
using client::ExecSpec;
using client::Job;
using protocol::Stdio;
using protocol::Verdict;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
// Under a sanitizer each process weighs ten times as much; where time is scaled the processor is emulated.
const bool kFew = kSanitized || scaled_ms(1) > 1;
const int kManyExecs = kFew ? 100 : 1000, kManyJails = kFew ? 10 : 200;
constexpr bool kWeighed = !kSanitized;  // what is freed is kept there, to be looked at

TEST_F(Live, AThousandExecsLeaveNothing) {
  const std::string jail = session();
  for (int i = 0; i < 70; ++i) EXPECT_EQ(output(jail, "echo warm"), "warm\n");
  const pid_t init = jail_init();
  ASSERT_GT(init, 0);
  const pid_t daemon = stack().program("sandboxd");
  const std::size_t daemon_fds = open_descriptors(daemon), init_fds = open_descriptors(init);
  const long daemon_kib = resident_kib(daemon), init_kib = resident_kib(init);
  for (int i = 0; i < kManyExecs; ++i) ASSERT_EQ(output(jail, "echo $((1 + 1)); (sleep 1000 &)"), "2\n") << i;
  EXPECT_TRUE(eventually([] { return jail_processes().size() == 1; })) << "only jail-init is there";
  EXPECT_LE(open_descriptors(daemon), daemon_fds + 4);
  EXPECT_EQ(open_descriptors(init), init_fds);
  if (!kWeighed) return;
  EXPECT_LT(resident_kib(init) - init_kib, 256);
  EXPECT_LT(resident_kib(daemon) - daemon_kib, 4096);
}

TEST_F(Live, ManyJailsWithFiveJobsEachRunAtOnce) {
  std::vector<std::string> jails;
  for (int i = 0; i < kManyJails; ++i) jails.push_back(session());
  std::vector<std::pair<std::string, std::uint32_t>> jobs;
  for (const std::string& jail : jails) {
    for (int i = 0; i < 5; ++i) {
      ExecSpec spec = shell("trap 'exit 9' USR1; while :; do sleep 1000 & wait; done");
      spec.detach = true;
      const auto job = exec(jail, spec);
      ASSERT_TRUE(job);
      jobs.emplace_back(jail, job->number());
    }
  }
  for (const std::string& jail : jails) {
    const AsUser alice;
    const auto listed = client().jobs(jail);
    ASSERT_TRUE(listed);
    EXPECT_EQ(listed->size(), 5U);
    for (const auto& info : *listed) EXPECT_EQ(info.state, "running");
  }
  for (const auto& [jail, number] : jobs) {
    const AsUser alice;
    // The shell may not have come to its trap yet; any end will do.
    ASSERT_TRUE(client().signal(jail, number, SIGUSR1));
    const auto report = client().wait(jail, number, within(60));
    ASSERT_TRUE(report) << report.error().text;
    EXPECT_TRUE(report->exit_code == 9 || report->signal == SIGUSR1);
  }
}

TEST_F(Live, AJobIsKilledWhenItsClientDiesAndTheJailGoesOn) {
  const std::string jail = session();
  for (const Stdio stdio : {Stdio::kPass, Stdio::kRelay, Stdio::kNull}) {
    auto job = exec(jail, shell("while :; do echo x; done", stdio));
    ASSERT_TRUE(job);
    EXPECT_TRUE(eventually([] { return jail_processes().size() > 1; }));
    job.reset();
    EXPECT_TRUE(eventually([] { return jail_processes().size() == 1; }));
    EXPECT_EQ(output(jail, "echo lives"), "lives\n");
  }
}

TEST_F(Live, WhoNeverReadsHurtsOnlyItsOwnJob) {
  const std::string jail = session();
  const pid_t daemon = stack().program("sandboxd");
  const long before = resident_kib(daemon);
  std::vector<Job> stuck;
  for (const Stdio stdio : {Stdio::kPass, Stdio::kRelay}) {
    ExecSpec spec = shell("cat /dev/zero", stdio);
    spec.log = stdio == Stdio::kPass;
    auto job = exec(jail, spec);
    ASSERT_TRUE(job);
    stuck.push_back(std::move(*job));
  }
  for (int i = 0; i < 50; ++i) ASSERT_EQ(output(jail, "echo still"), "still\n");
  if (kWeighed) {
    EXPECT_LT(resident_kib(daemon) - before, 8192);
  }
}

TEST_F(Live, AFrozenJailMakesNoProgressAndGoesOnAfterwards) {
  const std::string jail = session();
  auto job = exec(jail, shell("while :; do echo x; sleep 0.01; done", Stdio::kPass));
  ASSERT_TRUE(job);
  ASSERT_NE(read_for(job->output.get(), "x"), "");
  {
    const AsUser alice;
    ASSERT_TRUE(client().freeze(jail));
    const auto info = client().inspect(jail);
    ASSERT_TRUE(info);
    EXPECT_TRUE(info->frozen);
    EXPECT_FALSE(client().exec(jail, shell("true"))) << "jail-init is frozen with it";
  }
  // What was in the pipe, then nothing.
  (void)read_until(
      job->output.get(), [](const std::string&) { return false; }, 300);
  EXPECT_EQ(read_until(
                job->output.get(), [](const std::string&) { return false; }, 500),
            "");
  {
    const AsUser alice;
    ASSERT_TRUE(client().thaw(jail));
  }
  EXPECT_NE(read_for(job->output.get(), "x"), "");
}

TEST_F(Live, E22_AFrozenJailIsKilledAllTheSame) {
  const std::string jail = session();
  const AsUser alice;
  ASSERT_TRUE(client().freeze(jail));
  ASSERT_TRUE(client().kill(jail, 0, SIGTERM, std::chrono::milliseconds(200)));
  const auto report = client().wait(jail, 0, within(30));
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_EQ(report->verdict, Verdict::kKilled);
}

TEST_F(Live, AShellOnATerminalHasJobControl) {
  const std::string jail = session();
  ExecSpec spec;
  spec.argv = {"/bin/bash", "--norc", "--noprofile", "-i"};
  spec.env = {{"PS1", "> "}};
  spec.stdio = Stdio::kPass;
  spec.tty = protocol::WindowSize{33, 101};
  auto job = exec(jail, spec);
  ASSERT_TRUE(job);
  ASSERT_TRUE(job->has_terminal());
  const int shown = job->output.get();
  ASSERT_NE(read_for(shown, "> "), "");
  type(*job, "stty size\n");
  EXPECT_NE(read_for(shown, "33 101"), "");
  {
    const AsUser alice;
    ASSERT_TRUE(job->resize({40, 120}));
  }
  type(*job, "stty size\n");
  EXPECT_NE(read_for(shown, "40 120"), "");
  type(*job, "sleep 1000\n");
  EXPECT_NE(read_for(shown, "sleep 1000"), "");
  const auto sleeps_in = [](char state) {
    return std::ranges::any_of(jail_processes(), [state](pid_t pid) {
      return command_name(pid) == "sleep" && status_line(pid, "State").starts_with(state);
    });
  };
  ASSERT_TRUE(eventually([&] { return sleeps_in('S'); }));
  type(*job, "\x1a");  // Ctrl-Z
  EXPECT_NE(read_for(shown, "Stopped"), "");
  type(*job, "fg\n");
  EXPECT_NE(read_for(shown, "sleep 1000"), "");
  // The shell gives it the terminal before it lets it go on.
  ASSERT_TRUE(eventually([&] { return sleeps_in('S'); }));
  type(*job, "\x03");  // Ctrl-C
  type(*job, "echo status=$?\n");
  EXPECT_NE(read_for(shown, "status=130"), "") << "the signal was the foreground job's, not the shell's";
  type(*job, "exit 5\n");
  const AsUser alice;
  const auto report = job->wait(within(30));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->exit_code, 5);
}

TEST_F(Live, AnEditorEditsAFileOfTheCallers) {
  if (!fs::exists("/usr/bin/vim") && !fs::exists("/usr/bin/vim.tiny")) GTEST_SKIP() << "vim is not installed";
  const std::string workspace = stack().dir().make("editor", kAlice);
  client::Request request;
  {
    const AsUser alice;
    ASSERT_TRUE(request.workspace(workspace, protocol::Access::kRw));
  }
  const std::string jail = session(std::move(request));
  ExecSpec spec;
  spec.argv = {fs::exists("/usr/bin/vim") ? "vim" : "vim.tiny", "-u", "NONE", "-N", "note"};
  spec.env = {{"TERM", "xterm"}};
  spec.stdio = Stdio::kPass;
  spec.tty = protocol::WindowSize{24, 80};
  auto job = exec(jail, spec);
  ASSERT_TRUE(job);
  ASSERT_NE(read_for(job->output.get(), "note"), "");
  type(*job, "ihello from a jail\x1b:wq\r");
  (void)read_until(
      job->output.get(), [](const std::string&) { return false; }, 500);
  {
    const AsUser alice;
    const auto report = job->wait(within(30));
    ASSERT_TRUE(report) << report.error().text;
    EXPECT_EQ(report->exit_code, 0);
  }
  std::ifstream file(workspace + "/note");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, "hello from a jail");
  struct stat info {};
  ASSERT_EQ(::stat((workspace + "/note").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kAlice);
}

TEST_F(Live, TwoClientsShareATerminalAndItOutlivesBoth) {
  const std::string jail = session();
  ExecSpec spec = shell("while read line; do echo got:$line; done");
  spec.tty = protocol::WindowSize{};
  spec.detach = true;
  const auto started = exec(jail, spec);
  ASSERT_TRUE(started);
  {
    const AsUser alice;
    auto one = client().attach(jail, started->number());
    auto two = client().attach(jail, started->number());
    ASSERT_TRUE(one) << one.error().text;
    ASSERT_TRUE(two) << two.error().text;
    type(*one, "hello\n");
    EXPECT_NE(read_for(one->output.get(), "got:hello"), "");
    EXPECT_NE(read_for(two->output.get(), "got:hello"), "");
  }
  const AsUser alice;
  auto third = client().attach(jail, started->number());
  ASSERT_TRUE(third) << third.error().text;
  EXPECT_NE(read_for(third->output.get(), "got:hello"), "") << "what was shown last comes first";
  type(*third, "\x04");
  EXPECT_TRUE(client().wait(jail, started->number(), within(30)));
}

// What an agent does in an hour, one after the other.
TEST_F(Live, AnHoursWorkLeavesNothing) {
  const std::string workspace = stack().dir().make("hour", kAlice);
  client::Request request;
  {
    const AsUser alice;
    ASSERT_TRUE(request.workspace(workspace, protocol::Access::kRw));
  }
  const std::string jail = session(std::move(request));
  EXPECT_EQ(output(jail, "echo warm"), "warm\n");
  const std::size_t daemon_fds = open_descriptors(stack().program("sandboxd"));
  const std::size_t init_fds = open_descriptors(jail_init());
  ExecSpec daemon = shell("(setsid sleep 1000 &); exit 0", Stdio::kNull);
  daemon.survivors = protocol::Survivors::kKeep;
  {
    auto job = exec(jail, daemon);
    ASSERT_TRUE(job);
    const AsUser alice;
    ASSERT_TRUE(job->wait(within(30))) << "a job that is hung up on before it ends is killed, and keeps nothing";
  }
  ExecSpec terminal = shell("while read line; do echo got:$line; done");
  terminal.tty = protocol::WindowSize{};
  terminal.detach = true;
  const auto typed = exec(jail, terminal);
  ASSERT_TRUE(typed);
  for (int i = 0; i < kManyExecs / 2; ++i) {
    switch (i % 5) {
      case 0: ASSERT_EQ(output(jail, fmt::format("echo {} >file; cat file", i)), fmt::format("{}\n", i)); break;
      case 1: ASSERT_EQ(output(jail, "exit 7", 7), ""); break;
      case 2: ASSERT_EQ(output(jail, "head -c 100000 /dev/zero | wc -c"), "100000\n"); break;
      case 3: {
        const AsUser alice;
        const std::string text = fmt::format("text {}", i);
        ASSERT_TRUE(client().files(jail).write(workspace + "/note", text));
        const auto read = client().files(jail).read_all(workspace + "/note");
        ASSERT_TRUE(read) << read.error().text;
        ASSERT_EQ(*read, text);
        break;
      }
      default: ASSERT_EQ(output(jail, "(sleep 1000 &); echo x >&2"), ""); break;
    }
    if (i % 100 != 50) continue;
    const AsUser alice;
    ASSERT_TRUE(client().freeze(jail));
    ASSERT_TRUE(client().thaw(jail));
    auto one = client().attach(jail, typed->number(), 0);
    auto two = client().attach(jail, typed->number(), 0);
    ASSERT_TRUE(one && two);
    type(*one, fmt::format("line{}\n", i));
    EXPECT_NE(read_for(two->output.get(), fmt::format("got:line{}", i)), "");
  }
  {
    const AsUser alice;
    ASSERT_TRUE(client().kill(jail, typed->number(), SIGKILL, std::chrono::milliseconds(0)));
  }
  EXPECT_TRUE(eventually([] { return jail_processes().size() == 2; }))
      << "jail-init and what was to be kept, but there are: " << names_of(jail_processes());
  EXPECT_TRUE(eventually([&] { return open_descriptors(stack().program("sandboxd")) <= daemon_fds + 4; }));
  EXPECT_TRUE(eventually([&] { return open_descriptors(jail_init()) == init_fds; }));
}

TEST_F(Live, ASessionWithoutJobsEndsAtOnce) {
  const std::string jail = session();
  const std::uint64_t from = monotonic_usec();
  const AsUser alice;
  ASSERT_TRUE(client().kill(jail));
  ASSERT_TRUE(client().wait(jail, 0, within(30)));
  EXPECT_LT(monotonic_usec() - from, 5'000'000U) << "no grace for nobody";
}

TEST_F(Live, ASessionEndsWithItsTime) {
  client::Request request;
  request.spec.session_ttl = 300'000;
  const std::string jail = session(std::move(request));
  const AsUser alice;
  const auto report = client().wait(jail, 0, within(30));
  ASSERT_TRUE(report) << report.error().text;
  EXPECT_NE(report->detail.find("time"), std::string::npos);
}

TEST_F(Live, OthersCanNeitherSeeNorUseASession) {
  const std::string jail = session();
  const AsUser bob(kBob);
  auto other = Client::connect({.socket = stack().socket()});
  ASSERT_TRUE(other);
  for (const auto& attempt : {other->exec(jail, shell("true")), other->attach(jail, 2)}) {
    ASSERT_FALSE(attempt);
    EXPECT_EQ(attempt.error().kind, client::ErrorKind::kNotFound);
  }
  EXPECT_FALSE(other->freeze(jail));
  EXPECT_FALSE(other->remove(jail, true));
}

}  // namespace
}  // namespace sandboxd::test
