#include "base/listen_fds.h"

#include <cerrno>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sandboxd {
namespace {

using ::testing::HasSubstr;

// In a child: descriptors from 3 on are whatever the test program has there.
int in_child(int (*body)()) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

ino_t inode_of(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

struct Pipe {
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read, write;
};

TEST(ListenFds, TakesEachSocketByItsName) {
  EXPECT_EQ(in_child([] {
              const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
              const UniqueFd etc(::open("/etc", O_RDONLY | O_CLOEXEC));
              const ino_t usr_inode = inode_of(usr.get());
              const ino_t etc_inode = inode_of(etc.get());
              const NamedFd given[] = {{"broker", etc.get()}, {"broker-claim", usr.get()}};
              if (!give_listen_fds(given).ok()) return 1;
              const Result<UniqueFd> claim = take_listen_fd("broker-claim");
              const Result<UniqueFd> broker = take_listen_fd("broker");
              if (!claim.ok() || !broker.ok()) return 2;
              return inode_of(claim->get()) == usr_inode && inode_of(broker->get()) == etc_inode ? 0 : 3;
            }),
            0);
}

TEST(ListenFds, GivesDescriptorsThatSurviveExecAndTakesThemCloexec) {
  EXPECT_EQ(in_child([] {
              const Pipe pipe;
              const NamedFd given[] = {{"audit", pipe.read.get()}};
              if (!give_listen_fds(given).ok()) return 1;
              if ((::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0) return 2;
              const Result<UniqueFd> taken = take_listen_fd("audit");
              if (!taken.ok() || taken->get() != 3) return 3;
              return (::fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 ? 0 : 4;
            }),
            0);
}

TEST(ListenFds, GivesASocketOnce) {
  EXPECT_EQ(in_child([] {
              const Pipe pipe;
              const NamedFd given[] = {{"audit", pipe.read.get()}};
              if (!give_listen_fds(given).ok()) return 1;
              const Result<UniqueFd> first = take_listen_fd("audit");
              const Result<UniqueFd> second = take_listen_fd("audit");
              return first.ok() && !second.ok() && second.error().code == EBADF ? 0 : 2;
            }),
            0);
}

TEST(ListenFds, PutsSourcesInPlaceThatLieWhereOthersGo) {
  EXPECT_EQ(in_child([] {
              // 3 and 4, handed over crosswise.
              const UniqueFd usr(::open("/usr", O_RDONLY | O_CLOEXEC));
              const UniqueFd etc(::open("/etc", O_RDONLY | O_CLOEXEC));
              if (::dup2(usr.get(), 4) != 4 || ::dup2(etc.get(), 3) != 3) return 1;
              const ino_t four = inode_of(4);
              const ino_t three = inode_of(3);
              const NamedFd given[] = {{"a", 4}, {"b", 3}};
              if (!give_listen_fds(given).ok()) return 2;
              return inode_of(3) == four && inode_of(4) == three ? 0 : 3;
            }),
            0);
}

TEST(ListenFds, NamesTheSocketThatIsMissing) {
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", "1", 1);
  ::setenv("LISTEN_FDNAMES", "broker", 1);
  const Result<UniqueFd> taken = take_listen_fd("broker-admin");
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().message(), HasSubstr("'broker-admin'"));
  forget_listen_fds();
}

TEST(ListenFds, TakesNothingThatWasMeantForAnotherProcess) {
  for (const char* pid : {"1", "", "-1", "99999999999999", "abc"}) {
    ::setenv("LISTEN_PID", pid, 1);
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("LISTEN_FDNAMES", "broker", 1);
    EXPECT_FALSE(take_listen_fd("broker").ok()) << pid;
  }
  forget_listen_fds();
}

TEST(ListenFds, TakesNothingPastTheCount) {
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDNAMES", "a:b", 1);
  for (const char* count : {"1", "0", "x", "-1", "100000"}) {
    ::setenv("LISTEN_FDS", count, 1);
    EXPECT_FALSE(take_listen_fd("b").ok()) << count;
  }
  forget_listen_fds();
}

TEST(ListenFds, RefusesANameThatWouldSplitTheList) {
  const NamedFd given[] = {{"a:b", 0}};
  EXPECT_EQ(give_listen_fds(given).error().code, EINVAL);
}

TEST(ListenFds, LeavesNothingForAChild) {
  ::setenv("LISTEN_PID", "1", 1);
  ::setenv("LISTEN_FDS", "1", 1);
  ::setenv("LISTEN_FDNAMES", "x", 1);
  forget_listen_fds();
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) EXPECT_EQ(::getenv(name), nullptr);
}

}  // namespace
}  // namespace sandboxd
