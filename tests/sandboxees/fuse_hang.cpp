// A file system that answers all it must until a file is open, and then never again: close(2) of its file sends FLUSH and
// waits, in D state. Mounted over DIR for UID; started as root, since /dev/fuse often is root's. It ends by a signal, and then
// whoever waits is let go. usage: fuse_hang DIR UID   (prints "ready"; DIR holds one file, "file")
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr std::uint64_t kFileNode = 2;
unsigned g_uid = 0;

fuse_attr attributes(std::uint64_t node) {
  fuse_attr attr{};
  attr.ino = node;
  attr.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666;
  attr.nlink = 1;
  attr.size = node == FUSE_ROOT_ID ? 0 : 4096;
  attr.uid = attr.gid = g_uid;
  attr.blksize = 4096;
  return attr;
}

void answer(int device, std::uint64_t unique, int error, const void* body, std::size_t size) {
  char buffer[4096];
  fuse_out_header head{static_cast<std::uint32_t>(sizeof head + size), error, unique};
  std::memcpy(&buffer[0], &head, sizeof head);
  if (size > 0) std::memcpy(&buffer[sizeof head], body, size);
  if (::write(device, buffer, sizeof head + size) < 0) std::perror("answer");
}

void answer_init(int device, const fuse_in_header& head) {
  fuse_init_out out{};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = FUSE_KERNEL_MINOR_VERSION;
  out.max_write = 65536;
  answer(device, head.unique, 0, &out, sizeof out);
}

void answer_entry(int device, const fuse_in_header& head, const char* name) {
  if (std::strcmp(name, "file") != 0) return answer(device, head.unique, -ENOENT, nullptr, 0);
  fuse_entry_out out{};
  out.nodeid = kFileNode;
  out.attr_valid = out.entry_valid = 3600;
  out.attr = attributes(kFileNode);
  answer(device, head.unique, 0, &out, sizeof out);
}

void serve(int device, const char* request) {
  fuse_in_header head{};
  std::memcpy(&head, request, sizeof head);
  switch (head.opcode) {
    case FUSE_INIT: return answer_init(device, head);
    case FUSE_LOOKUP: return answer_entry(device, head, request + sizeof head);
    case FUSE_GETATTR: {
      fuse_attr_out out{};
      out.attr_valid = 3600;
      out.attr = attributes(head.nodeid);
      return answer(device, head.unique, 0, &out, sizeof out);
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      const fuse_open_out out{};
      return answer(device, head.unique, 0, &out, sizeof out);
    }
    case FUSE_STATFS: {
      fuse_statfs_out out{};
      out.st.bsize = out.st.frsize = 4096;
      out.st.namelen = 255;
      return answer(device, head.unique, 0, &out, sizeof out);
    }
    case FUSE_FLUSH:
      std::printf("flush\n");
      std::fflush(stdout);
      return;  // never
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: return;
    default: return answer(device, head.unique, -ENOSYS, nullptr, 0);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  g_uid = static_cast<unsigned>(std::atoi(argv[2]));
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) {
    std::perror("open /dev/fuse");
    return 77;
  }
  const std::string options = "fd=" + std::to_string(device) + ",rootmode=40755,user_id=" + std::to_string(g_uid) +
                              ",group_id=" + std::to_string(g_uid) + ",allow_other";
  if (::mount("hang", argv[1], "fuse", MS_NOSUID | MS_NODEV, options.c_str()) < 0) {
    std::perror("mount");
    return 77;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  alignas(8) char request[70000];
  for (;;) {
    const ssize_t got = ::read(device, request, sizeof request);
    if (got < 0 && errno != EINTR && errno != ENOENT) return 0;  // ENODEV: unmounted
    if (got > 0) serve(device, request);
  }
}
