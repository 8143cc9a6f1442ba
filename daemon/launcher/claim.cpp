#include "daemon/launcher/claim.h"

#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/ids.h"
#include "base/socket.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/message.h"

namespace sandboxd::launcher {

Result<UniqueFd> begin_claim(const std::string& socket, const wire::JailPlan& plan) {
  TRY_ASSIGN(UniqueFd broker, connect_unix(socket, SOCK_SEQPACKET));
  TRY(wire::send(broker.get(), wire::ClaimMessage::kClaim, plan.number, wire::Claim{plan.token}));
  return broker;
}

namespace {

Result<wire::Message> next_answer(int broker, wire::ClaimMessage wanted, std::size_t fds) {
  TRY_ASSIGN(const bool ready, wait_readable(broker, monotonic_usec() + 2 * wire::kClaimWaitUsec));
  if (!ready) return sys_error_code(ETIMEDOUT, "the broker does not answer");
  TRY_ASSIGN(wire::Message answer, wire::receive_message(broker, fds));
  if (answer.end) return sys_error_code(ECONNRESET, "the broker closed the claim");
  if (answer.type == static_cast<std::uint16_t>(wire::ClaimMessage::kClaimFailed)) {
    TRY_ASSIGN(const wire::Refused refused, wire::body_of<wire::Refused>(answer));
    return sys_error_code(refused.code == 0 ? EACCES : refused.code, "{}", refused.detail);
  }
  if (answer.type != static_cast<std::uint16_t>(wanted))
    return sys_error_code(EPROTO, "the broker's answer is of type {}", answer.type);
  return answer;
}

}  // namespace

Result<Client> finish_claim(int broker) {
  Client client;
  // The first is main's own, sent before the child that its client may have taken over could send anything.
  TRY_ASSIGN(const wire::Message first, next_answer(broker, wire::ClaimMessage::kClaimant, 0));
  TRY_ASSIGN(client.who, wire::body_of<wire::Claimant>(first));
  TRY_ASSIGN(wire::Message second, next_answer(broker, wire::ClaimMessage::kClaimed, kMaxFdsPerMessage - 1));
  TRY_ASSIGN(const wire::Claimed claimed, wire::body_of<wire::Claimed>(second));
  client.fds = std::move(second.fds);
  if (claimed.has_mount_ns) {
    if (client.fds.empty()) return sys_error_code(EPROTO, "claim without its mount namespace");
    client.mount_namespace = std::move(client.fds.back());
    client.fds.pop_back();
  }
  return client;
}

// Neither call can fail for a process with CAP_SETUID and CAP_SETGID; they return the former id, not an error (setfsuid(2)).
AsFileUser::AsFileUser(std::uint32_t uid, std::uint32_t gid) {
  ::setfsgid(gid);
  ::setfsuid(uid);
}

AsFileUser::~AsFileUser() {
  ::setfsuid(::geteuid());
  ::setfsgid(::getegid());
}

Status check_ids(const wire::JailPlan& plan, const Client& client, const wire::Config& config) {
  const auto may_map = [&](std::uint32_t id) {
    if (is_pool_id(id) || id == 0xFFFFFFFFU) return false;
    if (id == 0) return client.who.admin;
    return id >= config.uid_min || std::ranges::find(config.allowed_ids, id) != config.allowed_ids.end();
  };
  if (plan.takes_descriptors() && !may_map(client.who.uid)) {
    return sys_error_code(
        EPERM, "files of uid {} can't be given to a jail (ids below {} need 'allowed_ids'; 0 needs broker-admin.sock)",
        client.who.uid, config.uid_min);
  }
  if (is_pool_id(client.who.gid)) return sys_error_code(EPERM, "gid {} is one of the jails' own", client.who.gid);
  const bool own = plan.inside_uid == client.who.uid && plan.inside_gid == client.who.gid;
  const bool root = plan.inside_uid == 0 && plan.inside_gid == 0;
  if (!own && !root) {
    return sys_error_code(EPERM, "the plan shows the job as {}:{}, the client is {}:{}", plan.inside_uid,
                          plan.inside_gid, client.who.uid, client.who.gid);
  }
  return {};
}

Status check_bind_source(int fd, bool& is_directory) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return sys_error("read flags of a descriptor");
  if ((flags & O_PATH) != 0) return sys_error_code(EBADF, "a descriptor is O_PATH; open the directory for reading");
  if ((flags & O_ACCMODE) == O_WRONLY) return sys_error_code(EBADF, "a descriptor is not open for reading");
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("stat a descriptor");
  is_directory = S_ISDIR(info.st_mode);
  if (!is_directory && !S_ISREG(info.st_mode))
    return sys_error_code(EINVAL, "a descriptor is neither a directory nor a regular file (mode {:o})", info.st_mode);
  return {};
}

Status check_stdio(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) return sys_error("stat a descriptor");
  const bool null = S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
  if (S_ISFIFO(info.st_mode) || S_ISREG(info.st_mode) || null) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_PATH) != 0) return sys_error_code(EBADF, "stdio descriptor is O_PATH");
    return {};
  }
  return sys_error_code(EINVAL, "stdio must be a FIFO, a regular file or /dev/null (mode {:o}); use --stdio=pass",
                        info.st_mode);
}

}  // namespace sandboxd::launcher
