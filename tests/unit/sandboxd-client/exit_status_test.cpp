#include "sandboxd-client/ctl/exit_status.h"

#include <array>
#include <cerrno>

#include <gtest/gtest.h>

namespace sandboxd::ctl {
namespace {

using protocol::JobReport;
using protocol::Verdict;

TEST(ExitStatus, FollowsTheVerdict) {
  struct Case {
    Verdict verdict;
    std::optional<std::int32_t> exit_code, signal;
    int status;
  };
  constexpr std::array kCases = {
      Case{Verdict::kExited, 0, {}, 0},         Case{Verdict::kExited, 255, {}, 255},
      Case{Verdict::kExited, {}, {}, 125},      Case{Verdict::kSignalled, {}, 15, 143},
      Case{Verdict::kOom, {}, 9, 137},          Case{Verdict::kOom, {}, {}, 137},
      Case{Verdict::kTimeoutWall, {}, 9, 124},  Case{Verdict::kTimeoutCpu, {}, 24, 124},
      Case{Verdict::kTimeoutIdle, {}, 9, 124},  Case{Verdict::kOutputLimit, {}, 9, 137},
      Case{Verdict::kSeccomp, {}, {}, 159},     Case{Verdict::kKilled, {}, 2, 130},
      Case{Verdict::kSetupFailed, {}, {}, 125}, Case{Verdict::kStuck, {}, 9, 125},
  };
  for (const Case& one : kCases) {
    JobReport report;
    report.verdict = one.verdict;
    report.exit_code = one.exit_code;
    report.signal = one.signal;
    EXPECT_EQ(exit_status(report), one.status) << static_cast<int>(one.verdict);
  }
}

client::Error setup_failed(const char* step, int code) {
  return {.kind = client::ErrorKind::kSetupFailed, .fields = {{"step", step}}, .code = code};
}

TEST(ExitStatus, IsAShellsForACommandThatCouldNotBeExecuted) {
  EXPECT_EQ(exit_status(setup_failed("exec", ENOENT)), 127);
  EXPECT_EQ(exit_status(setup_failed("exec", EACCES)), 126);
  EXPECT_EQ(exit_status(setup_failed("exec", ENOEXEC)), 126);
}

TEST(ExitStatus, IsOursForEveryOtherFailure) {
  EXPECT_EQ(exit_status(setup_failed("mounts", ENOENT)), 125);
  EXPECT_EQ(exit_status(setup_failed("exec", 0)), 125);
  EXPECT_EQ(exit_status(client::Error{.kind = client::ErrorKind::kDenied, .code = ENOENT}), 125);
}

}  // namespace
}  // namespace sandboxd::ctl
