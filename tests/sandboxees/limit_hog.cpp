// Takes as much of one thing as it is given, and says how much that was: "NAME COUNT ERRNO", a line for each thing. What it
// took it keeps to its end.
//
//   limit_hog KIND [AMOUNT]
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace {

constexpr std::size_t kMiB = 1U << 20;

void say(const char* name, long count, int error) {
  std::printf("%s %ld %s\n", name, count, error == 0 ? "OK" : strerrorname_np(error));
  std::fflush(stdout);
}

double seconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void touch(std::size_t mib) {
  auto* memory =
      static_cast<char*>(mmap(nullptr, mib * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) return say("mmap", 0, errno);
  for (std::size_t at = 0; at < mib * kMiB; at += 4096) memory[at] = 1;
}

int anonymous(long mib) {
  say("begin", mib, 0);
  touch(static_cast<std::size_t>(mib));
  say("anonymous", mib, 0);
  return 0;
}

int hold(long mib) {
  touch(static_cast<std::size_t>(mib));
  say("holds", mib, 0);
  for (;;) pause();
}

// Each child takes a part, and none dies of its own.
int processes_of_memory(long mib) {
  constexpr int kChildren = 8;
  say("begin", mib, 0);
  int ends[2];
  if (pipe(ends) < 0) return 1;
  for (int i = 0; i < kChildren; ++i) {
    if (fork() != 0) continue;
    touch(static_cast<std::size_t>(mib) / kChildren);
    const char done = 'x';
    if (write(ends[1], &done, 1) != 1) _exit(1);
    for (;;) pause();
  }
  long ready = 0;
  for (char byte = 0; ready < kChildren && read(ends[0], &byte, 1) == 1;) ++ready;
  say("processes", ready, 0);
  return 0;
}

int file_of(const char* path, long mib) {
  static char block[kMiB];
  std::memset(block, 'x', sizeof block);
  const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) {
    say("open", 0, errno);
    return 1;
  }
  say("begin", mib, 0);
  long written = 0;
  int error = 0;
  for (; written < mib && error == 0; ++written) {
    if (write(fd, block, sizeof block) != static_cast<ssize_t>(sizeof block)) error = errno != 0 ? errno : ENOSPC;
  }
  if (error != 0) --written;
  if (lseek(fd, 0, SEEK_SET) == 0) {
    while (read(fd, block, sizeof block) > 0) {
    }
  }
  say("file", written, error);
  return 0;
}

// Goes on until it is ended.
int keep_writing(long) {
  const int fd = open("writes", O_WRONLY | O_CREAT, 0600);
  if (fd < 0) return 1;
  while (pwrite(fd, "x", 1, 0) == 1) usleep(10'000);
  return 1;
}

// Until there is no room, and then nothing.
int full(long) {
  static_cast<void>(file_of("/tmp/file", 1L << 20));
  for (;;) pause();
}

// Past the page cache, so that each write waits for the disk's turn.
int disk(long mib) {
  constexpr std::size_t kBlock = 64 * 1024;
  const int fd = open("direct", O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0600);
  void* block = nullptr;
  if (fd < 0 || posix_memalign(&block, 4096, kBlock) != 0) {
    say("open", 0, errno);
    return 1;
  }
  std::memset(block, 'x', kBlock);
  for (std::size_t done = 0; done < static_cast<std::size_t>(mib) * kMiB; done += kBlock) {
    if (write(fd, block, kBlock) == static_cast<ssize_t>(kBlock)) continue;
    say("disk", static_cast<long>(done / kMiB), errno);
    return 1;
  }
  say("disk", mib, 0);
  return 0;
}

// Children that stay, up to the limit; then the tree goes on trying for a while.
int forks(long tries) {
  long made = 0;
  int error = 0;
  for (; made < tries; ++made) {
    const pid_t pid = fork();
    if (pid < 0) {
      error = errno;
      break;
    }
    if (pid == 0) {
      for (;;) pause();
    }
  }
  say("forks", made, error);
  return 0;
}

// Every process forks as fast as it can.
int bomb(long milliseconds) {
  const double end = seconds() + static_cast<double>(milliseconds) / 1000;
  while (seconds() < end) {
    if (fork() < 0) sched_yield();
  }
  return 0;
}

// Each child is its parent's continuation: a chain, whose parents all wait in the kernel.
long vfork_chain(long depth) {
  const pid_t pid = vfork();
  if (pid < 0) return depth;
  if (pid != 0) {
    int status = 0;
    waitpid(pid, &status, 0);
    return -1;
  }
  const long deepest = vfork_chain(depth + 1);
  if (deepest >= 0) say("vforks", deepest, errno);
  _exit(0);
}

void* stay(void*) {
  for (;;) pause();
}

int threads(long tries) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 * 1024);
  long made = 0;
  int error = 0;
  for (pthread_t one{}; made < tries && error == 0; ++made) error = pthread_create(&one, &small, stay, nullptr);
  say("threads", error == 0 ? made : made - 1, error);
  _exit(0);
}

// Children that come and go, each shorter than a tick.
int spin(long milliseconds) {
  const double end = seconds() + static_cast<double>(milliseconds) / 1000;
  long children = 0;
  while (seconds() < end) {
    if (fork() == 0) {
      for (unsigned i = 0; i < 200'000; ++i) asm volatile("");
      _exit(0);
    }
    ++children;
    wait(nullptr);
  }
  say("spin", children, 0);
  return 0;
}

int inodes(long tries) {
  long made = 0;
  int error = 0;
  for (; made < tries; ++made) {
    char path[64];
    std::snprintf(path, sizeof path, "/tmp/i%ld", made);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
      error = errno;
      break;
    }
    close(fd);
  }
  say("inodes", made, error);
  return 0;
}

int deep(long tries) {
  long made = 0;
  int error = 0;
  if (chdir("/tmp") < 0) return 1;
  for (; made < tries; ++made) {
    if (mkdir("d", 0700) < 0 || chdir("d") < 0) {
      error = errno;
      break;
    }
  }
  say("deep", made, error);
  return 0;
}

int sparse(long) {
  const int fd = open("/tmp/sparse", O_RDWR | O_CREAT, 0600);
  // Length is no space; what is written at its end is.
  const int long_file = ftruncate(fd, 1L << 40) < 0 ? errno : 0;
  say("truncate", 1, long_file);
  const char byte = 'x';
  const int written = pwrite(fd, &byte, 1, (1L << 40) - 1) == 1 ? 0 : errno;
  say("write", 1, written);
  const int reserved = fallocate(fd, 0, 0, 1L << 34) < 0 ? errno : 0;
  say("fallocate", 1, reserved);
  return 0;
}

long take(int (*one)(), long tries, int& error) {
  long made = 0;
  for (error = 0; made < tries && error == 0; ++made) {
    if (one() < 0) error = errno;
  }
  return error == 0 ? made : made - 1;
}

int fds(long tries) {
  int error = 0;
  const long made = take([] { return open("/dev/null", O_RDONLY); }, tries, error);
  say("fds", made, error);
  return 0;
}

int ptys(long tries) {
  int error = 0;
  const long made = take([] { return open("/dev/ptmx", O_RDWR | O_NOCTTY); }, tries, error);
  say("ptys", made, error);
  return 0;
}

int kernel_objects(long tries) {
  int error = 0;
  long made = take([] { return inotify_init1(IN_CLOEXEC); }, tries, error);
  say("inotify", made, error);
  made = take(
      [] {
        static long number = 0;
        char name[32];
        std::snprintf(name, sizeof name, "k%ld", number++);
        return static_cast<int>(syscall(SYS_add_key, "user", name, "x", 1, -3 /* process keyring */));
      },
      tries, error);
  say("keys", made, error);
  made = take(
      [] {
        int ends[2];
        if (pipe(ends) < 0) return -1;
        // Pages of a user are limited once it has many pipes (pipe(7)): the growth is refused, never the pipe.
        return fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) < 0 ? -1 : 0;
      },
      tries, error);
  say("pipes", made, error);
  return 0;
}

// Lives on, and shows it: a line every so often, numbered, until it has said as many as it was told.
int beat(long lines) {
  for (long i = 0; i < lines; ++i) {
    std::printf("beat %ld\n", i);
    std::fflush(stdout);
    // Work of every kind that a neighbour could have used up: a process, memory, a file.
    const pid_t pid = fork();
    if (pid == 0) {
      touch(1);
      _exit(close(open("/tmp/beat", O_WRONLY | O_CREAT, 0600)) < 0 ? 1 : 0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) return 1;
    usleep(20'000);
  }
  return 0;
}

struct Kind {
  const char* name;
  int (*run)(long amount);
};
constexpr Kind kKinds[] = {
    {"anonymous", anonymous},
    {"hold", hold},
    {"processes", processes_of_memory},
    {"tmpfs", [](long mib) { return file_of("/tmp/file", mib); }},
    {"cache", [](long mib) { return file_of("file", mib); }},
    {"full", full},
    {"disk", disk},
    {"write", keep_writing},
    {"forks", forks},
    {"bomb", bomb},
    {"vforks",
     [](long) {
       vfork_chain(0);
       return 0;
     }},
    {"threads", threads},
    {"spin", spin},
    {"inodes", inodes},
    {"deep", deep},
    {"sparse", sparse},
    {"fds", fds},
    {"ptys", ptys},
    {"objects", kernel_objects},
    {"beat", beat},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  for (const Kind& kind : kKinds) {
    if (std::strcmp(kind.name, argv[1]) == 0) return kind.run(argc > 2 ? std::atol(argv[2]) : 0);
  }
  return 2;
}
