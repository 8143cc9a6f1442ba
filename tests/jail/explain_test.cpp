// Refused calls that are told (--explain-denials), with a real daemon and real jails: what a program and its user hear, that the
// answers are those of the filter itself, and that a job can't keep it from others.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "tests/escape/escape.h"

namespace sandboxd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Explain : public Escape {
 protected:
  static Output run(std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), "run");
    options.insert(options.end(), {"--", "sh", "-c", script});
    return stack().ctl(kAlice, std::move(options));
  }
  static Output python(std::vector<std::string> options, const std::string& script) {
    options.insert(options.begin(), "run");
    options.insert(options.end(), {"--", "/usr/bin/python3", "-c", script});
    return stack().ctl(kAlice, std::move(options));
  }
  // The guest's Python is Debian's smallest, which has no ctypes.
  static bool has_ctypes() {
    CommandSpec spec;
    spec.argv = {"/usr/bin/python3", "-c", "import ctypes"};
    return test::run(std::move(spec)).status == 0;
  }
  static Json why(const std::string& jail) {
    const Output output = stack().ctl(kAlice, {"--json", "why", jail});
    EXPECT_EQ(output.status, 0) << describe(output);
    return Json::parse(output.out, nullptr, false);
  }
  static Json denial_of(const Json& all, const std::string& what) {
    for (const Json& one : all["denials"]) {
      if (one["what"] == what) return one;
    }
    ADD_FAILURE() << "no " << what << " in " << all;
    return Json::object();
  }
  static void remove(const std::string& jail) { (void)stack().ctl(kAlice, {"rm", "-f", jail}); }
};

// errno of: mount, unshare, io_uring_setup (ENOSYS), socket(AF_NETLINK), an unknown call, and a call that is allowed.
constexpr const char* kCalls = R"(
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for call in ((165, 0, 0, 0, 0, 0), (272, 0x10000000), (425, 1, 0), (41, 16, 3, 9), (9999,), (39,)):
    ctypes.set_errno(0)
    libc.syscall(*call)
    print(ctypes.get_errno())
)";

TEST_F(Explain, ALineOnStandardErrorSaysWhatWhyAndWhatToDo) {
  for (const char* stdio : {"--stdio=pass", "--stdio=relay"}) {
    const Output output = run({"--explain-denials", stdio}, "unshare -U true; echo after >&2");
    EXPECT_EQ(output.status, 0) << describe(output);
    EXPECT_THAT(output.err, AllOf(HasSubstr("sandboxd: refused: unshare (EPERM): "), HasSubstr("; what to do: ")));
    // Told before the call is answered, so ahead of all that the job says of it.
    EXPECT_LT(output.err.find("sandboxd: refused"), output.err.find("unshare failed")) << output.err;
    EXPECT_LT(output.err.find("unshare failed"), output.err.find("after")) << output.err;
  }
}

TEST_F(Explain, WithoutItNothingIsTold) {
  const Output output = run({"--name", "silent"}, "unshare -U true; ls -d /proc/[0-9]* | wc -l");
  EXPECT_THAT(output.err, Not(HasSubstr("sandboxd:")));
  EXPECT_TRUE(why("silent")["denials"].empty());
  remove("silent");
}

#if defined(__x86_64__)
TEST_F(Explain, TheAnswersAreThoseOfTheFilter) {
  if (!has_ctypes()) GTEST_SKIP() << "needs Python's ctypes";
  const Output plain = python({}, kCalls);
  const Output told = python({"--explain-denials", "--name", "answers"}, kCalls);
  EXPECT_EQ(plain.status, 0) << describe(plain);
  EXPECT_EQ(told.out, plain.out) << describe(told);
  EXPECT_THAT(plain.out, HasSubstr("38\n"));  // ENOSYS
  const Json all = why("answers");
  EXPECT_EQ(denial_of(all, "mount")["error"], "EPERM");
  EXPECT_EQ(denial_of(all, "mount")["kind"], "syscall");
  EXPECT_EQ(denial_of(all, "mount")["job"], 1);
  EXPECT_EQ(denial_of(all, "io_uring_setup")["error"], "ENOSYS");
  EXPECT_EQ(denial_of(all, "socket(AF_NETLINK)")["kind"], "network");
  EXPECT_EQ(denial_of(all, "call 9999")["error"], "ENOSYS");
  remove("answers");
}

TEST_F(Explain, ACallThatAnotherProfileAllowsNamesIt) {
  const Output output = python({"--explain-denials", "--profile", "strict", "--name", "elsewhere"},
                               "import socket\ntry: socket.socket()\nexcept OSError as e: print(e.errno)");
  EXPECT_EQ(output.status, 0) << describe(output);
  const Json denial = denial_of(why("elsewhere"), "socket(AF_INET)");
  EXPECT_EQ(denial["kind"], "network");
  EXPECT_THAT(denial.value("remedy", ""),
              AllOf(HasSubstr("use a profile that allows it: "), Not(HasSubstr("'strict'"))));
  remove("elsewhere");
}
#endif

// The recorder has jail-init's id, and no job can signal or see into it.
TEST_F(Explain, AJobCannotStopItForOthers) {
  const std::string jail = "recorder";
  ASSERT_EQ(stack().ctl(kAlice, {"create", "--explain-denials", "--name", jail}).status, 0);
  const Output killer =
      stack().ctl(kAlice, {"exec", jail, "--", "sh", "-c",
                           "for p in 1 2 3 4 5 6 7 8; do [ $p = $$ ] || kill -9 $p; done 2>/dev/null; echo done"});
  EXPECT_THAT(killer.out, HasSubstr("done")) << describe(killer);
  const Output next = stack().ctl(kAlice, {"exec", "--explain-denials", jail, "--", "unshare", "-U", "true"});
  EXPECT_EQ(next.status, 1) << describe(next);
  EXPECT_THAT(next.err, HasSubstr("sandboxd: refused: unshare (EPERM)"));
  EXPECT_EQ(denial_of(why(jail), "unshare")["job"], 3);
  remove(jail);
}

TEST_F(Explain, AFloodIsAnsweredAndOnlyCounted) {
  if (!has_ctypes()) GTEST_SKIP() << "needs Python's ctypes";
  const Output output = python({"--explain-denials", "--name", "flood"},
                               "import os\nn = 0\nfor i in range(20000):\n  try: os.unshare(0x10000000)\n"
                               "  except OSError: n += 1\n  except AttributeError: break\nelse: print(n)\n"
                               "import ctypes\nlibc = ctypes.CDLL(None)\n"
                               "if n == 0: print(sum(libc.unshare(0x10000000) == -1 for i in range(20000)))\n");
  EXPECT_EQ(output.status, 0) << describe(output);
  EXPECT_THAT(output.out, HasSubstr("20000"));
  const Json all = why("flood");
  const Json denial = denial_of(all, "unshare");
  const auto told = denial.value("count", 0UL);
  EXPECT_EQ(told + all.value("untold", 0UL), 20000U) << all;
  EXPECT_LT(told, 4000U);
  const std::string lines = output.err;
  EXPECT_EQ(lines.find("unshare", lines.find("refused: unshare") + 20), std::string::npos) << "told twice: " << lines;
  remove("flood");
}

TEST_F(Explain, AnExecOfAJailThatDoesNotTellIsRefused) {
  ASSERT_EQ(stack().ctl(kAlice, {"create", "--name", "mute"}).status, 0);
  const Output output = stack().ctl(kAlice, {"exec", "--explain-denials", "mute", "--", "true"});
  EXPECT_EQ(output.status, 125);
  EXPECT_THAT(output.err, HasSubstr("explain_denials"));
  remove("mute");
}

TEST_F(Explain, InheritedStreamsHaveNoRoomForLines) {
  const Output output = run({"--explain-denials", "--stdio=inherit"}, "true");
  EXPECT_EQ(output.status, 125);
  EXPECT_THAT(output.err, HasSubstr("--explain-denials"));
}

TEST_F(Explain, ALimitIsADenialWithoutBeingAskedFor) {
  (void)run({"--name", "late", "--timeout", "300ms"}, "sleep 1000");
  const Json denial = denial_of(why("late"), "wall_time");
  EXPECT_EQ(denial["kind"], "limit");
  EXPECT_EQ(denial["rule"], "wall_time 300ms was reached");
  EXPECT_THAT(denial.value("remedy", ""), HasSubstr("limits.wall_time"));
  remove("late");
}

TEST_F(Explain, IsNobodyElsesToRead) {
  ASSERT_EQ(run({"--explain-denials", "--name", "mine"}, "unshare -U true; true").status, 0);
  EXPECT_EQ(stack().ctl(kBob, {"why", "mine"}).status, 125);
  remove("mine");
}

}  // namespace
}  // namespace sandboxd::test
