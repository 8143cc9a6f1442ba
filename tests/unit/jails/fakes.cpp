#include "tests/unit/jails/fakes.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/socket.h"

namespace sandboxd::jails::test {

Loop make_loop() {
  sd_event* loop = nullptr;
  EXPECT_GE(sd_event_new(&loop), 0);
  return Loop(loop);
}

bool run_until(sd_event* loop, const std::function<bool()>& done) {
  const std::uint64_t deadline = monotonic_usec() + 5'000'000;
  while (!done()) {
    if (monotonic_usec() > deadline) return false;
    if (sd_event_run(loop, 20'000) < 0) return false;
  }
  return true;
}

void run_for(sd_event* loop, std::uint64_t usec) {
  const std::uint64_t deadline = monotonic_usec() + usec;
  while (monotonic_usec() < deadline) sd_event_run(loop, 5'000);
}

wire::ProfileSet some_profiles() {
  wire::ProfileSet set;
  wire::Profile profile;
  profile.name = "default";
  profile.filter.assign(8, 0);
  profile.tmpfs = {{"/tmp", 1 << 20, 64, 01777}};
  profile.limits.wall_time = 60'000'000;
  profile.hash = wire::hash_of(profile);
  set.profiles.push_back(profile);
  set.presets = {{"default", "what a run gets", Limits()}};
  set.config.user_jails = 3;
  set.hash = wire::hash_of(set);
  return set;
}

FakeServer::FakeServer(sd_event* loop, std::string path) : loop_(loop), path_(std::move(path)) { listen(); }

void FakeServer::listen() {
  listener_ = std::move(listen_unix(path_, SOCK_SEQPACKET, 0600, ::geteuid(), 4)).value();
  EXPECT_TRUE(listener_watch_.start(loop_, listener_.get(), EPOLLIN, [this](std::uint32_t) { accept(); }).ok());
}

void FakeServer::accept() {
  connection_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(connection_watch_.start(loop_, connection_.get(), EPOLLIN, [this](std::uint32_t) { read(); }).ok());
}

void FakeServer::read() {
  auto message = wire::receive_message(connection_.get(), 0, MSG_DONTWAIT);
  if (!message.ok() || message->end) return hang_up();
  on_message(std::move(message).value());
}

void FakeServer::hang_up() {
  connection_watch_.stop();
  connection_.reset();
}

void FakeServer::stop() {
  hang_up();
  listener_watch_.stop();
  listener_.reset();
}

std::vector<wire::AuditRecord> FakeAudit::of(const std::string& action, wire::AuditPhase phase) const {
  std::vector<wire::AuditRecord> found;
  for (const auto& record : records) {
    if (record.action == action && record.phase == phase) found.push_back(record);
  }
  return found;
}

void FakeAudit::on_message(wire::Message message) {
  records.push_back(wire::body_of<wire::AuditRecord>(message).value());
  if (holding_) {
    held_.push_back(message.id);
  } else {
    reply(message.id);
  }
}

void FakeAudit::reply(std::uint64_t id) {
  if (refuse) {
    answer(wire::AuditMessage::kRefused, id, wire::Refused{ENOSPC, "the disk is full"});
  } else {
    answer(wire::AuditMessage::kAck, id, wire::Ack{records.size(), {}});
  }
}

void FakeAudit::release() {
  holding_ = false;
  for (const std::uint64_t id : held_) reply(id);
  held_.clear();
}

void FakeJail::say_raw(std::span<const std::uint8_t> bytes, std::span<const int> fds) {
  EXPECT_TRUE(send_packet(control.get(), bytes, fds).ok());
}

void FakeJail::say(wire::InitEvent event, std::int32_t value, std::int32_t code, const char* step, const char* text,
                   std::uint32_t job) {
  wire::InitEventRecord record{};
  record.job = job;
  record.event = event;
  record.value = value;
  record.code = code;
  std::strncpy(record.step, step, sizeof record.step - 1);
  std::strncpy(record.text, text, sizeof record.text - 1);
  say_raw({reinterpret_cast<const std::uint8_t*>(&record), sizeof record}, {});
}

std::vector<UniqueFd> FakeJail::give_streams(std::uint32_t job, bool merged) {
  std::vector<UniqueFd> inner, outer;
  for (int i = 0; i < (merged ? 2 : 3); ++i) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const int out = i == 0 ? 1 : 0;
    outer.emplace_back(ends[out]);
    inner.emplace_back(ends[1 - out]);
  }
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kStreams;
  record.job = job;
  std::vector<int> fds;
  for (const UniqueFd& fd : outer) fds.push_back(fd.get());
  say_raw({reinterpret_cast<const std::uint8_t*>(&record), sizeof record}, fds);
  return inner;
}

UniqueFd FakeJail::give_terminal(std::uint32_t job) {
  const UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_TRUE(master.valid());
  EXPECT_EQ(::unlockpt(master.get()), 0);
  UniqueFd inner(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_TRUE(inner.valid());
  wire::InitEventRecord record{};
  record.event = wire::InitEvent::kStreams;
  record.job = job;
  const int fds[] = {master.get()};
  say_raw({reinterpret_cast<const std::uint8_t*>(&record), sizeof record}, fds);
  return inner;
}

bool FakeJail::was_told(wire::InitCommand command, std::uint32_t job) const {
  return std::ranges::any_of(commands, [&](const auto& told) { return told.command == command && told.job == job; });
}

void FakeJail::die() {
  if (init.valid()) ::kill(init.pid(), SIGKILL);
  alive.reset();
  control_watch.stop();
  control.reset();
}

void FakeJail::exit_with(int status) {
  say(wire::InitEvent::kJobExited, status);
  die();
}

void FakeLauncher::send_profiles(std::uint64_t id) {
  const UniqueFd memfd = std::move(sealed_memfd("profiles", wire::encode(profiles))).value();
  const int fds[] = {memfd.get()};
  answer(wire::LauncherMessage::kProfileSet, id, wire::Done{}, fds);
}

void FakeLauncher::on_message(wire::Message message) {
  const auto type = static_cast<wire::LauncherMessage>(message.type);
  seen.push_back(type);
  if (type == wire::LauncherMessage::kStart) return start(message);
  const std::uint32_t number = wire::body_of<wire::NumberRequest>(message)->number;
  switch (type) {
    case wire::LauncherMessage::kProfiles: return send_profiles(message.id);
    case wire::LauncherMessage::kList:
      return answer(wire::LauncherMessage::kListed, message.id, wire::NumberList{{existing.begin(), existing.end()}});
    case wire::LauncherMessage::kInspect:
      if (hold_inspections) return held_inspections.push_back(message.id);
      return answer_inspection(message.id);
    case wire::LauncherMessage::kKill:
      killed.push_back(number);
      return answer(wire::LauncherMessage::kDone, message.id, wire::Done{number});
    case wire::LauncherMessage::kRemove: return remove(message.id, number);
    default: FAIL() << "message of type " << message.type;
  }
}

void FakeLauncher::answer_inspection(std::uint64_t id) {
  answer(wire::LauncherMessage::kInspected, id, wire::Readback{{{"seccomp", "now"}}});
}

void FakeLauncher::remove(std::uint64_t id, std::uint32_t number) {
  if (busy > 0) {
    --busy;
    return answer(wire::LauncherMessage::kFailed, id, wire::Failed{"remove", EBUSY, "still there", false});
  }
  removed.push_back(number);
  if (existing.erase(number) == 0)
    return answer(wire::LauncherMessage::kFailed, id, wire::Failed{"remove", ENOENT, "no such jail", false});
  answer(wire::LauncherMessage::kDone, id, wire::Done{number});
}

// What becomes readable with the end of the jail's first process.
UniqueFd FakeLauncher::start_init(FakeJail& jail) const {
  if (!forks) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    jail.alive.reset(ends[1]);
    return UniqueFd(ends[0]);
  }
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::syscall(SYS_close_range, 3, ~0U, 0);  // else it would keep the test's sockets open
    for (;;) ::pause();
  }
  jail.init = UniquePid(pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void FakeLauncher::start(const wire::Message& message) {
  last_plan = wire::body_of<wire::JailPlan>(message).value();
  if (silent) return;
  if (refuse_start) return answer(wire::LauncherMessage::kFailed, message.id, *refuse_start);
  const std::uint32_t number = last_plan.number;
  auto jail = std::make_shared<FakeJail>();
  jail->plan = last_plan;
  const UniqueFd pidfd = start_init(*jail);
  auto pair = std::move(socket_pair(SOCK_SEQPACKET)).value();
  jail->control = std::move(pair.first);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  jail->killed.reset(ends[0]);
  const UniqueFd kill_end(ends[1]);
  FakeJail* raw = jail.get();
  EXPECT_TRUE(jail->watch
                  .start(loop_, jail->killed.get(), EPOLLIN,
                         [raw](std::uint32_t) {
                           char byte = 0;
                           if (::read(raw->killed.get(), &byte, 1) != 1) return raw->watch.stop();
                           if (raw->kill_works) raw->die();
                         })
                  .ok());
  EXPECT_TRUE(jail->control_watch
                  .start(loop_, jail->control.get(), EPOLLIN,
                         [raw](std::uint32_t) {
                           const auto packet =
                               receive_packet(raw->control.get(), sizeof(wire::InitCommandRecord), 2, MSG_DONTWAIT);
                           if (!packet.ok() || packet->end) return raw->control_watch.stop();
                           wire::InitCommandRecord command;
                           std::memcpy(&command, packet->bytes.data(), sizeof command);
                           raw->commands.push_back(command);
                           raw->plans += packet->fds.size();
                           if (command.command == wire::InitCommand::kSignal ||
                               command.command == wire::InitCommand::kSignalAll)
                             raw->signals.push_back(command.value);
                         })
                  .ok());
  const UniqueFd cpu = std::move(sealed_memfd("cpu.stat", {})).value();
  const UniqueFd stat(::memfd_create("cpu.stat", MFD_CLOEXEC));
  EXPECT_TRUE(write_all(stat.get(), "usage_usec 30\nuser_usec 20\nsystem_usec 10\n").ok());
  const int fds[] = {pidfd.get(), pair.second.get(), kill_end.get(), cpu.get(), cpu.get(), stat.get()};
  wire::Started started;
  started.number = number;
  started.descriptors = (1U << wire::kStartedFdsAlways) - 1;
  started.readback.facts = {{"seccomp", "2"}};
  jails[number] = jail;
  ++starts;
  existing.insert(number);
  answer(wire::LauncherMessage::kStarted, message.id, started, fds);
}

}  // namespace sandboxd::jails::test
