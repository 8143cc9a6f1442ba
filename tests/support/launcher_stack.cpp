#include "tests/support/launcher_stack.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/socket.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/run_profilec.h"
#include "tests/support/command.h"
#include "tests/support/probes.h"

namespace sandboxd::test {
namespace {

std::uint64_t deadline_in(int milliseconds) {
  return monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(milliseconds)) * 1000;
}

bool readable(int fd, std::uint64_t deadline) {
  const auto ready = wait_readable(fd, deadline);
  return ready.ok() && *ready;
}

constexpr const char* kBounding =
    "-all,+sys_admin,+net_admin,+setuid,+setgid,+sys_chroot,+sys_ptrace,+mknod,+dac_override,+setpcap";

}  // namespace

wire::Token token_of(std::uint8_t fill) {
  wire::Token token{};
  token.fill(fill);
  return token;
}

// The child's own socket comes back over a pair: its credentials were taken at its connect(2).
UniqueFd connect_as(uid_t uid, const std::string& path, int type) {
  auto pair = socket_pair(SOCK_SEQPACKET);
  if (!pair.ok()) return {};
  const int status = as_user(uid, [&] {
    const auto socket = connect_unix(path, type);
    const int fd = socket.ok() ? socket->get() : -1;
    const std::uint8_t byte = 1;
    return socket.ok() && send_packet(pair->second.get(), {&byte, 1}, {&fd, 1}).ok() ? 0 : 1;
  });
  if (status != 0) return {};
  auto packet = receive_packet(pair->first.get(), 1, 1);
  return packet.ok() && packet->fds.size() == 1 ? std::move(packet->fds[0]) : UniqueFd();
}

bool HostileSandboxd::greet() {
  if (!socket_ || !readable(socket_.get(), deadline_in(20'000))) return false;
  auto message = wire::receive_message(socket_.get(), 1);
  if (!message.ok() || message->end || message->fds.size() != 1) return false;
  auto set = wire::read_profile_set(message->fds[0].get());
  if (!set.ok()) return false;
  profiles_ = std::move(set).value();
  return true;
}

wire::JailPlan HostileSandboxd::plan(std::uint32_t number, std::vector<std::string> argv,
                                     const std::string& profile_name) const {
  const wire::Profile& profile = *profiles_.find(profile_name);
  wire::JailPlan plan;
  plan.number = number;
  plan.jail = fmt::format("j-{}", number);
  plan.request = "r-1";
  plan.profile = profile.name;
  plan.profile_hash = profile.hash;
  plan.inside_uid = plan.inside_gid = 4242;
  plan.user_name = "alice";
  plan.home = "/tmp";
  plan.hostname = "jail";
  plan.proc = profile.proc;
  plan.unix_sockets = profile.unix_sockets;
  plan.tmpfs = profile.tmpfs;
  plan.limits = profile.limits;
  // The caps of what isn't capped are no requests, and this host may not let so many descriptors be had.
  plan.limits.cpu_weight = Limits{}.cpu_weight;
  plan.limits.nofile = std::min(plan.limits.nofile, Limits{}.nofile);
  plan.limits.pids_max = std::min(plan.limits.pids_max, Limits{}.pids_max);
  plan.job.argv = std::move(argv);
  plan.job.env = {"PATH=/usr/bin:/bin"};
  plan.job.workdir = "/";
  plan.job.stdio = wire::StdioMode::kPipes;
  return plan;
}

std::uint64_t HostileSandboxd::send_start(const wire::JailPlan& plan) {
  const std::uint64_t id = next_++;
  EXPECT_TRUE(wire::send(socket_.get(), wire::LauncherMessage::kStart, id, plan).ok());
  return id;
}

std::optional<wire::Message> HostileSandboxd::answer(std::uint64_t id, int timeout_ms) {
  const std::uint64_t deadline = deadline_in(timeout_ms);
  for (;;) {
    if (auto found = kept_.find(id); found != kept_.end()) {
      wire::Message message = std::move(found->second);
      kept_.erase(found);
      return message;
    }
    if (!readable(socket_.get(), deadline)) return std::nullopt;
    auto message = wire::receive_message(socket_.get(), wire::kStartedFds);
    if (!message.ok() || message->end) return std::nullopt;
    const std::uint64_t of = message->id;
    if (of != 0) kept_.insert_or_assign(of, std::move(message).value());
  }
}

Launched HostileSandboxd::start(const wire::JailPlan& plan, int timeout_ms) {
  Launched launched;
  auto message = answer(send_start(plan), timeout_ms);
  if (!message) {
    launched.failed = wire::Failed{"answer", ETIMEDOUT, "none", false};
    return launched;
  }
  launched.fds = std::move(message->fds);
  if (message->type == static_cast<std::uint16_t>(wire::LauncherMessage::kStarted)) {
    auto body = wire::body_of<wire::Started>(*message);
    if (body.ok()) launched.started = std::move(body).value();
  } else {
    auto body = wire::body_of<wire::Failed>(*message);
    if (body.ok()) launched.failed = std::move(body).value();
  }
  return launched;
}

wire::Message HostileSandboxd::verb(wire::LauncherMessage type, std::uint32_t number) {
  const std::uint64_t id = next_++;
  EXPECT_TRUE(wire::send(socket_.get(), type, id, wire::NumberRequest{number}).ok());
  auto message = answer(id);
  return message ? std::move(*message) : wire::Message{};
}

bool HostileSandboxd::remove(std::uint32_t number, int timeout_ms) {
  static_cast<void>(verb(wire::LauncherMessage::kKill, number));
  return eventually(
      [&] {
        return verb(wire::LauncherMessage::kRemove, number).type ==
               static_cast<std::uint16_t>(wire::LauncherMessage::kDone);
      },
      timeout_ms);
}

JobEnd await_job(Launched& launched, int timeout_ms) {
  JobEnd end;
  const std::uint64_t deadline = deadline_in(timeout_ms);
  std::vector<UniqueFd> streams;
  while (!end.wait_status && end.failed_step.empty() && readable(launched.control(), deadline)) {
    auto packet = receive_packet(launched.control(), sizeof(wire::InitEventRecord), 3);
    if (!packet.ok() || packet->end) break;
    wire::InitEventRecord record{};
    std::memcpy(&record, packet->bytes.data(), std::min(packet->bytes.size(), sizeof record));
    if (record.event == wire::InitEvent::kStreams) streams = std::move(packet->fds);
    if (record.event == wire::InitEvent::kJobExited) end.wait_status = record.value;
    if (record.event == wire::InitEvent::kJobFailed) end.failed_step = record.step;
  }
  for (std::size_t i = 1; i < streams.size(); ++i) {
    char buffer[65536];
    for (ssize_t got = 0;
         readable(streams[i].get(), deadline) && (got = ::read(streams[i].get(), buffer, sizeof buffer)) > 0;) {
      end.out.append(buffer, static_cast<std::size_t>(got));
    }
  }
  return end;
}

LauncherStack::LauncherStack(const Options& options) : slice_(test_slice()) {
  own_mount_namespace();
  copy_all_probes(dir_, "probes");
  std::filesystem::create_directories(dir_.path() + "/run");
  static_cast<void>(dir_.make("state/audit", own_id(slice_, OwnId::kAudit), 0700));
  start_programs(options);
}

UniqueFd LauncherStack::listen(const std::string& name, uid_t owner, mode_t mode) {
  auto fd = listen_unix(socket(name), SOCK_SEQPACKET, mode, owner, 64);
  EXPECT_TRUE(fd.ok()) << (fd.ok() ? "" : fd.error().message());
  return fd.ok() ? std::move(fd).value() : UniqueFd();
}

void LauncherStack::start_programs(const Options& options) {
  const uid_t sandboxd = own_id(slice_, OwnId::kSandboxd);
  for (const auto& [name, owner, mode] :
       std::initializer_list<std::tuple<const char*, uid_t, mode_t>>{{"broker", 0, 0666},
                                                                     {"broker-admin", 0, 0600},
                                                                     {"broker-claim", 0, 0600},
                                                                     {"launcher", sandboxd, 0600},
                                                                     {"audit", sandboxd, 0600},
                                                                     {"audit-launcher", 0, 0600}}) {
    listeners_[name] = listen(name, owner, mode);
  }
  log_ = UniqueFd(::open((dir_.path() + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string config = dir_.write("sandboxd.json", "{" + with_unenforced_limits(options.config) + "}");
  const std::string bin = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  StartOptions common;
  common.stderr_fd = log_.get();
  common.env = {{"SANDBOXD_RUNTIME_DIR", dir_.path() + "/run"},
                {"SANDBOXD_STATE_DIR", dir_.path() + "/state"},
                {"SANDBOXD_SLICE_FIRST", std::to_string(slice_)},
                {"SANDBOXD_PREFIX", std::filesystem::path(bin).parent_path()},
                {"SANDBOXD_CONFIG", config}};
  StartOptions audit = common;
  audit.uid = own_id(slice_, OwnId::kAudit);
  audit.sockets = {{"audit", listeners_["audit"].get()}, {"audit-launcher", listeners_["audit-launcher"].get()}};
  audit_ = RunningProgram::start(program_path("sandboxd-audit"), audit);
  StartOptions broker = common;
  broker.uid = own_id(slice_, OwnId::kBroker);
  broker.sockets = {{"broker", listeners_["broker"].get()},
                    {"broker-admin", listeners_["broker-admin"].get()},
                    {"broker-claim", listeners_["broker-claim"].get()}};
  broker_ = RunningProgram::start(program_path("sandboxd-broker"), broker);
  StartOptions launcher = common;
  launcher.sockets = {{"launcher", listeners_["launcher"].get()}};
  launcher.arguments = {"--bounding-set", kBounding};
  auto pair = socket_pair(SOCK_SEQPACKET);
  if (options.gated) {
    launcher.sockets["gate"] = pair->second.get();  // at 3, sorted before "launcher"
    launcher.arguments.insert(launcher.arguments.end(), {program_path("call_gate"), "3"});
  }
  launcher.arguments.push_back(program_path("sandboxd-launcher"));
  launcher_ = RunningProgram::start("/usr/bin/setpriv", launcher);
  pair->second.reset();
  if (options.gated) {
    auto packet = receive_packet(pair->first.get(), 1, 1);
    if (packet.ok() && packet->fds.size() == 1) gate_ = std::move(packet->fds[0]);
  }
}

LauncherStack::~LauncherStack() {
  launcher_.signal(SIGTERM);
  const auto status = launcher_.wait(scaled_ms(20'000));
  EXPECT_TRUE(status && *status == 0) << "the launcher did not end well: " << log();
  broker_.end();
  audit_.end();
  EXPECT_EQ(left_over(), "");
  if (::testing::Test::HasFailure()) std::fputs(("--- the programs' log\n" + log()).c_str(), stderr);
}

std::string LauncherStack::log() const {
  std::ifstream file(dir_.path() + "/log");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<HostileSandboxd> LauncherStack::connect() {
  auto client = std::make_unique<HostileSandboxd>(
      connect_as(own_id(slice_, OwnId::kSandboxd), socket("launcher"), SOCK_SEQPACKET));
  if (!client->greet()) return nullptr;
  record_intent("r-1");
  return client;
}

void LauncherStack::record_intent(const std::string& request) {
  if (!audit_connection_)
    audit_connection_ = connect_as(own_id(slice_, OwnId::kSandboxd), socket("audit"), SOCK_SEQPACKET);
  wire::AuditRecord record;
  record.action = "jail.start";
  record.phase = wire::AuditPhase::kIntent;
  record.outcome = "allow";
  record.request = request;
  record.detail = "{}";
  EXPECT_TRUE(wire::send(audit_connection_.get(), wire::AuditMessage::kAppend, 1, record).ok());
  EXPECT_TRUE(readable(audit_connection_.get(), deadline_in(10'000)));
  const auto answer = wire::receive_message(audit_connection_.get(), 0);
  EXPECT_TRUE(answer.ok() && answer->type == static_cast<std::uint16_t>(wire::AuditMessage::kAck)) << log();
}

UniqueFd LauncherStack::send_over(uid_t uid, const wire::Token& token, const std::vector<int>& fds,
                                  const std::string& socket_name) {
  UniqueFd connection = connect_as(uid, socket(socket_name), SOCK_SEQPACKET);
  if (!connection) return connection;
  BrokerMessage message;
  message.token = token;
  message.fds = static_cast<std::uint32_t>(fds.size());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&message);
  // A user who may hand in nothing is told so before anything is read of it: EPIPE, and the refusal is there all the same.
  static_cast<void>(send_packet(connection.get(), {bytes, sizeof message}, fds).ok());
  return connection;
}

std::optional<UniqueFd> LauncherStack::hand_over(uid_t uid, const wire::Token& token, const std::vector<int>& fds,
                                                 const std::string& socket_name,
                                                 std::optional<BrokerRefusal>* refusal) {
  UniqueFd connection = send_over(uid, token, fds, socket_name);
  if (!connection) return std::nullopt;
  // A refusal comes at once or never; the broker has no other answer.
  pollfd one{connection.get(), POLLIN, 0};
  if (::poll(&one, 1, refusal == nullptr ? 0 : scaled_ms(20'000)) == 0) return connection;
  const auto answer = receive_packet(connection.get(), 1, 0, MSG_DONTWAIT);
  if (refusal != nullptr && answer.ok() && answer->bytes.size() == 1)
    *refusal = static_cast<BrokerRefusal>(answer->bytes[0]);
  if (refusal == nullptr && !answer.ok()) return connection;
  return std::nullopt;
}

std::string LauncherStack::left_over() const {
  std::string text;
  static_cast<void>(eventually([&] { return processes_of_ids(slice_, kIdsPerSlice).empty(); }, 2'000));
  for (const pid_t pid : processes_of_ids(slice_, kIdsPerSlice))
    text += fmt::format("process {} ({})\n", pid, command_name(pid));
  if (const std::string cgroup = slice_cgroup(slice_); !cgroup.empty()) text += "cgroup " + cgroup + "\n";
  return text;
}

}  // namespace sandboxd::test
