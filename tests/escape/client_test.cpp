// Clients that are confined themselves get no more by a jail than they have (E69, E70), and none takes hold of a jail from
// outside (E27).
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fmt/core.h>

#include "base/broker_message.h"
#include "base/ids.h"
#include "base/socket.h"
#include "tests/escape/escape.h"

namespace sandboxd::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

// Reading is forbidden everywhere for this process, for good.
bool forbid_reading() {
  landlock_ruleset_attr attr{};
  attr.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
  const long ruleset = ::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
  return ruleset >= 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

// What the broker says to alice, who may not read `path`, and hands it over opened without a right: 100 + its refusal.
int hand_over_unread(const std::string& path, const std::string& broker) {
  const UniqueFd before(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!before) return 1;
  if (!forbid_reading()) return 2;
  const UniqueFd reading(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (reading || errno != EACCES) return 3;
  const UniqueFd unread(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!unread) return 4;
  const auto connection = connect_unix(broker, SOCK_SEQPACKET);
  if (!connection.ok()) return 5;
  BrokerMessage message;
  message.token.fill(42);
  message.fds = 1;
  const int fd = unread.get();
  if (!send_packet(connection->get(), {reinterpret_cast<const std::uint8_t*>(&message), sizeof message}, {&fd, 1}).ok())
    return 6;
  const auto answer = receive_packet(connection->get(), 1, 0);
  return answer.ok() && answer->bytes.size() == 1 ? 100 + answer->bytes[0] : 7;
}

TEST_F(Escape, E69_WhatLandlockForbidsAClientToReadItCantHandOver) {
  const std::string secret = make_workspace();
  EXPECT_EQ(as_user(kAlice, [&] { return hand_over_unread(secret, stack().runtime_dir() + "/broker.sock"); }),
            100 + static_cast<int>(BrokerRefusal::kNotAllowed));
}

// A client in a mount namespace of its own, where `before` was done by root, as a unit's manager does it.
Output in_own_namespace(const Stack& stack, const std::string& before, const std::string& run_arguments) {
  const std::string run_as_alice =
      fmt::format("exec setpriv --reuid={0} --regid={0} --clear-groups {1} --socket {2} run {3}", kAlice,
                  program_path("sandboxctl"), stack.socket(), run_arguments);
  return run({.argv = {"unshare", "-m", "--propagation", "private", "/bin/sh", "-c", before + " && " + run_as_alice}});
}

struct Hidden {
  explicit Hidden(const std::string& workspace) : top(workspace), secret(workspace + "/hidden/secret") {
    fs::create_directory(top + "/hidden");
    std::ofstream(secret) << "secret\n";
    if (::chown((top + "/hidden").c_str(), kAlice, kAlice) < 0) std::abort();
  }
  std::string top, secret;
};

TEST_F(Escape, E69_WhatAClientsMountNamespaceHidesStaysHidden) {
  const Hidden files(make_workspace());
  const std::string probe =
      fmt::format("--ro-bind {}:/probes --ro-bind {}:/work -- /probes/probe_files read /work/hidden/secret",
                  stack().probes(), files.top);
  const Output control = in_own_namespace(stack(), "true", "--mount-namespace " + probe);
  EXPECT_EQ(control.status, 0) << describe(control);
  const std::string hide = fmt::format("mount -t tmpfs none {}/hidden", files.top);
  const Output hidden = in_own_namespace(stack(), hide, "--mount-namespace " + probe);
  EXPECT_THAT(hidden.out, Not(HasSubstr("through"))) << describe(hidden);
  EXPECT_NE(hidden.status, 0);
  // Without its namespace its mounts can't be had at all.
  const Output without = in_own_namespace(stack(), hide, probe);
  EXPECT_EQ(without.status, 125) << describe(without);
  EXPECT_THAT(without.out, Not(HasSubstr("through")));
}

TEST_F(Escape, E69_WhatAClientsMountNamespaceProtectsStaysReadOnly) {
  const Hidden files(make_workspace());
  const std::string probe =
      fmt::format("--mount-namespace --ro-bind {}:/probes --bind {}:/work -- /probes/probe_mounts write /work/hidden",
                  stack().probes(), files.top);
  const Output control = in_own_namespace(stack(), "true", probe);
  EXPECT_EQ(control.status, 0) << describe(control);
  const Output inside = in_own_namespace(
      stack(), fmt::format("mount --bind {0}/hidden {0}/hidden && mount -o remount,bind,ro {0}/hidden", files.top),
      probe);
  EXPECT_EQ(inside.status, 1) << describe(inside);
}

// A container's root is uid 0 of the host when it has no user namespace: with the public sockets it gets nothing of root's.
TEST_F(Escape, E69_AContainersRootHandsNoFileOverInPublic) {
  const std::string sockets = stack().dir().make("sockets", 0);
  for (const char* name : {"sandboxd.sock", "broker.sock"})
    fs::create_symlink(stack().runtime_dir() + "/" + name, sockets + "/" + name);
  const auto root_run = [&](const std::string& socket) {
    return run({.argv = {program_path("sandboxctl"), "--socket", socket, "run", "--ro-bind",
                         stack().probes() + ":/probes", "--", "/probes/probe_abi", "fallbacks"}});
  };
  EXPECT_EQ(root_run(stack().socket()).status, 0) << "root by the admin's sockets";
  const Output refused = root_run(sockets + "/sandboxd.sock");
  EXPECT_EQ(refused.status, 125) << describe(refused);
  EXPECT_EQ(refused.out, "");
}

// uid 0 of a user namespace is whoever made it.
TEST_F(Escape, E69_TheRootOfAUserNamespaceIsItsMaker) {
  const std::string secret = stack().dir().write("root-only", "secret\n", 0, 0600);
  const Output namespaced =
      run({.argv = {"unshare", "-r", program_path("sandboxctl"), "--socket", stack().socket(), "run", "--", "id", "-u"},
           .uid = kAlice});
  if (namespaced.err.find("unshare") != std::string::npos)
    GTEST_SKIP() << "this host gives users no namespaces: " << namespaced.err;
  EXPECT_EQ(namespaced.out, "4242\n") << describe(namespaced);
  const Output file = run({.argv = {"unshare", "-r", program_path("sandboxctl"), "--socket", stack().socket(), "run",
                                    "--ro-bind", secret + ":/secret", "--", "cat", "/secret"},
                           .uid = kAlice});
  EXPECT_NE(file.status, 0);
  EXPECT_EQ(file.out, "");
}

// The calls of each process, in order, of a strace -f.
std::map<std::string, std::vector<std::string>> calls_by_process(const std::string& path) {
  std::map<std::string, std::vector<std::string>> calls;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string pid, call;
    words >> pid;
    std::getline(words >> std::ws, call);
    const std::size_t end = call.find('(');
    if (end != std::string::npos && call[0] != '<' && call[0] != '+' && call[0] != '-')
      calls[pid].push_back(call.substr(0, end));
  }
  return calls;
}

// A run whose launch is written down by strace; nothing where strace can't attach.
std::optional<Output> run_traced(const Stack& stack, const std::string& log, const std::string& arguments) {
  const pid_t launcher = stack.program("sandboxd-launcher");
  Command strace({.argv = {"strace", "-f", "-o", log, "-p", std::to_string(launcher)}});
  const auto attached = [&] { return status_line(launcher, "TracerPid") == std::to_string(strace.pid()); };
  if (!eventually(attached)) return std::nullopt;
  Output output = in_own_namespace(stack, "true", arguments);
  strace.signal(SIGINT);
  static_cast<void>(strace.finish());
  return output;
}

TEST_F(Escape, E70_TheChildThatEntersAClientsNamespaceMakesFourKindsOfCall) {
  if (!fs::exists("/usr/bin/strace")) GTEST_SKIP() << "needs strace";
  const Hidden files(make_workspace());
  const std::string log = stack().dir().path() + "/strace";
  const std::string arguments = fmt::format("--mount-namespace --ro-bind {}:/work -- /bin/true", files.top);
  // Traced, on a busy machine in an emulated processor, a launch can take longer than the launcher lets it.
  Output output;
  for (int tries = 0; tries < 3 && output.status != 0; ++tries) {
    auto traced = run_traced(stack(), log, arguments);
    if (!traced) GTEST_SKIP() << "strace can't attach here";
    output = std::move(*traced);
  }
  EXPECT_EQ(output.status, 0) << describe(output);
  const std::set<std::string> allowed = {"setns", "open_tree", "sendmsg", "exit", "exit_group"};
  int entered = 0;
  for (const auto& [pid, calls] : calls_by_process(log)) {
    const auto filter = std::ranges::find_if(calls, [](const std::string& call) { return call == "seccomp"; });
    if (filter == calls.end() || std::ranges::find(filter, calls.end(), "setns") == calls.end()) continue;
    ++entered;
    for (auto call = filter + 1; call != calls.end(); ++call) EXPECT_TRUE(allowed.contains(*call)) << *call;
  }
  EXPECT_EQ(entered, 1);
}

// How often each kind of process was there to be tried, by its id within a jail's share ("" for the host's uid 0).
std::map<std::string, long> seen_by(const Output& attacker) {
  std::map<std::string, long> seen;
  std::istringstream lines(attacker.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word, name;
    std::uint32_t uid = 0;
    long count = 0;
    if (!(words >> word >> name >> uid >> count) || word != "seen") continue;
    seen[uid == 0 ? "host root" : uid % kIdsPerJail == kInitOffset ? "jail-init" : "job"] += count;
  }
  return seen;
}

// CVE-2026-41163: a helper that its caller could trace while it set the jail up. The same uid outside tries every process below the
// launcher, without pause, while jails start.
TEST_F(Escape, E27_ACallerTakesHoldOfNoProcessOfAJailInItsSetUp) {
  const std::string workspace = make_workspace();
  const Output control = on_host(kAlice, {"probe_trace", "child"});
  CommandSpec spec;
  spec.argv = {stack().probes() + "/probe_trace", "family", std::to_string(stack().program("sandboxd-launcher"))};
  spec.uid = kAlice;
  Command attacker(spec);
  ASSERT_TRUE(attacker.await_output("ready"));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(jailed({"probe_ipc", "connect", "@nobody"}, workspace).status, 1) << i;
  attacker.signal(SIGTERM);
  const Output tried = attacker.finish();
  expect_refused(tried, control, {"ptrace-attach", "ptrace-seize", "process_vm_readv", "mem", "pidfd_getfd"});
  std::map<std::string, long> seen = seen_by(tried);
  for (const auto& [kind, count] : seen) fmt::print("tried {} {} times\n", kind, count);
  EXPECT_GT(seen["host root"], 100) << tried.out;  // launch children, and their clones before they have ids
  EXPECT_GT(seen["jail-init"], 100) << tried.out;
  EXPECT_GT(seen["job"], 10) << tried.out;
}

}  // namespace
}  // namespace sandboxd::test
