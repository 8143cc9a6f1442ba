#include "daemon/jails/control.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/prompt_release.h"
#include "base/socket.h"

namespace sandboxd::jails {
namespace {

constexpr std::size_t kStreams = 3;

bool is_fifo(int fd, int direction) {
  struct stat info {};
  if (::fstat(fd, &info) < 0 || !S_ISFIFO(info.st_mode)) return false;
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == direction;
}

// The master of a PTY: the multiplexer's number, opened for both directions (pts(4)). Nothing else of a jail's /dev has it.
bool is_terminal(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) < 0 || !S_ISCHR(info.st_mode) || info.st_rdev != makedev(5, 2)) return false;
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == O_RDWR;
}

bool are_streams(const std::vector<UniqueFd>& fds) {
  if (fds.size() == 1) return is_terminal(fds[0].get());
  if (fds.empty() || fds.size() > kStreams) return false;
  constexpr std::array<int, kStreams> kDirections = {O_WRONLY, O_RDONLY, O_RDONLY};
  for (std::size_t i = 0; i < fds.size(); ++i) {
    if (!is_fifo(fds[i].get(), kDirections[i])) return false;
  }
  return true;
}

bool is_known(wire::InitEvent event) {
  return event >= wire::InitEvent::kStreams && event <= wire::InitEvent::kLearned;
}

}  // namespace

Status Control::start(sd_event* loop, UniqueFd socket, Callbacks callbacks) {
  socket_ = std::move(socket);
  callbacks_ = std::move(callbacks);
  return watch_.start(loop, socket_.get(), EPOLLIN, [this](std::uint32_t) { read_some(); });
}

void Control::read_some() {
  // An owner may close this from a callback.
  for (int i = 0; i < 4 && socket_; ++i) {
    if (!read_one()) return;
  }
}

void Control::drain() {
  while (socket_ && read_one()) {
  }
  close();
}

void Control::close() {
  watch_.stop();
  release_promptly(std::move(socket_));
}

Status Control::send(wire::InitCommand command, std::int32_t value, std::uint32_t job, std::span<const int> fds) {
  if (!socket_) return sys_error_code(ENOTCONN, "control socket");
  const wire::InitCommandRecord record{command, value, job, 0};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&record);
  return send_packet(socket_.get(), {bytes, sizeof record}, fds, MSG_DONTWAIT);
}

bool Control::breach(const std::string& why) {
  close();
  const auto callback = callbacks_.breach;
  callback(why);
  return false;
}

Result<Packet> Control::receive() const {
  const PromptRelease prompt;  // of what is too much for one packet
  return receive_packet(socket_.get(), sizeof(wire::InitEventRecord), kStreams, MSG_DONTWAIT);
}

bool Control::read_one() {
  auto packet = receive();
  if (!packet.ok()) {
    if (packet.error().code == EAGAIN) return false;
    // The other end closed with a command of ours unread. That is told once and before what it had sent: the job's end, say.
    return packet.error().code == ECONNRESET || breach(packet.error().message());
  }
  if (packet->end) {
    release_promptly(std::move(packet->fds));
    close();  // the pidfd says the rest
    return false;
  }
  if (packet->bytes.size() == sizeof(wire::InitEventRecord)) return take(*packet);
  release_promptly(std::move(packet->fds));
  return breach(fmt::format("an event of {} bytes", packet->bytes.size()));
}

// jail-init counts by its own seconds, so there may be one's worth more than the time that passed here.
// What is only a count of those untold comes at jobs' ends and is one of their events.
bool Control::may_deny(const wire::InitEventRecord& record) {
  constexpr std::uint64_t kAhead = 8;
  if (denials_since_ == 0) return false;
  wire::DeniedCall call;
  std::memcpy(&call, &record.text[0], sizeof call);
  if (call.number < 0) return ++events_ <= most_events_;
  const std::uint64_t seconds = (monotonic_usec() - denials_since_) / 1'000'000 + kAhead;
  return ++denials_ <= seconds * wire::kDeniedPerSecond;
}

bool Control::may_come(const wire::InitEventRecord& record) {
  if (record.event == wire::InitEvent::kDenied) return may_deny(record);
  if (record.event == wire::InitEvent::kLearned) return ++learned_ <= most_learned_;
  return ++events_ <= most_events_;
}

void Control::expect_denials() { denials_since_ = monotonic_usec(); }

bool Control::take(Packet& packet) {
  wire::InitEventRecord record;
  std::memcpy(&record, packet.bytes.data(), sizeof record);
  record.step[sizeof record.step - 1] = '\0';
  record.text[sizeof record.text - 1] = '\0';
  const bool streams = record.event == wire::InitEvent::kStreams;
  const bool expected = streams ? are_streams(packet.fds) : packet.fds.empty();
  if (!expected) release_promptly(std::move(packet.fds));
  if (!is_known(record.event)) return breach("an unknown event");
  if (!may_come(record)) return breach("too many events");
  if (!expected && streams) return breach("streams that are neither a job's pipes nor its terminal");
  if (!expected) return breach("descriptors with an event that has none");
  if (!streams) {
    callbacks_.event(record);
    return true;
  }
  callbacks_.streams(record.job, std::move(packet.fds));
  return true;
}

}  // namespace sandboxd::jails
