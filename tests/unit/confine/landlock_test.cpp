#include "daemon/confine/landlock.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/socket.h"
#include "base/unique_fd.h"
#include "daemon/confine/capabilities.h"
#include "tests/support/program.h"

namespace sandboxd::landlock {
namespace {

constexpr int kNotRestricted = 200;

// errno of `body` (0: it worked) in a child that holds only these rules.
template <class Body> int errno_under(const std::vector<Rule>& rules, const Body& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (!set_no_new_privs().ok() || !restrict_self(rules).ok()) ::_exit(kNotRestricted);
    errno = 0;
    ::_exit(body() >= 0 ? 0 : errno);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

class Landlock : public ::testing::Test {
 protected:
  [[nodiscard]] std::string in(const std::string& name) const { return dir_.path() + "/" + name; }
  test::TempDir dir_;
};

TEST_F(Landlock, IsThere) {
  const Result<int> version = abi();
  ASSERT_TRUE(version.ok()) << version.error().message();
  EXPECT_GE(*version, 2);
}

TEST_F(Landlock, LeavesNoPathWithoutARule) {
  EXPECT_EQ(errno_under({}, [] { return ::open("/", O_RDONLY | O_DIRECTORY); }), EACCES);
  EXPECT_EQ(errno_under({}, [] { return ::open("/etc/passwd", O_RDONLY); }), EACCES);
  EXPECT_EQ(errno_under({}, [this] { return ::open(in("x").c_str(), O_WRONLY | O_CREAT, 0600); }), EACCES);
  EXPECT_EQ(errno_under({}, [this] { return ::mkdir(in("d").c_str(), 0700); }), EACCES);
}

TEST_F(Landlock, ReadsWithoutWritingWhereOnlyThatIsGranted) {
  const std::vector<Rule> rules = {{dir_.path(), Grant::kRead}};
  ASSERT_GE(::close(::open(in("x").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
  EXPECT_EQ(errno_under(rules, [this] { return ::open(in("x").c_str(), O_RDONLY); }), 0);
  EXPECT_EQ(errno_under(rules, [this] { return ::open(in("x").c_str(), O_WRONLY); }), EACCES);
  EXPECT_EQ(errno_under(rules, [this] { return ::unlink(in("x").c_str()); }), EACCES);
}

TEST_F(Landlock, MakesRenamesAndRemovesWhereWritingIsGranted) {
  const std::vector<Rule> rules = {{dir_.path(), Grant::kRead | Grant::kWrite}};
  EXPECT_EQ(errno_under(rules,
                        [this] {
                          if (::mkdir(in("d").c_str(), 0700) < 0 ||
                              ::close(::open(in("x").c_str(), O_RDWR | O_CREAT, 0600)) < 0)
                            return -1;
                          if (::rename(in("x").c_str(), in("d/y").c_str()) < 0 || ::truncate(in("d/y").c_str(), 10) < 0)
                            return -1;
                          return ::unlink(in("d/y").c_str()) < 0 ? -1 : ::rmdir(in("d").c_str());
                        }),
            0);
  EXPECT_EQ(errno_under(rules, [] { return ::open("/tmp", O_RDONLY | O_DIRECTORY); }), EACCES);
}

TEST_F(Landlock, NeverMakesADevice) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: mknod";
  const std::vector<Rule> rules = {{dir_.path(), Grant::kRead | Grant::kWrite}};
  EXPECT_EQ(errno_under(rules, [this] { return ::mknod(in("null").c_str(), S_IFCHR | 0600, 0x103); }), EACCES);
}

TEST_F(Landlock, GrantsASingleFile) {
  ASSERT_GE(::close(::open(in("x").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
  const std::vector<Rule> rules = {{in("x"), Grant::kRead | Grant::kWrite}};
  EXPECT_EQ(errno_under(rules, [this] { return ::open(in("x").c_str(), O_RDWR); }), 0);
  EXPECT_EQ(errno_under(rules, [this] { return ::open(in("y").c_str(), O_RDWR | O_CREAT, 0600); }), EACCES);
}

TEST_F(Landlock, ExecutesOnlyWhereThatIsGranted) {
  const auto run = [] {
    char* const argv[] = {const_cast<char*>("/bin/true"), nullptr};
    return ::execv("/bin/true", argv);
  };
  EXPECT_EQ(errno_under({{"/", Grant::kRead}}, run), EACCES);
  EXPECT_EQ(errno_under({{"/", Grant::kRead | Grant::kExecute}}, run), 0);
}

TEST_F(Landlock, NamesThePathThatIsMissing) {
  const std::vector<Rule> rules = {{in("none"), Grant::kRead}};
  const Status status = restrict_self(rules);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ENOENT);
  EXPECT_THAT(status.error().message(), ::testing::HasSubstr(in("none")));
}

TEST_F(Landlock, ReachesNoStrangersAbstractSocket) {
  if (*abi() < 6) GTEST_SKIP() << "needs Landlock ABI 6 (Linux 6.12)";
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t size = sizeof(sa_family_t);  // the kernel picks an abstract name
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  size = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto connects = [&] {
    return ::connect(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), reinterpret_cast<sockaddr*>(&address), size);
  };
  EXPECT_EQ(connects(), 0);
  EXPECT_EQ(errno_under({}, connects), EPERM);
}

}  // namespace
}  // namespace sandboxd::landlock
