#include <csignal>

#include <fcntl.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "tests/support/lingering.h"
#include "tests/unit/jails/fixture.h"

namespace sandboxd::jails {
namespace {

using protocol::JailInfo;
using protocol::JobReport;
using protocol::JobSpec;
using protocol::Verdict;
using test::FakeJail;
using test::Jails;
using test::Seen;
using testing::ElementsAre;
using wire::AuditPhase;

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
    record.job = wire::kFirstJob;
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

TEST_F(Hostile, DescriptorsThatDoNotCloseHoldNobodyUp) {
  sandboxd::test::Lingering lingering;
  std::uint64_t begun = 0;
  expect_killed([&](FakeJail& jail) {
    const int fds[] = {lingering.get()};
    jail.say_raw(record_of(wire::InitEvent::kJobStarted), fds);
    lingering.close();
    begun = monotonic_usec();
  });
  EXPECT_LT(monotonic_usec() - begun, 2'000'000U);
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

TEST_F(Hostile, AWaitStatusThatIsNoEndEndsTheJail) {
  expect_killed([](FakeJail& jail) { jail.say(wire::InitEvent::kJobExited, 0x7F); });
}

TEST_F(Hostile, FloodOfEventsEndsTheJail) {
  expect_killed([](FakeJail& jail) {
    for (int i = 0; i < 40; ++i) jail.say(wire::InitEvent::kJobStarted, i);
  });
}

}  // namespace
}  // namespace sandboxd::jails
