#include "tests/support/silent_fuse.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/core.h>

namespace sandboxd::test {
namespace {

constexpr std::uint64_t kFileNode = 2;

fuse_attr attributes_of(std::uint64_t node) {
  fuse_attr attr{};
  attr.ino = node;
  attr.mode = node == kFileNode ? S_IFREG | 0666 : S_IFDIR | 0777;
  attr.nlink = 1;
  attr.blksize = 4096;
  return attr;
}

template <class T> void reply(int fuse, std::uint64_t unique, const T& body) {
  fuse_out_header header{};
  header.len = sizeof header + sizeof body;
  header.unique = unique;
  std::vector<char> bytes(header.len);
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
  (void)!::write(fuse, bytes.data(), bytes.size());
}

void refuse(int fuse, std::uint64_t unique) {
  const fuse_out_header header{sizeof header, -ENOSYS, unique};
  (void)!::write(fuse, &header, sizeof header);
}

void answer(int fuse, const fuse_in_header& request) {
  switch (request.opcode) {
    case FUSE_INIT: {
      fuse_init_out init{};
      init.major = FUSE_KERNEL_VERSION;
      init.minor = 31;
      init.max_write = 4096;
      return reply(fuse, request.unique, init);
    }
    case FUSE_LOOKUP: {
      fuse_entry_out entry{};
      entry.nodeid = kFileNode;
      entry.attr = attributes_of(kFileNode);
      return reply(fuse, request.unique, entry);
    }
    case FUSE_GETATTR: {
      fuse_attr_out attr{};
      attr.attr = attributes_of(request.nodeid);
      return reply(fuse, request.unique, attr);
    }
    case FUSE_OPEN: return reply(fuse, request.unique, fuse_open_out{});
    case FUSE_STATFS: return reply(fuse, request.unique, fuse_statfs_out{});
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_FORGET:
    case FUSE_INTERRUPT: return;
    default: return refuse(fuse, request.unique);
  }
}

[[noreturn]] void serve(int fuse) {
  alignas(fuse_in_header) static char buffer[FUSE_MIN_READ_BUFFER + 65536];
  for (;;) {
    const ssize_t got = ::read(fuse, buffer, sizeof buffer);
    if (got < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT) ::_exit(0);
    if (got < static_cast<ssize_t>(sizeof(fuse_in_header))) continue;
    fuse_in_header request;
    std::memcpy(&request, buffer, sizeof request);
    answer(fuse, request);
  }
}

}  // namespace

bool SilentFuse::mount(const std::string& directory) {
  directory_ = directory;
  const UniqueFd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fuse) return problem_ = "can't open /dev/fuse", false;
  if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
    return problem_ = "can't make a mount namespace", false;
  }
  const std::string data = fmt::format("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", fuse.get());
  if (::mount("silent", directory.c_str(), "fuse", 0, data.c_str()) < 0)
    return problem_ = "can't mount a FUSE file system", false;
  server_ = ::fork();
  if (server_ == 0) serve(fuse.get());
  return server_ > 0;
}

void SilentFuse::stop() {
  if (server_ <= 0) return;
  ::kill(server_, SIGKILL);
  ::waitpid(server_, nullptr, 0);
  ::umount2(directory_.c_str(), MNT_DETACH);
  server_ = -1;
}

}  // namespace sandboxd::test
