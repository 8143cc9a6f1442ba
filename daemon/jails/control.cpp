#include "daemon/jails/control.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/socket.h"

namespace sandboxd::jails {
namespace {

// A jail of one job says four things at most.
constexpr std::uint32_t kMostEvents = 16;
constexpr std::size_t kStreams = 3;

bool is_fifo(int fd, int direction) {
  struct stat info {};
  if (::fstat(fd, &info) < 0 || !S_ISFIFO(info.st_mode)) return false;
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == direction;
}

bool are_streams(const std::vector<UniqueFd>& fds) {
  if (fds.size() != kStreams) return false;
  constexpr std::array<int, kStreams> kDirections = {O_WRONLY, O_RDONLY, O_RDONLY};
  for (std::size_t i = 0; i < kStreams; ++i) {
    if (!is_fifo(fds[i].get(), kDirections[i])) return false;
  }
  return true;
}

bool is_known(wire::InitEvent event) {
  return event >= wire::InitEvent::kStreams && event <= wire::InitEvent::kWallTime;
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
  socket_.reset();
}

Status Control::send(wire::InitCommand command, std::int32_t value) {
  if (!socket_) return sys_error_code(ENOTCONN, "control socket");
  const wire::InitCommandRecord record{command, value};
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&record);
  return send_packet(socket_.get(), {bytes, sizeof record}, {}, MSG_DONTWAIT);
}

bool Control::breach(const std::string& why) {
  close();
  const auto callback = callbacks_.breach;
  callback(why);
  return false;
}

bool Control::read_one() {
  auto packet = receive_packet(socket_.get(), sizeof(wire::InitEventRecord), kStreams, MSG_DONTWAIT);
  if (!packet.ok()) {
    if (packet.error().code == EAGAIN) return false;
    if (packet.error().code != ECONNRESET) return breach(packet.error().message());
    close();
    return false;
  }
  if (packet->end) {
    close();  // the pidfd says the rest
    return false;
  }
  wire::InitEventRecord record;
  if (packet->bytes.size() != sizeof record) return breach(fmt::format("an event of {} bytes", packet->bytes.size()));
  std::memcpy(&record, packet->bytes.data(), sizeof record);
  record.step[sizeof record.step - 1] = '\0';
  record.text[sizeof record.text - 1] = '\0';
  if (!is_known(record.event)) return breach("an unknown event");
  if (++events_ > kMostEvents) return breach("too many events");
  if (record.event != wire::InitEvent::kStreams) {
    if (!packet->fds.empty()) return breach("descriptors with an event that has none");
    callbacks_.event(record);
    return true;
  }
  if (had_streams_ || !are_streams(packet->fds)) return breach("streams that are not the three pipes of a job");
  had_streams_ = true;
  callbacks_.streams(std::move(packet->fds));
  return true;
}

}  // namespace sandboxd::jails
