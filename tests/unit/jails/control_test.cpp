// The control socket, with a jail-init that the test plays.
#include "daemon/jails/control.h"

#include <sys/socket.h>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/socket.h"

namespace sandboxd::jails {
namespace {

TEST(ControlSocket, WhatWasSentBeforeACloseIsReadWhateverWasLeftUnreadThere) {
  sd_event* loop = nullptr;
  ASSERT_GE(sd_event_new(&loop), 0);
  int ends[2] = {-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  UniqueFd init(ends[1]);
  bool exited = false, broken = false;
  Control control;
  ASSERT_TRUE(control
                  .start(loop, UniqueFd(ends[0]),
                         {[](std::uint32_t, const std::vector<UniqueFd>&) {},
                          [&](const wire::InitEventRecord& record) {
                            exited = exited || record.event == wire::InitEvent::kJobExited;
                          },
                          [&](const std::string&) { broken = true; }})
                  .ok());
  ASSERT_TRUE(control.send(wire::InitCommand::kSignal, 15, wire::kFirstJob).ok());
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kJobExited;
  record.job = wire::kFirstJob;
  ASSERT_TRUE(send_packet(init.get(), {reinterpret_cast<const std::uint8_t*>(&record), sizeof record}, {}).ok());
  init.reset();  // the signal was never read
  for (const std::uint64_t until = monotonic_usec() + 5'000'000; !exited && monotonic_usec() < until;)
    sd_event_run(loop, 10'000);
  EXPECT_TRUE(exited);
  EXPECT_FALSE(broken);
  control.close();
  sd_event_unref(loop);
}

}  // namespace
}  // namespace sandboxd::jails
