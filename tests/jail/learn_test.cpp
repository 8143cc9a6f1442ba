// The recorder under a profile that learns, with a real daemon and real jails: what it must refuse all the same, and what waits for
// it when it dies or stands still. What is learned is tested by cli/learn_test.py.
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <set>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "tests/escape/escape.h"

namespace sandboxd::test {
namespace {

using ::testing::HasSubstr;

class Learn : public Escape {
 protected:
  static CommandSpec admin_spec(const std::vector<std::string>& arguments) {
    CommandSpec spec;
    spec.argv = {program_path("sandboxctl"), "--socket", stack().runtime_dir() + "/admin.sock"};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    return spec;
  }
  static Output admin(const std::vector<std::string>& arguments) { return run(admin_spec(arguments)); }
};

// The one jail's PID 1 and the first of its children that has the same id, of what there is in the daemon's cgroups.
struct InitAndRecorder {
  pid_t init = 0, recorder = 0;
};

int inner_pid(pid_t pid) {
  const std::string line = status_line(pid, "NSpid");
  const std::size_t at = line.find_last_of(" \t");
  return std::atoi(line.c_str() + (at == std::string::npos ? 0 : at + 1));
}

InitAndRecorder find_recorder(std::uint32_t slice) {
  InitAndRecorder found;
  for (const std::string& cgroup : jail_cgroups(slice)) {
    const Result<std::string> text = read_file(AT_FDCWD, slice_cgroup(slice) + "/" + cgroup + "/cgroup.procs");
    std::set<std::pair<int, pid_t>> inits;
    for (const char* at = text.ok() ? text->c_str() : ""; *at != '\0';) {
      char* end = nullptr;
      const auto pid = static_cast<pid_t>(std::strtol(at, &end, 10));
      if (command_name(pid) == "jail-init") inits.emplace(inner_pid(pid), pid);
      at = *end == '\n' ? end + 1 : end;
    }
    if (inits.size() < 2) continue;
    found = {inits.begin()->second, std::next(inits.begin())->second};
  }
  return found;
}

// The number of the call that a process waits in; -1: none, or it is not to be had.
long call_of(pid_t pid) {
  const Result<std::string> text = read_file(AT_FDCWD, fmt::format("/proc/{}/syscall", pid));
  if (!text.ok() || text->empty() || text->front() < '0' || text->front() > '9') return -1;
  return std::atol(text->c_str());
}

bool waits_to_be_answered(pid_t init) {
  const long call = call_of(init);
  return call >= 0 && call != SYS_ppoll;
}

// What waits for a dead recorder gets ENOSYS: jail-init bears that, and a sanitizer's run-time in it does not, as where it maps memory.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kBearsRefusal = false;
#else
constexpr bool kBearsRefusal = true;
#endif

TEST_F(Learn, ARecorderThatDiesTakesTheJailWithIt) {
  Command command(admin_spec({"run", "--profile", "learn", "--", "sh", "-c", "echo up; while :; do id; done"}));
  ASSERT_TRUE(command.await_output("up"));
  const InitAndRecorder jail = find_recorder(stack().slice());
  ASSERT_GT(jail.recorder, 0);
  ASSERT_EQ(::kill(jail.recorder, SIGKILL), 0);
  const Output output = command.finish();
  EXPECT_GT(output.status, 0) << describe(output);
  EXPECT_TRUE(eventually([] { return jail_cgroups(stack().slice()).empty(); }, scaled_ms(20'000)));
}

// jail-init makes a job by calls that it has to wait for as well.
TEST_F(Learn, PidOneDoesNotWaitForADeadRecorder) {
  if (!kBearsRefusal) GTEST_SKIP() << "a sanitizer's run-time is in jail-init";
  ASSERT_EQ(admin({"create", "--profile", "learn", "--name", "waits"}).status, 0);
  const InitAndRecorder jail = find_recorder(stack().slice());
  ASSERT_GT(jail.recorder, 0);
  ASSERT_EQ(::kill(jail.recorder, SIGSTOP), 0);
  Command command(admin_spec({"exec", "waits", "--", "true"}));
  ASSERT_TRUE(eventually([&] { return waits_to_be_answered(jail.init); }, scaled_ms(20'000)));
  ASSERT_EQ(::kill(jail.recorder, SIGKILL), 0);
  const Output output = command.finish();
  EXPECT_GT(output.status, 0) << describe(output);
  EXPECT_TRUE(eventually([] { return jail_cgroups(stack().slice()).empty(); }, scaled_ms(20'000)));
  (void)admin({"rm", "-f", "waits"});
}

TEST_F(Learn, AJailWhoseRecorderStandsStillCanBeEnded) {
  ASSERT_EQ(admin({"create", "--profile", "learn", "--name", "still"}).status, 0);
  const InitAndRecorder jail = find_recorder(stack().slice());
  ASSERT_GT(jail.recorder, 0);
  ASSERT_EQ(::kill(jail.recorder, SIGSTOP), 0);
  Command command(admin_spec({"exec", "still", "--", "true"}));
  ASSERT_TRUE(eventually([&] { return waits_to_be_answered(jail.init); }, scaled_ms(20'000)));
  const Output removed = admin({"rm", "-f", "still"});
  EXPECT_EQ(removed.status, 0) << describe(removed);
  EXPECT_GT(command.finish().status, 0);
  EXPECT_TRUE(eventually([] { return jail_cgroups(stack().slice()).empty(); }, scaled_ms(20'000)));
}

// A descriptor that it does not need is one more thing of jail-init's that a path could lead to.
TEST_F(Learn, TheRecorderHasTheListenerToItself) {
  ASSERT_EQ(admin({"create", "--profile", "learn", "--name", "held"}).status, 0);
  const InitAndRecorder jail = find_recorder(stack().slice());
  ASSERT_GT(jail.recorder, 0);
  const auto listeners = [](pid_t pid) {
    std::size_t count = 0;
    for (int fd = 0; fd < 64; ++fd) {
      char target[64] = {};
      const std::string path = fmt::format("/proc/{}/fd/{}", pid, fd);
      if (::readlink(path.c_str(), &target[0], sizeof target - 1) > 0 &&
          std::string(&target[0]).find("seccomp") != std::string::npos)
        ++count;
    }
    return count;
  };
  EXPECT_EQ(listeners(jail.recorder), 1U);
  EXPECT_EQ(listeners(jail.init), 0U);
  EXPECT_EQ(open_descriptors(jail.recorder), 5U);  // /dev/null three times, the control socket, the listener
  EXPECT_EQ(admin({"rm", "-f", "held"}).status, 0);
}

TEST_F(Learn, IsTheAdministratorsAlone) {
  const Output ran = stack().ctl(kAlice, {"run", "--profile", "learn", "--", "true"});
  EXPECT_EQ(ran.status, 125);
  EXPECT_THAT(ran.err, HasSubstr("denied by rule 'learn'"));
}

// As in any jail: what Landlock, the mounts and the filter of default refuse stays refused, and the recorder can't be reached.
TEST_F(Learn, AHostileCommandGetsNothingMore) {
  static constexpr const char* kScript = R"(unshare -U true
mount -t tmpfs x /mnt
cat /proc/1/maps /proc/2/maps /proc/2/environ
ls /proc/2/fd
kill -9 2
ls -l /proc/2/cwd
head -c 1 /proc/2/mem
echo ended)";
  const Output output = admin({"run", "--profile", "learn", "--", "sh", "-c", kScript});
  EXPECT_EQ(output.out, "ended\n") << describe(output);
  for (const char* refused :
       {"unshare failed", "/proc/1/maps", "/proc/2/maps", "/proc/2/environ", "/proc/2/fd", "/proc/2/mem"})
    EXPECT_THAT(output.err, HasSubstr(refused));
}

}  // namespace
}  // namespace sandboxd::test
