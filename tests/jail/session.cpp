#include "tests/jail/session.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/socket.h"
#include "tests/support/command.h"

namespace sandboxd::test {

bool Seen::has(wire::InitEvent event) const { return std::ranges::find(events, event) != events.end(); }

std::string Seen::describe() const {
  std::string text = "events:";
  for (const wire::InitEvent event : events) text += " " + std::to_string(static_cast<unsigned>(event));
  if (failed) text += fmt::format("; failed at {}: {} ({})", failed->step, failed->text, failed->code);
  return fmt::format("{}; status {:x}; out '{}'; err '{}'", text, status(), out, err);
}

UniqueFd sealed(const std::vector<std::uint8_t>& bytes, int seals) {
  UniqueFd fd(::memfd_create("plan", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}

UniqueFd program_memfd(const std::string& name) {
  std::ifstream file(program_path(name), std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_FALSE(bytes.empty()) << name;
  return sealed({bytes.begin(), bytes.end()}, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
}

Session::Session(HostileSandboxd& client, std::uint32_t number, std::vector<std::string> argv,
                 const std::function<void(wire::JailPlan&)>& change, const std::string& profile)
    : client_(client), number_(number) {
  wire::JailPlan plan = client.plan(number, std::move(argv), profile);
  plan.session = plan.job.argv.empty();
  if (plan.session) plan.job.stdio = wire::StdioMode::kNull;
  if (change) change(plan);
  launched_ = client.start(plan);
  EXPECT_TRUE(started()) << (launched_.failed ? launched_.failed->step + ": " + launched_.failed->detail : "");
}

Session::~Session() {
  launched_.fds.clear();
  EXPECT_TRUE(client_.remove(number_)) << "the jail's number is not free again";
}

wire::ExecPlan Session::plan(std::vector<std::string> argv, wire::StdioMode stdio) {
  wire::ExecPlan plan;
  plan.job = ++next_job_;
  plan.stdio = stdio;
  plan.workdir = "/";
  plan.argv = std::move(argv);
  plan.env = {"PATH=/usr/bin:/bin"};
  if (stdio == wire::StdioMode::kTerminal) {
    plan.rows = 24;
    plan.columns = 80;
  }
  return plan;
}

wire::ExecPlan Session::shell(const std::string& script, wire::StdioMode stdio) {
  return plan({"/bin/sh", "-c", script}, stdio);
}

void Session::send(wire::InitCommand command, std::uint32_t job, int value, std::vector<int> fds) {
  wire::InitCommandRecord record{};
  record.command = command;
  record.job = job;
  record.value = value;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&record);
  const Status sent = send_packet(launched_.control(), {bytes, sizeof record}, fds);
  EXPECT_TRUE(sent.ok() || sent.error().code == EPIPE) << sent.error().message();
}

void Session::exec(const wire::ExecPlan& plan, int program) {
  const UniqueFd memfd = sealed(wire::encode_exec_plan(plan), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
  std::vector<int> fds = {memfd.get()};
  if (program >= 0) fds.push_back(program);
  seen_[plan.job].terminal = plan.stdio == wire::StdioMode::kTerminal;
  send(wire::InitCommand::kExec, plan.job, 0, fds);
}

void Session::read_event() {
  auto packet = receive_packet(launched_.control(), sizeof(wire::InitEventRecord), 3, MSG_DONTWAIT);
  if (!packet.ok() || packet->end || packet->bytes.size() != sizeof(wire::InitEventRecord)) {
    ended_ = true;
    return;
  }
  wire::InitEventRecord record{};
  std::memcpy(&record, packet->bytes.data(), sizeof record);
  Seen& seen = seen_[record.job];
  seen.events.push_back(record.event);
  if (record.event == wire::InitEvent::kJobStarted) seen.pid = record.value;
  if (record.event == wire::InitEvent::kJobFailed) seen.failed = record;
  if (record.event == wire::InitEvent::kJobExited) seen.exited = record;
  if (record.event == wire::InitEvent::kJobGone) {
    seen.gone = record;
    seen.in.reset();
  }
  std::vector<UniqueFd>& fds = packet->fds;
  for (const UniqueFd& fd : fds) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  if (fds.size() == 1) seen.out_fd = std::move(fds[0]);
  if (fds.size() < 2) return;
  seen.in = std::move(fds[0]);
  seen.out_fd = std::move(fds[1]);
  if (fds.size() == 3) seen.err_fd = std::move(fds[2]);
}

// Closes it at its end; a terminal's is EIO.
bool Session::drain(UniqueFd& fd, std::string& to) {
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got > 0) {
      to.append(buffer, static_cast<std::size_t>(got));
      continue;
    }
    if (got < 0 && errno == EAGAIN) return true;
    fd.reset();
    return false;
  }
}

bool Session::until(const std::function<bool()>& holds, int timeout_ms) {
  const std::uint64_t deadline = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(timeout_ms)) * 1000;
  while (!holds()) {
    const std::uint64_t now = monotonic_usec();
    if (now >= deadline) return false;
    std::vector<pollfd> entries = {{ended_ ? -1 : launched_.control(), POLLIN, 0}};
    std::vector<std::pair<UniqueFd*, std::string*>> streams;
    for (auto& [number, seen] : seen_) {
      if (seen.out_fd) streams.emplace_back(&seen.out_fd, &seen.out);
      if (seen.err_fd) streams.emplace_back(&seen.err_fd, &seen.err);
    }
    for (const auto& [fd, text] : streams) entries.push_back({fd->get(), POLLIN, 0});
    // What `holds` looks at may change without an event (a file, another process).
    const auto left = std::min<std::uint64_t>((deadline - now) / 1000 + 1, 20);
    if (::poll(entries.data(), entries.size(), static_cast<int>(left)) <= 0) continue;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (entries[i + 1].revents != 0) drain(*streams[i].first, *streams[i].second);
    }
    if (entries[0].revents != 0) read_event();
  }
  return true;
}

bool Session::until_event(std::uint32_t number, wire::InitEvent event, int timeout_ms) {
  return until([&] { return job(number).has(event) || job(number).failed || ended_; }, timeout_ms) &&
         job(number).has(event);
}

bool Session::finish(std::uint32_t number, int timeout_ms) {
  Seen& seen = job(number);
  return until(
      [&] {
        const bool over = seen.failed || seen.gone || (number == wire::kFirstJob && seen.exited);
        return ended_ || (over && (seen.terminal || (!seen.out_fd && !seen.err_fd)));
      },
      timeout_ms);
}

Seen& Session::start(const wire::ExecPlan& plan, int program) {
  exec(plan, program);
  if (until_event(plan.job, wire::InitEvent::kJobReady)) release(plan.job);
  until_event(plan.job, wire::InitEvent::kJobStarted);
  return job(plan.job);
}

Seen& Session::run(const wire::ExecPlan& plan, int program) {
  start(plan, program);
  EXPECT_TRUE(finish(plan.job)) << "job " << plan.job << " does not end";
  return job(plan.job);
}

}  // namespace sandboxd::test
