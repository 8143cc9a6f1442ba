#include "daemon/launcher/server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/prompt_release.h"
#include "base/sanitizer.h"
#include "base/socket.h"
#include "base/text.h"
#include "daemon/launcher/read_back.h"
#include "daemon/launcher/update.h"
#include "daemon/wire/launcher.h"

namespace sandboxd::launcher {
namespace {

using wire::LauncherMessage;

// sandboxd reconnects after a restart; a second one at a time is a mistake, more are an attack.
constexpr std::size_t kMaxConnections = 4;
constexpr std::size_t kMaxLaunching = 1024;  // of one user there are as many as it may have connections
constexpr std::uint64_t kRemovePatienceUsec = 2'000;
constexpr int kIdleMs = 3;  // this long without a request: time for the pool

void log(const std::string& text) { std::fprintf(stderr, "sandboxd-launcher: %s\n", text.c_str()); }

Status fail(int socket, std::uint64_t id, const char* step, const Error& error, bool denied = false) {
  return wire::send(socket, LauncherMessage::kFailed, id, wire::Failed{step, error.code, error.context, denied}, {},
                    MSG_DONTWAIT);
}

// First in a plan and in an update; the child decodes and checks all of it.
std::uint32_t number_in(const wire::Message& message) {
  return wire::View(message.body.data(), message.body.size()).number<std::uint32_t>();
}

// A descriptor that came with it is let go of in here.
Result<wire::Message> receive(int socket) {
  const PromptRelease prompt;
  return wire::receive_message(socket, 0, MSG_DONTWAIT);
}

}  // namespace

Status Server::accept_one() {
  UniqueFd socket(::accept4(parts_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket) return errno == EAGAIN || errno == ECONNABORTED ? Status() : Status(sys_error("accept"));
  TRY_ASSIGN(const PeerCredentials peer, peer_credentials(socket.get()));
  if (peer.uid != own_id(parts_.slice_first, OwnId::kSandboxd) || connections_.size() >= kMaxConnections) {
    log(fmt::format("refused a connection of uid {}", peer.uid));
    return {};
  }
  TRY(send_profiles(socket.get(), 0));
  connections_.emplace(next_connection_++, std::move(socket));
  return {};
}

Status Server::send_profiles(int socket, std::uint64_t id) {
  const int fd = parts_.profiles.memfd.get();
  return wire::send(socket, LauncherMessage::kProfileSet, id, wire::Done{0}, std::span(&fd, 1), MSG_DONTWAIT);
}

// A connection that sends what is not our protocol is closed; its jails are not touched.
void Server::serve(std::uint64_t connection) {
  const int socket = connections_.at(connection).get();
  auto message = receive(socket);
  if (!message.ok() && message.error().code == EAGAIN) return;
  if (message.ok() && !message->end) {
    if (const Status handled = handle(connection, *message); handled.ok()) return;
  }
  release_promptly(std::move(connections_.at(connection)));
  connections_.erase(connection);
}

Status Server::handle(std::uint64_t connection, const wire::Message& message) {
  const int socket = connections_.at(connection).get();
  switch (static_cast<LauncherMessage>(message.type)) {
    case LauncherMessage::kStart:
    case LauncherMessage::kUpdate: return fork_child(connection, message);
    case LauncherMessage::kProfiles: return send_profiles(socket, message.id);
    case LauncherMessage::kInspect:
    case LauncherMessage::kList:
    case LauncherMessage::kKill:
    case LauncherMessage::kRemove: return number_verb(socket, message);
    default: return sys_error_code(EPROTO, "message of type {}", message.type);
  }
}

// A launch, or an update: both wait for the audit log, and may be long.
Status Server::fork_child(std::uint64_t connection, const wire::Message& message) {
  const int socket = connections_.at(connection).get();
  const bool starts = static_cast<LauncherMessage>(message.type) == LauncherMessage::kStart;
  const auto under_way =
      static_cast<std::size_t>(std::ranges::count_if(launching_, [](const auto& row) { return !row.second.killed; }));
  if (under_way >= kMaxLaunching)
    return fail(socket, message.id, "launch", sys_error_code(EAGAIN, "{} launches are under way", under_way));
  const UniqueFd network = starts ? parts_.networks.take() : UniqueFd();
  const pid_t child = fork_single_threaded();
  if (child < 0) return fail(socket, message.id, "launch", sys_error("fork"));
  if (child == 0) {
    const Host host{parts_.profiles.set,       parts_.base,        parts_.jails,        parts_.proc_dir.get(),
                    parts_.init_program.get(), parts_.slice_first, parts_.landlock_abi, network.get(),
                    parts_.namespaces,         parts_.runtime_dir};
    if (starts) launch_child(host, socket, message);
    update_child(host, socket, message);
  }
  launching_[child] = {connection,         message.id, monotonic_usec() + kLaunchTimeUsec,
                       number_in(message), false,      starts ? "launch" : "update"};
  return {};
}

// A launch that was killed and is still there, in a call that no signal ends (a close on a client's FUSE): its cgroup may be
// empty, but what it holds is of that number.
bool Server::hangs(std::uint32_t number) const {
  return std::ranges::any_of(launching_,
                             [&](const auto& row) { return row.second.killed && row.second.number == number; });
}

Status Server::number_verb(int socket, const wire::Message& message) {
  TRY_ASSIGN(const wire::NumberRequest request, wire::body_of<wire::NumberRequest>(message));
  const auto type = static_cast<LauncherMessage>(message.type);
  if (type == LauncherMessage::kList) {
    TRY_ASSIGN(const std::vector<std::string> names, cgroups::children(parts_.jails.cgroup));
    wire::NumberList list;
    for (const std::string& name : names) {
      if (!name.starts_with("jail-")) continue;
      if (const auto number = parse_uint(std::string_view(name).substr(5), kNumbersPerSlice))
        list.numbers.push_back(static_cast<std::uint32_t>(*number));
    }
    return wire::send(socket, LauncherMessage::kListed, message.id, list, {}, MSG_DONTWAIT);
  }
  if (!in_range(request.number, parts_.profiles.set.config))
    return fail(socket, message.id, "number",
                sys_error_code(EINVAL, "number {} is not one of this daemon's", request.number));
  const std::string name = cgroup_name(request.number);
  const auto jail = cgroups::open_child(parts_.jails.cgroup, name);
  if (type == LauncherMessage::kRemove) {
    reap();
    if (hangs(request.number))
      return fail(socket, message.id, "remove", sys_error_code(EBUSY, "a launch of {} hangs", request.number));
    if (!jail.ok() && jail.error().code != ENOENT) return fail(socket, message.id, "remove", jail.error());
    if (const Status removed = cgroups::remove_child(parts_.jails.cgroup, name, kRemovePatienceUsec); !removed.ok())
      return fail(socket, message.id, "remove", removed.error());
    return wire::send(socket, LauncherMessage::kDone, message.id, wire::Done{request.number}, {}, MSG_DONTWAIT);
  }
  if (!jail.ok()) return fail(socket, message.id, "number", jail.error());
  if (type == LauncherMessage::kKill) {
    if (const Status killed = jail->kill(); !killed.ok()) return fail(socket, message.id, "kill", killed.error());
    return wire::send(socket, LauncherMessage::kDone, message.id, wire::Done{request.number}, {}, MSG_DONTWAIT);
  }
  auto facts = read_back_live(parts_.proc_dir.get(), *jail, first_id_of(parts_.slice_first, request.number));
  if (!facts.ok()) return fail(socket, message.id, "inspect", facts.error());
  return wire::send(socket, LauncherMessage::kInspected, message.id, *facts, {}, MSG_DONTWAIT);
}

// Launch children end with SIGCHLD; a jail's PID 1 (cloned with exit_signal 0) only shows with __WALL.
void Server::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG | __WALL);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    const auto found = launching_.find(pid);
    if (found == launching_.end()) continue;
    const Launching launch = found->second;
    launching_.erase(found);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    const auto connection = connections_.find(launch.connection);
    if (connection == connections_.end()) continue;
    const Error error =
        launch.killed
            ? sys_error_code(ETIMEDOUT, "the {} took longer than {} s", launch.what, kLaunchTimeUsec / 1'000'000)
            : sys_error_code(ECHILD, "the {}'s process died (status {:#x})", launch.what, status);
    if (!fail(connection->second.get(), launch.request, launch.what, error).ok()) connections_.erase(connection);
  }
}

// A launch that hangs (on a client's FUSE, say) is killed; in D state it outlives that, and its number stays taken.
void Server::enforce_deadlines() {
  const std::uint64_t now = monotonic_usec();
  for (auto& [pid, launch] : launching_) {
    if (launch.killed || now < launch.deadline) continue;
    launch.killed = true;
    ::kill(pid, SIGKILL);
    const auto connection = connections_.find(launch.connection);
    if (connection == connections_.end()) continue;
    const Status told = fail(
        connection->second.get(), launch.request, launch.what,
        sys_error_code(ETIMEDOUT, "the {} took longer than {} s and was killed; its number stays taken while it hangs",
                       launch.what, kLaunchTimeUsec / 1'000'000));
    launch.connection = told.ok() ? 0 : launch.connection;  // told once
  }
}

int Server::poll_timeout_ms() const {
  std::uint64_t least = 0;
  for (const auto& [pid, launch] : launching_) {
    if (!launch.killed && (least == 0 || launch.deadline < least)) least = launch.deadline;
  }
  if (least == 0) return parts_.networks.wants_more() ? kIdleMs : -1;
  const std::uint64_t now = monotonic_usec();
  return least <= now ? 0 : static_cast<int>((least - now) / 1000 + 1);
}

void Server::reload_profiles() {
  wire::ProfilecRun run = parts_.profilec;
  run.deadline = monotonic_usec() + wire::kProfilecTimeUsec;
  auto loaded = wire::run_profilec(run);
  if (!loaded.ok()) {
    log(fmt::format("reload of the profiles failed, the old set stays in force: {}", loaded.error().message()));
    return;
  }
  parts_.profiles = std::move(loaded).value();
  parts_.profiles.set.drop_notes();
  for (auto& [id, socket] : connections_) {
    if (const Status sent = send_profiles(socket.get(), 0); !sent.ok())
      log(fmt::format("send profiles: {}", sent.error().message()));
  }
  log(fmt::format("loaded {} profiles, set {}", parts_.profiles.set.profiles.size(), hex(parts_.profiles.set.hash)));
}

void Server::read_signals() {
  signalfd_siginfo info{};
  while (::read(parts_.signals.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGHUP) reload_profiles();
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) ending_ = true;
  }
  reap();
}

void Server::end_all_jails() {
  const auto names = cgroups::children(parts_.jails.cgroup);
  if (!names.ok()) return log(names.error().message());
  for (const std::string& name : *names) {
    const auto jail = cgroups::open_child(parts_.jails.cgroup, name);
    if (!jail.ok()) continue;
    if (const Status killed = jail->kill(); !killed.ok()) log(killed.error().message());
  }
  for (const std::string& name : *names) {
    const std::uint64_t deadline = monotonic_usec() + 5'000'000;
    Status removed;
    do {
      reap();
      removed = cgroups::remove_child(parts_.jails.cgroup, name, 20'000);
    } while (!removed.ok() && monotonic_usec() < deadline);
    if (!removed.ok()) log(removed.error().message());
  }
  const Status removed = cgroups::remove_root(parts_.jails);
  if (!removed.ok()) log(removed.error().message());
}

Status Server::run() {
  while (!ending_) {
    std::vector<pollfd> entries = {
        {parts_.listener.get(), POLLIN, 0}, {parts_.signals.get(), POLLIN, 0}, {parts_.networks.fd(), POLLIN, 0}};
    std::vector<std::uint64_t> ids;
    for (const auto& [id, socket] : connections_) {
      entries.push_back({socket.get(), POLLIN, 0});
      ids.push_back(id);
    }
    const int ready = ::poll(entries.data(), entries.size(), poll_timeout_ms());
    if (ready < 0 && errno != EINTR) return sys_error("poll");
    if (ready == 0 && launching_.empty()) parts_.networks.refill();
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (entries[i + 3].revents != 0 && connections_.contains(ids[i])) serve(ids[i]);
    }
    if (entries[2].revents != 0) parts_.networks.read_made();
    if (entries[1].revents != 0) read_signals();
    if (entries[0].revents != 0) {
      if (const Status accepted = accept_one(); !accepted.ok()) log(accepted.error().message());
    }
    enforce_deadlines();
  }
  end_all_jails();
  return {};
}

}  // namespace sandboxd::launcher
