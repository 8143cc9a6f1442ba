#include "daemon/tools/doctor/child.h"

#include <cerrno>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/socket.h"
#include "base/text.h"

namespace sandboxd::doctor {
namespace {

constexpr std::uint64_t kDeadlineUsec = 10'000'000;

[[noreturn]] void be_child(const Child& child, int channel) {
  char go = 0;
  if (::recv(channel, &go, 1, 0) != 1) ::_exit(1);
  const Status status = child.body ? child.body() : Status();
  // "0" or "errno text"
  const std::string answer = status.ok() ? "0" : fmt::format("{} {}", status.error().code, status.error().context);
  const bool told = ::send(channel, answer.data(), answer.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(answer.size());
  ::_exit(told ? 0 : 1);
}

Status read_answer(int channel) {
  TRY_ASSIGN(const bool answered, wait_readable(channel, monotonic_usec() + kDeadlineUsec));
  if (!answered) return sys_error_code(ETIMEDOUT, "wait for a child");
  TRY_ASSIGN(const Packet packet, receive_packet(channel, 4096, 0));
  const std::string text(packet.bytes.begin(), packet.bytes.end());
  if (text == "0") return {};
  const std::size_t space = text.find(' ');
  const auto code = parse_uint(std::string_view(text).substr(0, space), 4095);
  if (!code || space == std::string::npos) return make_error("a child died");
  return Error{static_cast<int>(*code), text.substr(space + 1)};
}

Status write_map(int pid, const char* file, const std::string& text) {
  return write_file_at(AT_FDCWD, fmt::format("/proc/{}/{}", pid, file), text);
}

}  // namespace

Status in_child(const Child& child) {
  TRY_ASSIGN(auto channel, socket_pair(SOCK_SEQPACKET));
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = child.flags | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (child.cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(child.cgroup);
  }
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return sys_error("clone3");
  if (pid == 0) {
    channel.first.reset();
    be_child(child, channel.second.get());
  }
  const UniquePid process(static_cast<int>(pid), UniqueFd(pidfd));
  channel.second.reset();
  if (child.prepare) TRY(child.prepare(process.pid(), process.pidfd().get()));
  if (::send(channel.first.get(), "g", 1, MSG_NOSIGNAL) != 1) return sys_error("send to a child");
  return read_answer(channel.first.get());
}

Status map_own_ids(int pid) {
  const uid_t uid = ::geteuid();
  // Without CAP_SETGID a gid map needs this first (user_namespaces(7)).
  if (uid != 0) TRY(write_map(pid, "setgroups", "deny"));
  TRY(write_map(pid, "uid_map", fmt::format("0 {} 1", uid)));
  return write_map(pid, "gid_map", fmt::format("0 {} 1", ::getegid()));
}

Status map_ids(int pid, std::uint32_t inside, std::uint32_t outside, std::uint32_t count) {
  const std::string line = fmt::format("{} {} {}", inside, outside, count);
  TRY(write_map(pid, "uid_map", line));
  return write_map(pid, "gid_map", line);
}

}  // namespace sandboxd::doctor
