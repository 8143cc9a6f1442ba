// A jail without a first job: it outlives its client, ends with its time, and is frozen and extended.
#include "tests/unit/jails/fixture.h"

namespace sandboxd::jails {
namespace {

using test::Seen;
using Session = test::Jails;

TEST_F(Session, OutlivesTheConnectionThatMadeIt) {
  open();
  const auto [id, jail] = session();
  EXPECT_TRUE(launcher_->last_plan.session);
  EXPECT_TRUE(launcher_->last_plan.job.argv.empty());
  supervisor_->disconnected(alice());
  test::run_for(loop_.get(), 30'000);
  EXPECT_EQ(state(id), "running");
}

TEST_F(Session, EndsWhenItsTimeIsOver) {
  open();
  protocol::JobSpec spec;
  spec.session_ttl = 60'000;
  const auto [id, jail] = session(spec);
  ASSERT_TRUE(until([&, &j = jail] { return !j->signals.empty(); }));
  EXPECT_EQ(jail->signals.front(), 15);
  EXPECT_TRUE(jail->was_told(wire::InitCommand::kSignalAll, wire::kFirstJob));
}

TEST_F(Session, LivesLongerWhenExtended) {
  open();
  protocol::JobSpec spec;
  spec.session_ttl = 200'000;
  const auto [id, jail] = session(spec);
  const auto expires = supervisor_->extend(alice(), id, 3'600'000'000);
  ASSERT_EQ(expires.index(), 0U);
  test::run_for(loop_.get(), 300'000);
  EXPECT_TRUE(jail->signals.empty());
  EXPECT_EQ(std::get<0>(supervisor_->list(alice()))[0].expires, std::get<0>(expires));
}

TEST_F(Session, ARunCantBeExtended) {
  open();
  Seen seen;
  const auto [id, jail] = running(seen);
  EXPECT_EQ(supervisor_->extend(alice(), id, 1).index(), 1U);
}

TEST_F(Session, WithACommandIsRefused) {
  open();
  std::optional<Failure> why;
  supervisor_->create(alice(), spec(), [&](auto made) {
    if (made.index() == 1) why = std::get<1>(made);
  });
  ASSERT_TRUE(why);
  const auto* wrong = std::get_if<InvalidArgument>(&*why);
  ASSERT_NE(wrong, nullptr);
  EXPECT_EQ(wrong->path, "/parameters/spec/argv");
}

TEST_F(Session, ARunWithoutACommandIsRefused) {
  open();
  Seen seen;
  const auto result = supervisor_->run(alice(), {}, observe(seen));
  ASSERT_EQ(result.index(), 1U);
  EXPECT_NE(std::get_if<InvalidArgument>(&std::get<1>(result)), nullptr);
}

TEST_F(Session, KeepsItsLabels) {
  open();
  protocol::JobSpec spec;
  spec.labels = {{"team", "blue"}};
  const auto [id, jail] = session(spec);
  EXPECT_EQ(std::get<0>(supervisor_->list(alice()))[0].labels, spec.labels);
}

TEST_F(Session, KilledSaysWhoKilledIt) {
  open();
  const auto [id, jail] = session();
  std::optional<protocol::JobReport> report;
  supervisor_->wait(alice(), id, [&](auto end) {
    if (end.index() == 0) report = std::get<0>(end);
  });
  ASSERT_FALSE(supervisor_->kill(alice(), id, 9, 0));
  ASSERT_TRUE(until([&] { return report.has_value(); }));
  EXPECT_EQ(report->verdict, protocol::Verdict::kKilled);
  EXPECT_EQ(report->job, 0U);
}

TEST_F(Session, ADetachedRunOutlivesItsClient) {
  open();
  Seen seen;
  protocol::JobSpec job = spec();
  job.detach = true;
  const auto [id, jail] = running(seen, job);
  supervisor_->disconnected(alice());
  test::run_for(loop_.get(), 30'000);
  EXPECT_EQ(state(id), "running");
  EXPECT_EQ(seen.started, 1);
}

TEST_F(Session, FreezeIsRecordedFirst) {
  open();
  const auto [id, jail] = session();
  audit_->refuse = true;
  std::optional<Failure> why;
  supervisor_->freeze(alice(), id, true, [&](const std::optional<Failure>& failure) { why = failure; });
  ASSERT_TRUE(until([&] { return why.has_value(); }));
  EXPECT_FALSE(std::get<0>(supervisor_->list(alice()))[0].frozen);
}

// A client that has not read all that its job wrote, when the jail is removed.
struct SlowReader : Session {
  void SetUp() override {
    open();
    std::tie(id, jail) = session();
    job = executing_with_streams();
    supervisor_->pause_job_output(alice(), id, job, true);
    jail->die();
    ASSERT_TRUE(until([this] { return state(id) == "ended"; }));
    ASSERT_FALSE(seen.ended());
  }
  void TearDown() override {
    inner.clear();
    EXPECT_TRUE(until([this] { return removed && seen.ended(); }));
    EXPECT_TRUE(seen.report.has_value());
    EXPECT_EQ(state(id), "");
  }
  std::uint32_t executing_with_streams() {
    const std::uint32_t number = exec(seen, id, command(protocol::Stdio::kRelay));
    EXPECT_TRUE(until([&] { return jail->was_told(wire::InitCommand::kExec, number); }));
    inner = jail->give_streams(number);
    EXPECT_TRUE(until([&] { return jail->was_told(wire::InitCommand::kRelease, number); }));
    return number;
  }
  void remove(bool force) {
    supervisor_->remove(alice(), id, force, [this](auto failure) {
      removed = true;
      EXPECT_FALSE(failure);
    });
  }

  Seen seen{};
  std::string id{};
  std::shared_ptr<test::FakeJail> jail{};
  std::uint32_t job = 0;
  std::vector<UniqueFd> inner{};
  bool removed = false;
};

TEST_F(SlowReader, HearsTheEndOfItsJobWhenTheJailIsRemovedByForce) { remove(true); }

TEST_F(SlowReader, IsWaitedForByARemovalWithoutForce) {
  remove(false);
  test::run_for(loop_.get(), 100'000);
  EXPECT_FALSE(removed);
  supervisor_->pause_job_output(alice(), id, job, false);
}

}  // namespace
}  // namespace sandboxd::jails
