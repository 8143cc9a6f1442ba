#include "daemon/jails/supervisor.h"

#include <csignal>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "daemon/jails/make_supervisor.h"
#include "tests/unit/jails/fakes.h"

namespace sandboxd::jails {
namespace {

using protocol::JailInfo;
using protocol::JobReport;
using protocol::JobSpec;
using protocol::Verdict;
using test::FakeJail;
using testing::ElementsAre;
using wire::AuditPhase;

struct Seen {
  int started = 0;
  std::vector<UniqueFd> fds{};
  std::string output{};
  std::optional<JobReport> report{};
  std::optional<Failure> failure{};
  [[nodiscard]] bool ended() const { return report || failure; }
};

class Jails : public testing::Test {
 protected:
  Jails() {
    char name[] = "/tmp/jails-XXXXXX";
    folder_ = ::mkdtemp(name);
    loop_ = test::make_loop();
    launcher_ = std::make_unique<test::FakeLauncher>(loop_.get(), folder_ + "/launcher.sock");
    audit_ = std::make_unique<test::FakeAudit>(loop_.get(), folder_ + "/audit.sock");
  }
  ~Jails() override {
    supervisor_.reset();
    ::unlink((folder_ + "/launcher.sock").c_str());
    ::unlink((folder_ + "/audit.sock").c_str());
    ::rmdir(folder_.c_str());
  }

  void open(std::uint64_t stuck_after = 10'000'000) {
    Deps deps;
    deps.launcher_socket = folder_ + "/launcher.sock";
    deps.audit_socket = folder_ + "/audit.sock";
    deps.user_names = {{1000, "alice"}};
    deps.numbers = 16;
    deps.stuck_after = stuck_after;
    supervisor_ = make_supervisor(loop_.get(), std::move(deps));
    ASSERT_TRUE(until([this] { return ready(); }));
  }
  bool ready() {
    return supervisor_->explain(alice(), spec()).index() == 0 &&
           nlohmann::json::parse(supervisor_->host_info())["launcher"] == "connected";
  }
  bool until(const std::function<bool()>& done) { return test::run_until(loop_.get(), done); }

  static Client alice() { return {1000, 1000, 1, {}, false, 7}; }
  static Client bob() { return {1001, 1001, 1, {}, false, 8}; }
  static Client admin() { return {0, 0, 1, {}, true, 9}; }
  static JobSpec spec() {
    JobSpec job;
    job.argv = {"/bin/true"};
    return job;
  }
  static RunObserver observe(Seen& seen) {
    return {[&seen](const JailInfo&, std::vector<UniqueFd> fds) {
              ++seen.started;
              seen.fds = std::move(fds);
            },
            [&seen](int stream, std::string_view bytes) {
              seen.output += (stream == 1 ? "1:" : "2:") + std::string(bytes);
            },
            [&seen](const JobReport& report) { seen.report = report; },
            [&seen](const Failure& failure) { seen.failure = failure; }};
  }
  std::string run(Seen& seen, const JobSpec& job = spec(), const Client& client = alice()) {
    auto result = supervisor_->run(client, job, observe(seen));
    EXPECT_EQ(result.index(), 0U);
    return result.index() == 0 ? std::get<0>(result) : "";
  }
  // A jail that runs, and its fake.
  std::pair<std::string, std::shared_ptr<FakeJail>> running(Seen& seen, const JobSpec& job = spec(),
                                                            const Client& client = alice()) {
    const std::size_t before = launcher_->starts;
    const std::string id = run(seen, job, client);
    EXPECT_TRUE(until([&] { return launcher_->starts > before && state(id) == "running"; }));
    return {id, launcher_->jails[launcher_->last_plan.number]};
  }
  std::string state(const std::string& id) {
    auto list = supervisor_->list(admin());
    for (const JailInfo& info : std::get<0>(list)) {
      if (info.jail == id) return info.state;
    }
    return "";
  }
  template <class T> static const T* failure_as(const Seen& seen) {
    return seen.failure ? std::get_if<T>(&*seen.failure) : nullptr;
  }

  std::string folder_;
  test::Loop loop_;
  std::unique_ptr<test::FakeLauncher> launcher_;
  std::unique_ptr<test::FakeAudit> audit_;
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(Jails, ReportHowTheJobEnded) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  EXPECT_EQ(seen.started, 1);
  jail->give_streams();
  jail->exit_with(3 << 8);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_TRUE(seen.report);
  EXPECT_EQ(seen.report->verdict, Verdict::kExited);
  EXPECT_EQ(seen.report->exit_code, 3);
  EXPECT_EQ(seen.report->jail, id);
  EXPECT_EQ(seen.report->usage.cpu_user, 20U);
  EXPECT_EQ(seen.report->usage.cpu_system, 10U);
}

TEST_F(Jails, RecordTheIntentBeforeAndTheEndAfter) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  ASSERT_EQ(audit_->of("jail.start", AuditPhase::kIntent).size(), 1U);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kIntent)[0].request, jail->plan.request);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kIntent)[0].uid, 1000U);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  const auto ends = audit_->of("jail.exit", AuditPhase::kResult);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(ends[0].outcome, "ok");
  EXPECT_EQ(ends[0].jail, id);
  EXPECT_EQ(nlohmann::json::parse(ends[0].detail)["verdict"], "exited");
}

TEST_F(Jails, ReportNothingBeforeItsRecordIsDurable) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  audit_->hold();
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return !audit_->of("jail.exit", AuditPhase::kResult).empty(); }));
  test::run_for(loop_.get(), 50'000);
  EXPECT_FALSE(seen.ended());
  EXPECT_TRUE(launcher_->removed.empty());
  audit_->release();
  EXPECT_TRUE(until([&] { return seen.report.has_value() && state(id) == "ended"; }));
}

TEST_F(Jails, SayWhenTheEndCouldNotBeRecorded) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  audit_->refuse = true;
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Unavailable>(seen), nullptr);
  EXPECT_EQ(failure_as<Unavailable>(seen)->what, "audit");
}

TEST_F(Jails, AreRemovedAndTheirNumberIsUsedAgain) {
  open();
  for (int i = 0; i < 20; ++i) {  // more than there are numbers
    Seen seen;
    auto [id, jail] = running(seen);
    jail->give_streams();
    jail->exit_with(0);
    ASSERT_TRUE(until([&] { return seen.ended() && state(id) == "ended"; })) << i;
  }
  EXPECT_TRUE(launcher_->existing.empty());
}

TEST_F(Jails, AreRemovedAgainWhileTheCgroupIsBusy) {
  open();
  launcher_->busy = 3;
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return state(id) == "ended"; }));
  EXPECT_EQ(launcher_->busy, 0);
}

TEST_F(Jails, AreStuckWhenTheyCannotBeRemovedAndKeepTheirNumber) {
  open(100'000);
  launcher_->busy = 1 << 20;
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return state(id) == "stuck"; }));
  EXPECT_TRUE(seen.report);
  EXPECT_EQ(nlohmann::json::parse(supervisor_->host_info())["pool"]["in_use"], 1);
}

TEST_F(Jails, RelayBothStreams) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  auto inner = jail->give_streams();
  ASSERT_TRUE(write_all(inner[1].get(), "out").ok());
  ASSERT_TRUE(until([&] { return seen.output == "1:out"; }));
  ASSERT_TRUE(write_all(inner[2].get(), "err").ok());
  ASSERT_TRUE(until([&] { return seen.output == "1:out2:err"; }));
}

TEST_F(Jails, ReportAfterTheLastByteOfOutput) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  auto inner = jail->give_streams();
  const std::string text(60000, 'x');
  ASSERT_TRUE(write_all(inner[1].get(), text).ok());
  inner.clear();
  jail->exit_with(0);
  std::string at_report;
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.output.size(), text.size() + 2);
}

TEST_F(Jails, ReportSoonEvenWhenSomeoneKeepsAPipeOpen) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  const auto inner = jail->give_streams();  // kept
  jail->exit_with(0);
  EXPECT_TRUE(until([&] { return seen.ended(); }));
}

TEST_F(Jails, GiveTheJobItsInput) {
  open();
  JobSpec job = spec();
  job.stdin_data = std::string(200000, 'i');
  Seen seen;
  auto [id, jail] = running(seen, job);
  auto inner = jail->give_streams();
  ASSERT_GE(::fcntl(inner[0].get(), F_SETFL, O_NONBLOCK), 0);
  std::size_t got = 0;
  bool end = false;
  ASSERT_TRUE(until([&] {
    char buffer[8192];
    const ssize_t n = ::read(inner[0].get(), buffer, sizeof buffer);
    if (n > 0) got += static_cast<std::size_t>(n);
    end = n == 0;
    return end;
  }));
  EXPECT_EQ(got, 200000U);
}

TEST_F(Jails, LetTheJobWaitForASlowClient) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  auto inner = jail->give_streams();
  supervisor_->pause_output(id, true);
  ASSERT_TRUE(write_all(inner[1].get(), "later").ok());
  test::run_for(loop_.get(), 50'000);
  EXPECT_EQ(seen.output, "");
  supervisor_->pause_output(id, false);
  EXPECT_TRUE(until([&] { return seen.output == "1:later"; }));
}

TEST_F(Jails, HandTheDescriptorsOverOnRequest) {
  open();
  JobSpec job = spec();
  job.stdio = protocol::Stdio::kPass;
  Seen seen;
  auto [id, jail] = running(seen, job);
  EXPECT_EQ(seen.started, 0);
  auto inner = jail->give_streams();
  ASSERT_TRUE(until([&] { return seen.started == 1; }));
  ASSERT_EQ(seen.fds.size(), 3U);
  ASSERT_TRUE(write_all(inner[1].get(), "x").ok());
  char byte = 0;
  EXPECT_EQ(::read(seen.fds[1].get(), &byte, 1), 1);
}

// ---- a hostile jail-init

class Hostile : public Jails {
 protected:
  void expect_killed(const std::function<void(FakeJail&)>& act) {
    open();
    Seen seen;
    auto [id, jail] = running(seen);
    act(*jail);
    ASSERT_TRUE(until([&] { return seen.ended(); }));
    ASSERT_TRUE(seen.report);
    EXPECT_EQ(seen.report->verdict, Verdict::kKilled);
    EXPECT_NE(seen.report->detail.find("broke the protocol"), std::string::npos) << seen.report->detail;
  }
  static std::vector<std::uint8_t> record_of(wire::InitEvent event) {
    wire::InitEventRecord record{};
    record.event = event;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&record);
    return {bytes, bytes + sizeof record};
  }
};

TEST_F(Hostile, DirectoryInPlaceOfAPipeEndsTheJail) {
  expect_killed([](FakeJail& jail) {
    const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int fds[] = {root.get(), root.get(), root.get()};
    jail.say_raw(record_of(wire::InitEvent::kStreams), fds);
  });
}

TEST_F(Hostile, PipesOfTheWrongDirectionEndTheJail) {
  expect_killed([](FakeJail& jail) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd read_end(ends[0]), write_end(ends[1]);
    const int fds[] = {read_end.get(), write_end.get(), write_end.get()};
    jail.say_raw(record_of(wire::InitEvent::kStreams), fds);
  });
}

TEST_F(Hostile, TwoPipesEndTheJail) {
  expect_killed([](FakeJail& jail) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd read_end(ends[0]), write_end(ends[1]);
    const int fds[] = {write_end.get(), read_end.get()};
    jail.say_raw(record_of(wire::InitEvent::kStreams), fds);
  });
}

TEST_F(Hostile, SecondStreamsEndTheJail) {
  expect_killed([](FakeJail& jail) {
    jail.give_streams();
    jail.give_streams();
  });
}

TEST_F(Hostile, DescriptorsWithAnotherEventEndTheJail) {
  expect_killed([](FakeJail& jail) {
    const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const int fds[] = {root.get()};
    jail.say_raw(record_of(wire::InitEvent::kJobStarted), fds);
  });
}

TEST_F(Hostile, ShortRecordEndsTheJail) {
  expect_killed([](FakeJail& jail) { jail.say_raw(std::vector<std::uint8_t>(8), {}); });
}

TEST_F(Hostile, LongRecordEndsTheJail) {
  expect_killed([](FakeJail& jail) { jail.say_raw(std::vector<std::uint8_t>(400), {}); });
}

TEST_F(Hostile, UnknownEventEndsTheJail) {
  expect_killed([](FakeJail& jail) { jail.say(static_cast<wire::InitEvent>(99)); });
}

TEST_F(Hostile, FloodOfEventsEndsTheJail) {
  expect_killed([](FakeJail& jail) {
    for (int i = 0; i < 40; ++i) jail.say(wire::InitEvent::kJobStarted, i);
  });
}

// ---- verdicts

TEST_F(Jails, CallAJobEndedByAForbiddenCallSeccomp) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(SIGSYS);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kSeccomp);
  EXPECT_EQ(seen.report->signal, SIGSYS);
}

TEST_F(Jails, CallAJobEndedByItsOwnSignalSignalled) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(SIGSEGV);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kSignalled);
  EXPECT_EQ(seen.report->signal, SIGSEGV);
}

TEST_F(Jails, CallADeadlineTimeout) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->say(wire::InitEvent::kWallTime);
  jail->die();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kTimeoutWall);
}

TEST_F(Jails, KeepTheDeadlineThemselvesWhenJailInitDoesNot) {
  open();
  JobSpec job = spec();
  job.wall_time = 1;
  Seen seen;
  auto [id, jail] = running(seen, job);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kTimeoutWall);
}

TEST_F(Jails, TellWhyTheJobCouldNotBeExecuted) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->say(wire::InitEvent::kJobFailed, 0, ENOENT, "exec", "execve '/nope'");
  jail->die();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  const auto* failed = failure_as<SetupFailed>(seen);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->step, "exec");
  EXPECT_EQ(failed->code, ENOENT);
  std::optional<JobReport> waited;
  supervisor_->wait(alice(), id, [&](auto result) { waited = std::get<0>(result); });
  ASSERT_TRUE(waited);
  EXPECT_EQ(waited->verdict, Verdict::kSetupFailed);
}

TEST_F(Jails, CallAnEndWithoutAWordKilled) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->die();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kKilled);
}

TEST_F(Jails, AreStuckWhenCgroupKillDoesNotEndThem) {
  open(100'000);
  Seen seen;
  auto [id, jail] = running(seen);
  jail->kill_works = false;
  EXPECT_FALSE(supervisor_->kill(alice(), id, SIGKILL, 0));
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kStuck);
  EXPECT_EQ(state(id), "stuck");
  jail->die();  // it could, in the end
  EXPECT_TRUE(until([&] { return state(id) == "ended"; }));
}

// ---- the kill ladder

TEST_F(Jails, SignalTheJobFirst) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  EXPECT_FALSE(supervisor_->kill(alice(), id, SIGTERM, 4'000'000));
  ASSERT_TRUE(until([&] { return !jail->signals.empty(); }));
  EXPECT_THAT(jail->signals, ElementsAre(SIGTERM));
  jail->exit_with(SIGTERM);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(seen.report->verdict, Verdict::kKilled);
  EXPECT_EQ(seen.report->signal, SIGTERM);
}

TEST_F(Jails, KillTheCgroupAfterTheGrace) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  EXPECT_FALSE(supervisor_->kill(alice(), id, SIGTERM, 50'000));
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_THAT(jail->signals, ElementsAre(SIGTERM));
  EXPECT_EQ(seen.report->verdict, Verdict::kKilled);
}

TEST_F(Jails, DieWithTheirClient) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  supervisor_->pause_output(id, true);
  supervisor_->disconnected(alice());
  ASSERT_TRUE(until([&] { return state(id) == "ended"; }));
  EXPECT_FALSE(seen.ended());
  const auto ends = audit_->of("jail.exit", AuditPhase::kResult);
  ASSERT_EQ(ends.size(), 1U);
  EXPECT_EQ(nlohmann::json::parse(ends[0].detail)["detail"], "its client went away");
}

TEST_F(Jails, DieWithAClientThatLeftDuringTheStart) {
  open();
  Seen seen;
  const std::string id = run(seen);
  supervisor_->disconnected(alice());
  EXPECT_TRUE(until([&] { return state(id) == "ended"; }));
  EXPECT_EQ(seen.started, 0);
}

// ---- refusals

TEST_F(Jails, RecordARefusalBeforeTheClientHearsIt) {
  open();
  JobSpec job = spec();
  job.network = protocol::Network::kHost;
  audit_->hold();
  Seen seen;
  run(seen, job);
  ASSERT_TRUE(until([&] { return !audit_->records.empty(); }));
  test::run_for(loop_.get(), 30'000);
  EXPECT_FALSE(seen.ended());
  audit_->release();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Denied>(seen), nullptr);
  EXPECT_EQ(failure_as<Denied>(seen)->rule, "network");
  EXPECT_EQ(audit_->records[0].outcome, "deny");
}

TEST_F(Jails, CollapseAFloodOfRefusals) {
  open();
  JobSpec job = spec();
  job.network = protocol::Network::kHost;
  std::vector<std::unique_ptr<Seen>> all;
  int at_once = 0;
  for (int i = 0; i < 200; ++i) {
    all.push_back(std::make_unique<Seen>());
    const auto result = supervisor_->run(alice(), job, observe(*all.back()));
    if (result.index() == 1) ++at_once;
  }
  ASSERT_TRUE(until([&] { return all.front()->ended(); }));
  test::run_for(loop_.get(), 50'000);
  EXPECT_LE(audit_->records.size(), 40U);
  EXPECT_GE(at_once, 160);
}

TEST_F(Jails, PassOnWhyTheLauncherRefused) {
  open();
  launcher_->refuse_start = wire::Failed{"claim", EPERM, "the file is not the caller's", true};
  Seen seen;
  const std::string id = run(seen);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Denied>(seen), nullptr);
  ASSERT_EQ(audit_->of("jail.start", AuditPhase::kResult).size(), 1U);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kResult)[0].outcome, "deny");
  EXPECT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["pool"]["in_use"] == 0; }));
}

TEST_F(Jails, PassOnTheStepThatFailed) {
  open();
  launcher_->refuse_start = wire::Failed{"mounts", ENODEV, "fsopen", false};
  Seen seen;
  run(seen);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<SetupFailed>(seen), nullptr);
  EXPECT_EQ(failure_as<SetupFailed>(seen)->step, "mounts");
}

TEST_F(Jails, NameTheMemberThatIsWrong) {
  open();
  JobSpec job = spec();
  job.hostname = "-";
  const auto result = supervisor_->run(alice(), job, {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<InvalidArgument>(std::get<1>(result)).path, "/parameters/spec/hostname");
}

TEST_F(Jails, RefuseAProfileThatIsNotThere) {
  open();
  JobSpec job = spec();
  job.profile = "nope";
  const auto result = supervisor_->run(alice(), job, {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<NotFound>(std::get<1>(result)).name, "nope");
}

TEST_F(Jails, HoldEachUserToTheirNumberOfJails) {
  open();
  Seen a, b, c, d;
  running(a);
  running(b);
  running(c);
  const auto result = supervisor_->run(alice(), spec(), {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<LimitReached>(std::get<1>(result)).most, 3U);
  running(d, spec(), bob());
  EXPECT_EQ(d.started, 1);
}

TEST_F(Jails, RefuseANameThatIsInUse) {
  open();
  JobSpec job = spec();
  job.name = "build";
  Seen seen, other;
  auto [id, jail] = running(seen, job);
  EXPECT_EQ(supervisor_->run(alice(), job, {}).index(), 1U);
  running(other, job, bob());
  EXPECT_EQ(other.started, 1);
}

// ---- programs that come and go

TEST_F(Jails, StartNothingWithoutTheAuditProgram) {
  open();
  audit_->stop();
  ASSERT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["audit"] == "away"; }));
  const auto result = supervisor_->run(alice(), spec(), {});
  ASSERT_EQ(result.index(), 1U);
  EXPECT_EQ(std::get<Unavailable>(std::get<1>(result)).what, "audit");
}

TEST_F(Jails, KeepResultsUntilTheAuditProgramIsBack) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  audit_->stop();
  ASSERT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["audit"] == "away"; }));
  jail->give_streams();
  jail->exit_with(0);
  test::run_for(loop_.get(), 50'000);
  EXPECT_FALSE(seen.ended());
  audit_->listen();
  ASSERT_TRUE(until([&] { return seen.report.has_value(); }));
  EXPECT_EQ(audit_->of("jail.exit", AuditPhase::kResult).size(), 1U);
}

TEST_F(Jails, SurviveARestartOfTheLauncher) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  launcher_->seen.clear();
  launcher_->hang_up();
  ASSERT_TRUE(until([&] { return !launcher_->seen.empty() && ready(); }));
  EXPECT_EQ(state(id), "running");
  EXPECT_TRUE(launcher_->killed.empty());
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return seen.report.has_value() && state(id) == "ended"; }));
}

TEST_F(Jails, FailStartsThatWereUnderWayWhenTheLauncherWent) {
  open();
  launcher_->silent = true;
  Seen seen;
  run(seen);
  ASSERT_TRUE(until([&] { return launcher_->last_plan.number != 0; }));
  launcher_->hang_up();
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_NE(failure_as<Unavailable>(seen), nullptr);
  EXPECT_EQ(audit_->of("jail.start", AuditPhase::kResult).at(0).outcome, "unknown");
  EXPECT_TRUE(until([&] { return nlohmann::json::parse(supervisor_->host_info())["pool"]["in_use"] == 0; }));
}

TEST_F(Jails, EndWhatAnEarlierLifeLeft) {
  launcher_->existing = {4, 9};
  open();
  ASSERT_TRUE(until([&] { return launcher_->existing.empty(); }));
  EXPECT_THAT(launcher_->killed, ElementsAre(4, 9));
  const auto records = audit_->of("jail.exit", AuditPhase::kResult);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].outcome, "unknown");
}

TEST_F(Jails, TakeReloadedProfiles) {
  open();
  launcher_->profiles.profiles[0].user_root = false;
  launcher_->profiles.profiles[0].hash = wire::hash_of(launcher_->profiles.profiles[0]);
  launcher_->profiles.hash = wire::hash_of(launcher_->profiles);
  launcher_->send_profiles();
  JobSpec job = spec();
  job.user_root = true;
  EXPECT_TRUE(until([&] { return supervisor_->explain(alice(), job).index() == 1; }));
}

TEST_F(Jails, KeepTheProfilesTheyHaveWhenNewOnesAreBroken) {
  open();
  launcher_->profiles.profiles[0].user_root = false;  // its hash is wrong now
  launcher_->send_profiles();
  test::run_for(loop_.get(), 30'000);
  JobSpec job = spec();
  job.user_root = true;
  EXPECT_EQ(supervisor_->explain(alice(), job).index(), 0U);
}

TEST_F(Jails, AllEndWithTheDaemonAndSayWhy) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  bool done = false;
  supervisor_->end([&] { done = true; });
  EXPECT_FALSE(done);
  const auto refused = supervisor_->run(alice(), spec(), {});
  ASSERT_EQ(refused.index(), 1U);
  EXPECT_EQ(std::get<Unavailable>(std::get<1>(refused)).what, "sandboxd");
  ASSERT_TRUE(until([&] { return done; }));
  ASSERT_TRUE(seen.report);
  EXPECT_EQ(seen.report->detail, "the daemon is ending");
  EXPECT_TRUE(launcher_->existing.empty());
}

TEST_F(Jails, EndAtOnceWhenThereAreNone) {
  open();
  bool done = false;
  supervisor_->end([&] { done = true; });
  EXPECT_TRUE(done);
}

// ---- who sees what

TEST_F(Jails, AreSeenByTheirUserAndByAdminsOnly) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  EXPECT_EQ(std::get<0>(supervisor_->list(alice())).size(), 1U);
  EXPECT_EQ(std::get<0>(supervisor_->list(bob())).size(), 0U);
  EXPECT_EQ(std::get<0>(supervisor_->list(admin())).size(), 1U);
  const auto failure = supervisor_->kill(bob(), id, SIGKILL, 0);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(std::holds_alternative<NotFound>(*failure));
  EXPECT_EQ(state(id), "running");
}

TEST_F(Jails, AreFoundByName) {
  open();
  JobSpec job = spec();
  job.name = "build";
  Seen seen;
  auto [id, jail] = running(seen, job);
  std::optional<JailInfo> info;
  supervisor_->inspect(alice(), "build", [&](auto result) { info = std::get<0>(result); });
  ASSERT_TRUE(until([&] { return info.has_value(); }));
  EXPECT_EQ(info->jail, id);
  ASSERT_EQ(info->in_force.size(), 1U);
  EXPECT_EQ(info->in_force[0].value, "now");  // read back anew
}

TEST_F(Jails, AnswerWaitsWhenTheyEnd) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  std::optional<JobReport> report;
  supervisor_->wait(alice(), id, [&](auto result) { report = std::get<0>(result); });
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return report.has_value(); }));
  report.reset();
  supervisor_->wait(alice(), id, [&](auto result) { report = std::get<0>(result); });
  EXPECT_TRUE(report);
}

TEST_F(Jails, AreForgottenOnRequestOnceTheyHaveEnded) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  std::optional<Failure> failure;
  bool done = false;
  const auto note = [&](std::optional<Failure> f) {
    failure = std::move(f);
    done = true;
  };
  supervisor_->remove(alice(), id, false, note);
  ASSERT_TRUE(done && failure);
  done = false;
  supervisor_->remove(alice(), id, true, note);
  ASSERT_TRUE(until([&] { return done; }));
  EXPECT_FALSE(failure);
  EXPECT_EQ(state(id), "");
}

TEST_F(Jails, TellTheirStoryInEvents) {
  open();
  std::vector<std::string> kinds, others;
  const auto mine = supervisor_->subscribe(alice(), 0, [&](const Event& event) { kinds.push_back(event.kind); });
  const auto foreign = supervisor_->subscribe(bob(), 0, [&](const Event& event) { others.push_back(event.kind); });
  Seen seen;
  auto [id, jail] = running(seen);
  jail->give_streams();
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return !kinds.empty() && kinds.back() == "ended"; }));
  EXPECT_THAT(kinds, ElementsAre("starting", "started", "exited", "ended"));
  EXPECT_TRUE(others.empty());
}

}  // namespace
}  // namespace sandboxd::jails
