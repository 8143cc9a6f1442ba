// What a user sees of `sandboxctl run` and its neighbours, in real jails.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>

#include <fcntl.h>
#include <mqueue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/ids.h"
#include "tests/escape/escape.h"

namespace sandboxd::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The same fixture under the name of what is tested here.
class Run : public Escape {
 protected:
  static Output jail(std::vector<std::string> options, const std::vector<std::string>& command, std::string input = "",
                     std::string directory = "/") {
    options.insert(options.begin(), "run");
    options.emplace_back("--");
    options.insert(options.end(), command.begin(), command.end());
    return stack().ctl(kAlice, std::move(options), std::move(input), std::move(directory));
  }
  static Output shell(std::vector<std::string> options, const std::string& script, std::string directory = "/") {
    return jail(std::move(options), {"/bin/sh", "-c", script}, "", std::move(directory));
  }
  static std::vector<pid_t> jail_processes() {
    return processes_of_ids(stack().slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail);
  }
  // A jail that stays until it is killed, and has said so.
  static Command staying(const std::string& name, uid_t uid = kAlice) {
    Command command(stack().ctl_spec(uid, {"run", "--name", name, "--", "/bin/sh", "-c", "echo up; exec sleep 1000"}));
    EXPECT_TRUE(command.await_output("up"));
    return command;
  }
};

struct Status {
  const char* script;
  int status;
};

TEST_F(Run, ExitStatusesAreAShells) {
  for (const Status& row : {Status{"exit 0", 0}, Status{"exit 3", 3}, Status{"exit 255", 255},
                            Status{"kill -9 $$", 137}, Status{"kill -TERM $$", 143}}) {
    EXPECT_EQ(shell({}, row.script).status, row.status) << row.script;
  }
  EXPECT_EQ(jail({}, {"/nonexistent"}).status, 127);
  EXPECT_EQ(jail({}, {"no-such-program-anywhere"}).status, 127);
  EXPECT_EQ(jail({}, {"/etc/passwd"}).status, 126);
  EXPECT_EQ(jail({}, {"/usr"}).status, 126);
  EXPECT_EQ(jail({"--profile=no-such-profile"}, {"/bin/true"}).status, 125);
  EXPECT_EQ(jail({"--no-such-option"}, {"/bin/true"}).status, 125);
}

TEST_F(Run, TheWallClockEndsAJobWith124) {
  const std::uint64_t before = monotonic_usec();
  const Output output = jail({"--timeout", "500ms"}, {"sleep", "1000"});
  EXPECT_EQ(output.status, 124) << describe(output);
  EXPECT_GE(monotonic_usec() - before, 500'000U);
  EXPECT_EQ(jail({"--timeout", "1h"}, {"/bin/true"}).status, 0);
}

std::string random_bytes(std::size_t size) {
  std::mt19937_64 source(size);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(source());
  return bytes;
}

TEST_F(Run, EightMebibytesGoThroughBothWaysUnchanged) {
  const std::string bytes = random_bytes(8U << 20);
  for (const char* stdio : {"pass", "inherit"}) {
    const Output output = jail({std::string("--stdio=") + stdio}, {"cat"}, bytes);
    EXPECT_EQ(output.status, 0) << stdio << output.err;
    EXPECT_TRUE(output.out == bytes) << stdio << ": " << output.out.size() << " bytes";
  }
}

TEST_F(Run, EightMebibytesOfOutputAreRelayedUnchanged) {
  const std::string workspace = make_workspace();
  const std::string bytes = random_bytes(8U << 20);
  std::ofstream(workspace + "/bytes", std::ios::binary) << bytes;
  const Output output = jail({"--stdio=relay", "--workspace-dir", workspace}, {"cat", workspace + "/bytes"});
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_TRUE(output.out == bytes) << output.out.size() << " bytes";
}

TEST_F(Run, OutputAndErrorsStayApartAndNullIsNothing) {
  for (const char* stdio : {"pass", "inherit", "relay"}) {
    const Output output = shell({std::string("--stdio=") + stdio}, "echo out; echo err >&2");
    EXPECT_EQ(output.out, "out\n") << stdio;
    EXPECT_EQ(output.err, "err\n") << stdio;
  }
  const Output null = shell({"--stdio=null"}, "cat; echo out; echo err >&2");
  EXPECT_EQ(null.status, 0);
  EXPECT_EQ(null.out + null.err, "");
}

TEST_F(Run, TheEnvironmentIsTheProfilesAndWhatWasAsked) {
  CommandSpec spec = stack().ctl_spec(kAlice, {"run", "--env", "ASKED=yes", "--env", "COPIED", "--", "env"});
  spec.env = {{"SECRET", "leak"}, {"COPIED", "from-outside"}, {"LD_PRELOAD", ""}};
  const Output output = run(std::move(spec));
  EXPECT_THAT(output.out, AllOf(HasSubstr("ASKED=yes\n"), HasSubstr("COPIED=from-outside\n"), HasSubstr("PATH="),
                                HasSubstr("HOME=")))
      << describe(output);
  EXPECT_THAT(output.out, AllOf(Not(HasSubstr("SECRET")), Not(HasSubstr("LD_PRELOAD")), Not(HasSubstr("SANDBOXD"))));
}

TEST_F(Run, TheJobIsTheCallerOrRootInName) {
  EXPECT_EQ(shell({}, "id -u; id -g; id -G").out, "4242\n4242\n4242\n");
  EXPECT_EQ(shell({"--user=root"}, "id -u; id -g; id -un").out, "0\n0\nroot\n");
  EXPECT_NE(shell({"--user=root"}, "mount -t tmpfs none /tmp").status, 0);
}

TEST_F(Run, WhatIsMadeInAnRwWorkspaceIsTheCallers) {
  const std::string workspace = make_workspace();
  for (const char* user : {"--user=self", "--user=root"}) {
    const std::string name = std::string("made-by") + user;
    const Output output = shell({"--workspace=rw", user}, "echo text >" + name + "; mkdir dir" + name, workspace);
    EXPECT_EQ(output.status, 0) << describe(output);
    struct stat info {};
    ASSERT_EQ(::stat((workspace + "/" + name).c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, kAlice);
    EXPECT_EQ(info.st_gid, kAlice);
  }
}

TEST_F(Run, AReadOnlyWorkspaceIsReadAndNotWritten) {
  const std::string workspace = make_workspace();
  std::ofstream(workspace + "/file") << "text\n";
  const Output output = shell({"--workspace"}, "pwd; cat file; echo x >file; echo x >new; rm -f file", workspace);
  EXPECT_EQ(output.out, workspace + "\ntext\n") << describe(output);
  EXPECT_TRUE(fs::exists(workspace + "/file"));
  EXPECT_FALSE(fs::exists(workspace + "/new"));
  EXPECT_EQ(shell({"--workspace-dir", workspace, "--at", "/elsewhere"}, "pwd; cat /elsewhere/file").out,
            "/elsewhere\ntext\n");
}

TEST_F(Run, BindsAreWhatTheySay) {
  const std::string a = make_workspace();
  const std::string b = make_workspace();
  std::ofstream(a + "/file") << "a\n";
  const Output output = shell({"--ro-bind", a + ":/a", "--bind", b + ":/b", "--ro-bind", a + "/file:/single"},
                              "cat /a/file /single; echo x >/b/new && echo x >/a/new");
  EXPECT_EQ(output.out, "a\na\n") << describe(output);
  EXPECT_NE(output.status, 0);
  EXPECT_TRUE(fs::exists(b + "/new"));
  EXPECT_FALSE(fs::exists(a + "/new"));
  const std::string closed = stack().dir().make("closed", 0, 0700);
  EXPECT_EQ(jail({"--ro-bind", closed + ":/c"}, {"/bin/true"}).status, 125) << "alice can't open it";
}

TEST_F(Run, TheWholeHostViewHidesHomesAndRunTimeFiles) {
  const Output output = shell(
      {"--root=host"}, "cat /etc/os-release >/dev/null && ls -A /run /tmp /home /root 2>/dev/null; echo x >/etc/x");
  EXPECT_NE(output.status, 0);
  EXPECT_THAT(output.out, Not(HasSubstr("sandboxd-test"))) << describe(output);
  EXPECT_EQ(shell({"--root=host"}, "cat /etc/os-release >/dev/null").status, 0);
}

TEST_F(Run, PlacesAndNamesAreAsAsked) {
  const Output output = shell({"--tmpfs", "/scratch:1M", "--dir", "/made", "--hostname", "box"},
                              "hostname; test -d /made && echo made; echo x >/scratch/x && cat /scratch/x");
  EXPECT_EQ(output.out, "box\nmade\nx\n") << describe(output);
  EXPECT_NE(shell({"--tmpfs", "/scratch:1M"}, "head -c 2M /dev/zero >/scratch/x").status, 0);
  EXPECT_EQ(shell({}, "echo x >/tmp/x && echo x >/var/tmp/x && cat /tmp/x /var/tmp/x").out, "x\nx\n");
}

TEST_F(Run, WithoutNetworkThereIsNothingButLo) {
  const Output output =
      shell({}, "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /proc/net/route | tail -n +2");
  EXPECT_EQ(output.out, "lo\n") << describe(output);
  EXPECT_EQ(jail({"--network=host"}, {"/bin/true"}).status, 125) << "the profile has no network";
}

TEST_F(Run, StrictComputesAndNothingElse) {
  const std::string workspace = make_workspace();
  std::ofstream(workspace + "/file") << "text\n";
  const auto strict = [&](const std::string& script) {
    return shell({"--profile=strict", "--workspace-dir", workspace}, script);
  };
  EXPECT_EQ(strict("cat file; echo $((6 * 7))").out, "text\n42\n");
  EXPECT_NE(strict("echo x >new").status, 0);
  EXPECT_EQ(shell({"--profile=strict", "--workspace=rw", "--workspace-dir", workspace}, "true").status, 125);
  EXPECT_EQ(shell({"--profile=strict", "--timeout=2min"}, "true").status, 125);
  EXPECT_EQ(shell({"--profile=strict", "--root=host"}, "true").status, 125);
  EXPECT_NE(shell({"--profile=strict"}, "cat /proc/meminfo").status, 0);
}

TEST_F(Run, AJailIsListedInspectedKilledAndForgotten) {
  Command command = staying("one");
  EXPECT_THAT(stack().ctl(kAlice, {"ps"}).out, HasSubstr("one"));
  const Output facts = stack().ctl(kAlice, {"inspect", "one", "--json"});
  EXPECT_EQ(facts.status, 0) << describe(facts);
  for (const char* text : {"seccomp", "no_new_privs", "cap_eff", "ns.net", "ns.user.owner", "running"})
    EXPECT_THAT(facts.out, HasSubstr(text));
  const auto hash_in = [](const std::string& text, std::string_view before) {
    const std::size_t at = text.find(before);
    return at == std::string::npos ? std::string("none") : text.substr(at + before.size(), 64);
  };
  const Output profile = stack().ctl(kAlice, {"profile", "show", "default"});
  EXPECT_EQ(hash_in(stack().ctl(kAlice, {"inspect", "one"}).out, "profile hash\t"),
            hash_in(profile.out, "\"hash\": \""));
  EXPECT_EQ(stack().ctl(kAlice, {"rm", "one"}).status, 125) << "it runs";
  EXPECT_EQ(stack().ctl(kAlice, {"kill", "one"}).status, 0);
  EXPECT_EQ(command.finish().status, 128 + SIGTERM);
  EXPECT_EQ(stack().ctl(kAlice, {"wait", "one"}).status, 128 + SIGTERM);
  const Output events = stack().ctl(kAlice, {"events"});
  EXPECT_THAT(events.out, AllOf(HasSubstr("started"), HasSubstr("exited"))) << describe(events);
  EXPECT_EQ(stack().ctl(kAlice, {"rm", "one"}).status, 0);
  EXPECT_EQ(stack().ctl(kAlice, {"inspect", "one"}).status, 125);
}

TEST_F(Run, OthersDoNotSeeOrReachAJail) {
  Command command = staying("private");
  EXPECT_THAT(stack().ctl(kBob, {"ps"}).out, Not(HasSubstr("private")));
  for (const char* verb : {"inspect", "kill", "wait", "rm"})
    EXPECT_EQ(stack().ctl(kBob, {verb, "private"}).status, 125) << verb;
  EXPECT_THAT(stack().ctl(kBob, {"events"}).out, Not(HasSubstr("private")));
  EXPECT_THAT(stack().ctl(0, {"ps"}).out, HasSubstr("private"));
  EXPECT_EQ(stack().ctl(kAlice, {"kill", "private", "--signal=KILL"}).status, 0);
  EXPECT_EQ(command.finish().status, 128 + SIGKILL);
}

TEST_F(Run, AnAttachedRunEndsWithItsClient) {
  Command command = staying("attached");
  ASSERT_FALSE(jail_processes().empty());
  command.signal(SIGKILL);
  EXPECT_TRUE(eventually([] { return jail_processes().empty(); }));
}

// Landlock asks about each file of theirs, and the owner of their directory needs an id in the jail.
TEST_F(Run, MessageQueuesAreTheJailsOwn) {
  const std::vector<std::string> command = {"probe_ipc", "queue", "/sandboxd-test-queue"};
  for (int i = 0; i < 2; ++i) {
    const Output inside = jailed(command);
    const Tries tries = parse_probe(inside);
    for (const char* name : {"open", "send", "receive"}) {
      ASSERT_TRUE(tries.contains(name)) << describe(inside);
      EXPECT_TRUE(tries.at(name).through) << describe(inside);
    }
  }
  EXPECT_EQ(shell({}, "touch /dev/mqueue/a && ls /dev/mqueue").out, "a\n");
  EXPECT_EQ(on_host(kAlice, {"probe_ipc", "queue", "/sandboxd-test-queue"}).status, 0) << "the jails' is the host's";
  ::mq_unlink("/sandboxd-test-queue");
}

TEST_F(Run, JobsGetSigtermAndTwoSecondsBeforeTheDaemonEnds) {
  Stack own;
  ASSERT_EQ(own.failure(), "");
  const std::string workspace = own.dir().make("workspace", kAlice);
  const auto start = [&](const std::string& script) {
    return Command(own.ctl_spec(kAlice, {"run", "--workspace=rw", "--workspace-dir", workspace, "--", "/bin/sh", "-c",
                                         script + "; echo up; " + "while :; do sleep 0.1; done"}));
  };
  Command polite = start("trap 'echo saved >kept; exit 7' TERM");
  Command deaf = start("trap '' TERM");
  ASSERT_TRUE(polite.await_output("up") && deaf.await_output("up"));
  const std::uint64_t before = monotonic_usec();
  EXPECT_TRUE(own.end());
  EXPECT_GE(monotonic_usec() - before, 2'000'000U);
  EXPECT_EQ(polite.finish().status, 7);
  EXPECT_EQ(deaf.finish().status, 128 + SIGKILL);
  EXPECT_TRUE(fs::exists(workspace + "/kept"));
  EXPECT_EQ(own.left_over(), "");
}

// The kernel writes no inode with an id that the mount doesn't map (idmapped mounts), and of groups only the caller's first is.
TEST_F(Run, WhatIsOfAnotherGroupIsReadAndNotWritten) {
  const std::string workspace = make_workspace();
  for (const auto& [name, group] : {std::pair{"own", kAlice}, {"shared", kBob}}) {
    const std::string directory = workspace + "/" + name;
    ASSERT_EQ(::mkdir(directory.c_str(), 0775), 0);
    ASSERT_EQ(::chown(directory.c_str(), kAlice, group), 0);
  }
  const Output output = shell({"--workspace=rw"}, "ls shared && touch own/x && ! touch shared/x", workspace);
  EXPECT_EQ(output.status, 0) << describe(output);
  EXPECT_THAT(output.err, HasSubstr("shared/x"));
}

TEST_F(Run, FiftyJailsRunAtTheSameTime) {
  std::vector<Command> commands;
  for (int i = 0; i < 50; ++i) {
    commands.emplace_back(
        stack().ctl_spec(kAlice, {"run", "--", "/bin/sh", "-c", fmt::format("echo {}; exec sleep 1000", i)}));
  }
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (commands[i].await_output(std::to_string(i))) continue;
    commands[i].signal(SIGTERM);
    ADD_FAILURE() << i << ": " << describe(commands[i].finish());
  }
  EXPECT_EQ(jail_cgroups(stack().slice()).size(), 50U);
  for (Command& command : commands) command.signal(SIGKILL);
  EXPECT_TRUE(eventually([] { return jail_cgroups(stack().slice()).empty(); }));
}

struct Language {
  const char* program;
  const char* script;  // in a workspace
  const char* out;
};

TEST_F(Run, LanguagesWork) {
  const std::string workspace = make_workspace();
  for (const Language& row :
       {Language{"/usr/bin/bash", "exec bash -c 'for i in 1 2; do (echo $i) | cat; done'", "1\n2\n"},
        Language{"/usr/bin/python3",
                 "exec /usr/bin/python3 -c 'import threading, subprocess; t = threading.Thread(target=lambda: "
                 "print(subprocess.check_output([\"echo\", \"hi\"]).decode(), end=\"\")); t.start(); t.join()'",
                 "hi\n"},
        Language{"/usr/bin/node", "exec node -e 'setTimeout(() => console.log(require(\"os\").cpus().length > 0), 1)'",
                 "true\n"},
        Language{"/usr/bin/gcc",
                 "echo 'int puts(const char*); int main() { puts(\"built\"); }' >a.c && gcc a.c -o a && ./a",
                 "built\n"},
        Language{"/usr/bin/perl", "exec perl -e 'print \"perl\\n\"'", "perl\n"}}) {
    if (!fs::exists(row.program)) {
      fmt::print("not here: {}\n", row.program);
      continue;
    }
    const Output output = shell({"--workspace=rw"}, row.script, workspace);
    EXPECT_EQ(output.status, 0) << row.program << describe(output);
    EXPECT_EQ(output.out, row.out) << row.program;
  }
}

TEST_F(Run, OurUnprivilegedProgramsHoldNoCapability) {
  for (const char* name : {"sandboxd", "sandboxd-broker", "sandboxd-audit"}) {
    const pid_t pid = stack().program(name);
    ASSERT_GT(pid, 0) << name;
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
      EXPECT_EQ(status_line(pid, set), "0000000000000000") << name << " " << set;
    EXPECT_EQ(status_line(pid, "NoNewPrivs"), "1") << name;
    EXPECT_EQ(status_line(pid, "Seccomp"), "2") << name;
    EXPECT_EQ(status_line(pid, "Groups"), "") << name;
  }
  EXPECT_EQ(status_line(stack().program("sandboxd-launcher"), "CapBnd"),
            status_line(stack().program("sandboxd-launcher"), "CapPrm"));
}

TEST_F(Run, AMountLeftWhereTheDaemonRunsIsSeenAndAnothersIsNot) {
  const std::string point = stack().dir().make("mount-point", 0);
  const std::vector<std::string> before = stack().mounts();
  const std::string daemon = std::to_string(stack().parent());
  const std::string mount = "mount -t tmpfs none " + point;
  EXPECT_EQ(run({.argv = {"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", mount}}).status, 0);
  EXPECT_EQ(stack().mounts(), before);
  EXPECT_EQ(run({.argv = {"nsenter", "--target", daemon, "--mount", "/bin/sh", "-c", mount}}).status, 0);
  EXPECT_EQ(stack().mounts().size(), before.size() + 1);
  EXPECT_EQ(run({.argv = {"nsenter", "--target", daemon, "--mount", "umount", point}}).status, 0);
  EXPECT_EQ(stack().mounts(), before);
}

TEST_F(Run, NothingIsLeftAfterAHundredRuns) {
  const std::string workspace = make_workspace();
  const auto once = [&] { return shell({"--workspace=rw"}, "echo x >file; sleep 1000 & exit 0", workspace).status; };
  EXPECT_EQ(once(), 0);
  const std::vector<std::string> programs = {"sandboxd", "sandboxd-launcher", "sandboxd-broker", "sandboxd-audit"};
  const auto descriptors = [&] {
    std::vector<std::size_t> counts;
    for (const std::string& name : programs) counts.push_back(open_descriptors(stack().program(name)));
    return counts;
  };
  const auto settled = [&] { return jail_processes().empty() && jail_cgroups(stack().slice()).empty(); };
  EXPECT_TRUE(eventually(settled));
  const std::vector<std::size_t> before = descriptors();
  const std::vector<std::string> mounts = stack().mounts();
  const std::size_t children = children_of(stack().program("sandboxd-launcher")).size();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(once(), 0) << i;
  EXPECT_TRUE(eventually(settled));
  EXPECT_EQ(stack().mounts(), mounts);
  // A few may be open for what is made ahead; a hundred leaks would be a hundred.
  EXPECT_TRUE(eventually([&] {
    const std::vector<std::size_t> after = descriptors();
    for (std::size_t i = 0; i < after.size(); ++i) {
      if (after[i] > before[i] + 8) return false;
    }
    return true;
  }));
  EXPECT_TRUE(eventually([&] { return children_of(stack().program("sandboxd-launcher")).size() <= children; }));
}

}  // namespace
}  // namespace sandboxd::test
