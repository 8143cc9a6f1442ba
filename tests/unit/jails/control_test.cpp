// The control socket, with a jail-init that the test plays.
#include "daemon/jails/control.h"

#include <cstring>
#include <vector>

#include <sys/socket.h>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/socket.h"

namespace sandboxd::jails {
namespace {

class ControlSocket : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GE(sd_event_new(&loop_), 0);
    int ends[2] = {-1, -1};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    init_.reset(ends[1]);
    ASSERT_TRUE(control_
                    .start(loop_, UniqueFd(ends[0]),
                           {[](std::uint32_t, const std::vector<UniqueFd>&) {},
                            [this](const wire::InitEventRecord& record) { seen_.push_back(record.event); },
                            [this](const std::string&) { broken_ = true; }})
                    .ok());
  }
  void TearDown() override {
    control_.close();
    sd_event_unref(loop_);
  }
  void say(const wire::InitEventRecord& record) const {
    ASSERT_TRUE(send_packet(init_.get(), {reinterpret_cast<const std::uint8_t*>(&record), sizeof record}, {}).ok());
  }
  void read_until(std::size_t count) {
    for (const std::uint64_t until = monotonic_usec() + 5'000'000;
         seen_.size() < count && !broken_ && monotonic_usec() < until;)
      sd_event_run(loop_, 10'000);
  }

  sd_event* loop_ = nullptr;
  UniqueFd init_;
  Control control_;
  std::vector<wire::InitEvent> seen_{};
  bool broken_ = false;
};

TEST_F(ControlSocket, WhatWasSentBeforeACloseIsReadWhateverWasLeftUnreadThere) {
  ASSERT_TRUE(control_.send(wire::InitCommand::kSignal, 15, wire::kFirstJob).ok());
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kJobExited;
  record.job = wire::kFirstJob;
  say(record);
  init_.reset();  // the signal was never read
  read_until(1);
  EXPECT_EQ(seen_, std::vector{wire::InitEvent::kJobExited});
  EXPECT_FALSE(broken_);
}

TEST_F(ControlSocket, CountsOfUntoldRefusalsAreEventsOfTheJobsThatEnd) {
  constexpr std::size_t kJobs = 400;
  control_.expect_denials();
  wire::DeniedCall call;
  call.number = -1;
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kDenied;
  std::memcpy(&record.text[0], &call, sizeof call);
  for (std::size_t i = 0; i < kJobs; ++i) {
    control_.expect_job();
    say(record);
    read_until(i + 1);
  }
  EXPECT_FALSE(broken_);
  EXPECT_EQ(seen_.size(), kJobs);
}

}  // namespace
}  // namespace sandboxd::jails
