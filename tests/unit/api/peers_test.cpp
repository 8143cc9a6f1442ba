// Who is at the other end: clients with other ids, which only root can make.
#include <grp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ids.h"
#include "base/socket.h"
#include "fixture.h"

namespace sandboxd::test {
namespace {

using namespace std::string_view_literals;

struct Ids {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

class Peers : public ServerTest {
 protected:
  Peers() : ServerTest({.connections = 2}) {}
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be others";
  }

  // A child with these ids connects and asks for the version: how many bytes of an answer it got, less than 0 for an error.
  int answered(const Ids& ids) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(ask_as(ids, path("public")));
    int status = -1;
    EXPECT_TRUE(loop.until([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  static int ask_as(const Ids& ids, const std::string& socket_path) {
    if (::setgroups(ids.groups.size(), ids.groups.data()) < 0 || ::setresgid(ids.gid, ids.gid, ids.gid) < 0 ||
        ::setresuid(ids.uid, ids.uid, ids.uid) < 0) {
      return 101;
    }
    const auto socket = connect_unix(socket_path, SOCK_STREAM);
    if (!socket) return 102;
    constexpr auto kCall = "{\"method\":\"org.sandboxd.Version\"}\0"sv;
    (void)::send(socket->get(), kCall.data(), kCall.size(), MSG_NOSIGNAL);
    if (!wait_readable(socket->get(), 0).ok()) return 103;
    char buffer[100];
    const ssize_t got = ::recv(socket->get(), buffer, sizeof buffer, 0);
    return got > 0 ? static_cast<int>(got) : 0;
  }
};

TEST_F(Peers, OrdinaryUsersAreAnswered) {
  EXPECT_GT(answered({12345, 12345, {}}), 0);
  EXPECT_GT(answered({12345, 12345, {4, 27}}), 0);
}

TEST_F(Peers, IdsOfThePoolAreRefused) {
  EXPECT_EQ(answered({kPoolFirst, 12345, {}}), 0);
  EXPECT_EQ(answered({kPoolLast, 12345, {}}), 0);
  EXPECT_EQ(answered({12345, kPoolFirst + 7, {}}), 0);
  EXPECT_EQ(answered({12345, 12345, {4, kPoolFirst + 7}}), 0);
  EXPECT_EQ(warnings.size(), 4U);
  EXPECT_GT(answered({kPoolFirst - 1, 12345, {}}), 0);
  EXPECT_GT(answered({kPoolLast + 1, 12345, {}}), 0);
}

TEST_F(Peers, OneUsersBoundIsNotAnothers) {
  Client first = connect();
  Client second = connect();
  Client third = connect();
  EXPECT_EQ(third.reply()["error"], "org.sandboxd.LimitReached");
  EXPECT_GT(answered({12345, 12345, {}}), 0);
}

}  // namespace
}  // namespace sandboxd::test
