#include "sandboxd-client/ctl/exit_status.h"

#include <cerrno>
#include <csignal>

#include "sandboxd-client/ctl/command.h"

namespace sandboxd::ctl {
namespace {

using protocol::Verdict;

constexpr int kClock = 124;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalBase = 128;

}  // namespace

int exit_status(const protocol::JobReport& report) {
  switch (report.verdict) {
    case Verdict::kExited: return report.exit_code.value_or(kOwnFailure);
    case Verdict::kTimeoutWall:
    case Verdict::kTimeoutCpu:
    case Verdict::kTimeoutIdle: return kClock;
    case Verdict::kSeccomp: return kSignalBase + report.signal.value_or(SIGSYS);
    case Verdict::kSignalled:
    case Verdict::kOom:
    case Verdict::kOutputLimit:
    case Verdict::kKilled: return kSignalBase + report.signal.value_or(SIGKILL);
    case Verdict::kSetupFailed:
    case Verdict::kStuck: return kOwnFailure;
  }
  return kOwnFailure;
}

int exit_status(const client::Error& refused) {
  if (refused.kind != client::ErrorKind::kSetupFailed || refused.field("step") != "exec" || refused.code == 0) {
    return kOwnFailure;
  }
  return refused.code == ENOENT || refused.code == ENOTDIR ? kNotFound : kNotExecutable;
}

}  // namespace sandboxd::ctl
