// E48: a launch is stopped before each of its steps, one of the programs is killed with SIGKILL, and the launch goes on. Then
// nothing may be left of it (no cgroup, no process, no mount), and the next run works. E27: nobody traces it meanwhile.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ids.h"
#include "tests/support/command.h"
#include "tests/support/probes.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

// The launch child's steps (daemon/launcher/launch.cpp), then those of the jail's first process (jail_setup.cpp).
constexpr std::array kSteps = {"launch:begin",   "launch:cgroup", "launch:network",
                               "launch:claim",   "launch:record", "launch:mounts",
                               "launch:prepare", "launch:clone",  "launch:maps",
                               "launch:ack",     "launch:acked",  "launch:go",
                               "launch:answer",  "maps",          "ids",
                               "root",           "root-fill",     "dev",
                               "proc",           "sys",           "tmpfs",
                               "dirs",           "ack",           "binds",
                               "read-only-root", "pivot",         "hostname",
                               "bounding-set",   "descriptors",   "ipc"};
// "itself": the process that has stopped.
constexpr std::array kVictims = {"itself", "sandboxd-launcher", "sandboxd", "sandboxd-broker", "sandboxd-audit"};

class AtStep : public testing::Test {
 protected:
  static std::string file(const Stack& stack, const char* name) { return stack.runtime_dir() + "/" + name; }

  static void arm(const Stack& stack, const char* step) {
    ::unlink(file(stack, "fault-go").c_str());
    ASSERT_EQ(::mkfifo(file(stack, "fault-go").c_str(), 0600), 0);
    std::ofstream(file(stack, "fault-hit"));
    std::ofstream(file(stack, "fault")) << step;
  }
  static std::string hit(const Stack& stack) {
    std::ifstream in(file(stack, "fault-hit"));
    std::string text;
    std::getline(in, text);
    return text;
  }
  static pid_t stopped_process(const Stack& stack, const std::string& step) {
    if (step.starts_with("launch:")) return static_cast<pid_t>(std::stol(hit(stack)));
    // The jail's first process knows itself as pid 1: its cgroup knows better. Before its exec it has the launcher's name; a jail that
    // was there before may not be gone yet.
    for (const std::string& cgroup : jail_cgroups(stack.slice())) {
      std::ifstream in(slice_cgroup(stack.slice()) + "/" + cgroup + "/cgroup.procs");
      for (pid_t pid = 0; in >> pid;) {
        if (command_name(pid) == "sandboxd-launch") return pid;
      }
    }
    return 0;
  }
  static void let_go(const Stack& stack) {
    const UniqueFd go(::open(file(stack, "fault-go").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    // The reader may be the one that was killed.
    if (go.valid()) {
      const ssize_t wrote = ::write(go.get(), "g", 1);
      EXPECT_TRUE(wrote == 1 || errno == EPIPE) << wrote;  // it may have died since the open
    }
  }
  // A run that stops at the step.
  static Command start_until(const Stack& stack, const std::string& workspace, const char* step) {
    arm(stack, step);
    Command command(stack.ctl_spec(kAlice, {"run", "--workspace=rw", "--workspace-dir", workspace, "--", "/bin/true"}));
    EXPECT_TRUE(eventually([&] { return !hit(stack).empty(); }, scaled_ms(20'000)))
        << "the launch never reached the step";
    EXPECT_EQ(::unlink(file(stack, "fault").c_str()), 0);
    return command;
  }
};

class LaunchFault : public AtStep, public testing::WithParamInterface<const char*> {
 protected:
  static void kill_at(const Stack& stack, const std::string& workspace, const char* step, const std::string& victim) {
    Command command = start_until(stack, workspace, step);
    ASSERT_FALSE(HasFailure());
    pid_t pid = 0;  // one that was killed at the step before may still be on its way
    const auto found = [&] {
      pid = victim == "itself" ? stopped_process(stack, step) : stack.program(victim);
      return pid > 1;
    };
    ASSERT_TRUE(eventually(found, scaled_ms(10'000)));
    ASSERT_EQ(::kill(pid, SIGKILL), 0);
    let_go(stack);
    const Output output = command.finish();
    EXPECT_NE(output.status, -1) << "the client was never answered";
    if (victim == "itself" || victim == "sandboxd") {
      EXPECT_NE(output.status, 0) << describe(output);
    }
  }
  static void expect_clean(const Stack& stack, const std::vector<std::string>& mounts) {
    const auto clean = [&] {
      return jail_cgroups(stack.slice()).empty() &&
             processes_of_ids(stack.slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail).empty();
    };
    EXPECT_TRUE(eventually(clean, scaled_ms(15'000))) << "jail cgroups: " << jail_cgroups(stack.slice()).size();
    static_cast<void>(eventually([&] { return stack.mounts() == mounts; }, scaled_ms(5'000)));
    EXPECT_EQ(stack.mounts(), mounts);
  }
  static void expect_works(const Stack& stack) {
    Output last;
    const auto works = [&] {
      last = stack.ctl(kAlice, {"run", "--", "/bin/true"});
      return last.status == 0;
    };
    EXPECT_TRUE(eventually(works, scaled_ms(20'000))) << describe(last);
  }
};

// A daemon for a few steps: one whose programs die often waits longer and longer before it starts them again.
constexpr std::size_t kStepsPerDaemon = 3;

TEST_P(LaunchFault, LeavesNothingBehindAtAnyStep) {
  for (std::size_t first = 0; first < kSteps.size() && !HasFailure(); first += kStepsPerDaemon) {
    const Stack stack;
    ASSERT_EQ(stack.failure(), "");
    const std::string workspace = stack.dir().make("workspace", kAlice);
    ASSERT_EQ(stack.ctl(kAlice, {"run", "--", "/bin/true"}).status, 0);
    const std::vector<std::string> mounts = stack.mounts();
    for (std::size_t i = first; i < std::min(first + kStepsPerDaemon, kSteps.size()) && !HasFailure(); ++i) {
      SCOPED_TRACE(std::string("killed at ") + kSteps[i] + ": " + GetParam());
      kill_at(stack, workspace, kSteps[i], GetParam());
      expect_clean(stack, mounts);
      expect_works(stack);
    }
    for (const char* name : {"fault", "fault-hit", "fault-go"}) ::unlink(file(stack, name).c_str());
  }
}

// CVE-2026-41163, at each step of the set-up by itself: its caller, outside, tries every process below the launcher while the jail
// stands still half made.
TEST_F(AtStep, E27_ItsCallerTakesHoldOfNoProcess) {
  const Stack stack;
  ASSERT_EQ(stack.failure(), "");
  const std::string workspace = stack.dir().make("workspace", kAlice);
  CommandSpec spec;
  spec.argv = {stack.probes() + "/probe_trace", "family", std::to_string(stack.program("sandboxd-launcher"))};
  spec.uid = kAlice;
  CommandSpec child = spec;
  child.argv = {spec.argv[0], "child"};
  const Output control = run(child);
  for (const char* step : kSteps) {
    SCOPED_TRACE(step);
    Command command = start_until(stack, workspace, step);
    ASSERT_FALSE(HasFailure());
    Command attacker(spec);
    EXPECT_TRUE(attacker.await_output("ready"));
    attacker.signal(SIGTERM);
    expect_refused(attacker.finish(), control,
                   {"ptrace-attach", "ptrace-seize", "process_vm_readv", "mem", "pidfd_getfd"});
    let_go(stack);
    EXPECT_EQ(command.finish().status, 0);
  }
  for (const char* name : {"fault", "fault-hit", "fault-go"}) ::unlink(file(stack, name).c_str());
}

INSTANTIATE_TEST_SUITE_P(E48, LaunchFault, testing::ValuesIn(kVictims), [](const auto& row) {
  std::string name = row.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace sandboxd::test
