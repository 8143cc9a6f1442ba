// Doors beside the files: socket files, abstract sockets, FIFOs, shared memory, queues, loopback.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/sandboxees/probe.h"

namespace {

using probe::refused;
using probe::tried;

// "@name" is abstract, as ss(8) writes it.
socklen_t address_of(const char* text, sockaddr_un& address) {
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, text, sizeof address.sun_path - 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(address.sun_path));
  if (text[0] != '@') return size + 1;
  address.sun_path[0] = '\0';
  return size;
}

void try_connect(const std::string& name, const char* text, int type) {
  sockaddr_un address{};
  const socklen_t size = address_of(text, address);
  const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return refused(name, errno);
  // EPROTOTYPE: the socket is there, of another type.
  const int r = ::connect(fd, reinterpret_cast<sockaddr*>(&address), size);
  if (r < 0 && errno == EPROTOTYPE)
    probe::through(name, "EPROTOTYPE");
  else
    tried(name, r);
}

// ARGUMENTS: addresses.
void check_connect(char** arguments) {
  for (; *arguments != nullptr; ++arguments) {
    try_connect(std::string(*arguments) + "-stream", *arguments, SOCK_STREAM);
    try_connect(std::string(*arguments) + "-packet", *arguments, SOCK_SEQPACKET);
    try_connect(std::string(*arguments) + "-datagram", *arguments, SOCK_DGRAM);
    sockaddr_un address{};
    const socklen_t size = address_of(*arguments, address);
    int pair[2] = {-1, -1};
    const std::string name = std::string(*arguments) + "-pair";
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, &pair[0]) < 0) {
      refused(name, errno);
    } else {
      const int r = ::connect(pair[0], reinterpret_cast<sockaddr*>(&address), size);
      if (r < 0 && errno == EPROTOTYPE)
        probe::through(name, "EPROTOTYPE");
      else
        tried(name, r);
    }
  }
}

// ARGUMENT: a FIFO that somebody outside reads.
void check_fifo(char** arguments) {
  const int fd = ::open(arguments[0], O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (!tried("open", fd)) return;
  tried("write", ::write(fd, "x", 1));
}

// ARGUMENT: the name of a message queue that isn't there yet. It stays.
void check_queue(char** arguments) {
  mq_attr attributes{};
  attributes.mq_maxmsg = 1;
  attributes.mq_msgsize = 8;
  const mqd_t queue = ::mq_open(arguments[0], O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attributes);
  if (!tried("open", queue)) return;
  tried("send", ::mq_send(queue, "x", 1, 0));
  char message[8];
  tried("receive", ::mq_receive(queue, message, sizeof message, nullptr));
}

// ARGUMENTS: a key of System V's objects and the name of a POSIX queue and of a file in /dev/shm, which are there outside.
void check_shared(char** arguments) {
  const auto key = static_cast<key_t>(std::strtol(arguments[0], nullptr, 10));
  const std::string name = std::string("/") + arguments[1];
  tried("shmget", ::shmget(key, 0, 0));
  tried("msgget", ::msgget(key, 0));
  tried("semget", ::semget(key, 0, 0));
  tried("mq_open", ::mq_open(name.c_str(), O_RDWR | O_CLOEXEC));
  tried("dev-shm", ::open(("/dev/shm" + name).c_str(), O_RDWR | O_CLOEXEC));
}

// ARGUMENT: a port of the host's loopback where somebody listens.
void check_loopback(char** arguments) {
  const auto port = ::htons(static_cast<std::uint16_t>(std::strtoul(arguments[0], nullptr, 10)));
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = port;
  four.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = port;
  ::inet_pton(AF_INET6, "::ffff:127.0.0.1", &six.sin6_addr);
  const auto connect_to = [](const char* name, const sockaddr* address, socklen_t size) {
    const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    tried(name, fd < 0 ? -1 : ::connect(fd, address, size));
  };
  connect_to("tcp", reinterpret_cast<const sockaddr*>(&four), sizeof four);
  connect_to("tcp-mapped", reinterpret_cast<const sockaddr*>(&six), sizeof six);
}

// The kernel's reserve of huge pages, one for everybody. Without MAP_NORESERVE mmap(2) fails where it is empty.
void check_huge_pages(char**) {
  constexpr std::size_t kHugePage = 2U << 20;
  void* const page = ::mmap(nullptr, kHugePage, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);
  tried("huge-mmap", page == MAP_FAILED ? -1 : 0);
  tried("huge-memfd", ::memfd_create("pages", MFD_HUGETLB | MFD_CLOEXEC));
}

constexpr probe::Check kChecks[] = {{"connect", 1, check_connect}, {"huge-pages", 0, check_huge_pages},
                                    {"fifo", 1, check_fifo},       {"queue", 1, check_queue},
                                    {"shared", 2, check_shared},   {"loopback", 1, check_loopback}};

}  // namespace

int main(int argc, char** argv) { return probe::main_of(kChecks, argc, argv); }
