// What a broker's child that its client has taken over can send to a launch child in place of a claim's second message, and, so
// that nothing rests on the broker's main process either, in place of the first. The first byte says what comes with the packets;
// the rest is two packets, cut where the second byte says. Bits 6 and 7: the real first message, and a real header for the second.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/socket.h"
#include "daemon/launcher/claim.h"
#include "daemon/wire/message.h"

namespace sandboxd {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint32_t kUid = 4242;

Bytes with_header(std::span<const std::uint8_t> body, bool spilled) {
  wire::Header header;
  header.type = static_cast<std::uint16_t>(wire::ClaimMessage::kClaimed);
  header.size = static_cast<std::uint32_t>(body.size());
  header.flags = spilled ? 1 : 0;
  Bytes packet(sizeof header);
  std::memcpy(packet.data(), &header, sizeof header);
  if (!spilled) packet.insert(packet.end(), body.begin(), body.end());
  return packet;
}

void send(int socket, const Bytes& bytes, const std::vector<UniqueFd>& with) {
  std::vector<int> fds;
  for (const UniqueFd& fd : with) fds.push_back(fd.get());
  if (!bytes.empty()) (void)send_packet(socket, bytes, fds, MSG_DONTWAIT);
}

std::vector<UniqueFd> some_descriptors(std::uint8_t kinds, std::span<const std::uint8_t> content) {
  std::vector<UniqueFd> fds;
  if ((kinds & 1U) != 0) fds.push_back(sealed_memfd("fuzz", content).value());
  if ((kinds & 2U) != 0) fds.emplace_back(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if ((kinds & 4U) != 0) fds.emplace_back(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if ((kinds & 8U) != 0) fds.emplace_back(::open("/proc/self/fd", O_PATH | O_CLOEXEC));
  for (unsigned i = 0; i < 20 && (kinds & 16U) != 0; ++i) fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return fds;
}

}  // namespace
}  // namespace sandboxd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sandboxd;
  if (size < 2) return 0;
  const std::uint8_t kinds = data[0];
  const bool real_first = (kinds & 64U) != 0;
  const std::span<const std::uint8_t> rest(data + 2, size - 2);
  const std::size_t cut = real_first ? 0 : std::min<std::size_t>(data[1], rest.size());
  const auto second = rest.subspan(cut);
  auto [ours, theirs] = socket_pair(SOCK_SEQPACKET).value();
  if (real_first) {
    (void)wire::send(theirs.get(), wire::ClaimMessage::kClaimant, 0, wire::Claimant{kUid, kUid, {kUid}, false});
  } else {
    send(theirs.get(), {rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(cut)}, {});
  }
  const auto fds = some_descriptors(kinds, second);
  const bool spilled = (kinds & 1U) != 0;
  send(theirs.get(), (kinds & 128U) != 0 ? with_header(second, spilled) : Bytes(second.begin(), second.end()), fds);
  theirs.reset();
  auto client = launcher::finish_claim(ours.get());
  if (!client.ok()) return 0;
  // Whose they are is never the second's word; and none is more than came.
  if (real_first && (client->who.uid != kUid || client->who.gid != kUid || client->who.admin)) std::abort();
  const std::size_t got = client->fds.size() + (client->mount_namespace.valid() ? 1 : 0);
  if (got > fds.size() || got > kMaxFdsPerMessage - 1) std::abort();
  for (const UniqueFd& fd : client->fds) {
    bool is_directory = false;
    if (!fd.valid()) std::abort();
    (void)launcher::check_stdio(fd.get()).ok();
    if (launcher::check_bind_source(fd.get(), is_directory).ok() && (::fcntl(fd.get(), F_GETFL) & O_PATH) != 0)
      std::abort();
  }
  return 0;
}
