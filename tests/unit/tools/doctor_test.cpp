#include "daemon/tools/doctor/doctor.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <filesystem>

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "daemon/tools/doctor/child.h"
#include "daemon/tools/doctor/host_files.h"

namespace sandboxd::doctor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr Probe kRequiredProbe{"r", "what r is", Need::kRequired, "all of it", nullptr};
constexpr Probe kOptionalProbe{"o", "what o is", Need::kOptional, "some of it", nullptr};

Finding found(const Probe& probe, State state) { return {&probe, {state, "a \x1b detail"}}; }

State state_of(const std::vector<Finding>& findings, std::string_view id) {
  const auto row = std::ranges::find_if(findings, [&](const Finding& finding) { return finding.probe->id == id; });
  return row == findings.end() ? State::kUnknown : row->outcome.state;
}

TEST(DoctorVerdict, IsDecidedByWhatIsRequired) {
  EXPECT_EQ(verdict({found(kRequiredProbe, State::kOffered), found(kOptionalProbe, State::kMissing)}), 0);
  EXPECT_EQ(verdict({found(kRequiredProbe, State::kMissing), found(kRequiredProbe, State::kUnknown)}), 1);
  EXPECT_EQ(verdict({found(kRequiredProbe, State::kUnknown), found(kOptionalProbe, State::kMissing)}), 2);
}

TEST(DoctorText, SaysWhatAMissingThingTurnsOff) {
  const std::string text = to_text({found(kRequiredProbe, State::kMissing)}, true, false);
  EXPECT_THAT(text, HasSubstr("turns off: all of it"));
  EXPECT_THAT(text, HasSubstr("can't be enforced on this host; missing: r"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(DoctorText, IsTabsWithoutAConclusionElsewhere) {
  EXPECT_EQ(to_text({found(kOptionalProbe, State::kMissing)}, false, false),
            "missing\to\toptional\ta \\x1b detail\tsome of it\n");
}

TEST(DoctorJson, HoldsTheAnswerAndEachProbe) {
  const auto json = nlohmann::json::parse(to_json({found(kRequiredProbe, State::kMissing)}));
  EXPECT_EQ(json["enforceable"], "no");
  EXPECT_EQ(json["probes"][0]["id"], "r");
  EXPECT_EQ(json["probes"][0]["state"], "missing");
}

TEST(HostFiles, FindsTheCgroup2MountAmongOthers) {
  constexpr std::string_view kText =
      "24 1 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "25 1 0:2 / /mnt/a\\040b rw,nosuid shared:4 master:1 - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(find_cgroup2(kText), "/mnt/a b");
  EXPECT_EQ(find_cgroup2(kText.substr(0, kText.find('\n'))), std::nullopt);
  EXPECT_EQ(find_cgroup2("1 2 3 - cgroup2\n- cgroup2\n"), std::nullopt);
}

TEST(HostFiles, ListsWordsThatAreNotThere) {
  constexpr std::array<std::string_view, 3> kWanted = {"cpu", "memory", "io"};
  EXPECT_EQ(missing_words("cpuset memory\n", kWanted), "cpu, io");
  EXPECT_EQ(missing_words("io cpu memory pids\n", kWanted), "");
}

TEST(HostFiles, FindsAnAccountInThePool) {
  constexpr std::string_view kPasswd = "root:x:0:0::/root:/bin/sh\nin:x:150:1::/:\nbad:x:1x\n+\n";
  EXPECT_EQ(account_in(kPasswd, 100, 200), "in (150)");
  EXPECT_EQ(account_in(kPasswd, 151, 200), std::nullopt);
  EXPECT_EQ(account_in(kPasswd, 150, 150), "in (150)");
}

TEST(HostFiles, FindsARangeThatMeetsThePool) {
  EXPECT_EQ(range_in("a:100:50\n", 149, 200), "a (100, 50)");
  EXPECT_EQ(range_in("a:100:50\n", 150, 200), std::nullopt);
  EXPECT_EQ(range_in("a:201:50\n", 150, 200), std::nullopt);
  EXPECT_EQ(range_in("a:200:50\n", 150, 200), "a (200, 50)");
  EXPECT_EQ(range_in("a:1:4294967295\n", 150, 200), "a (1, 4294967295)");
  EXPECT_EQ(range_in("a:150:0\n", 150, 200), std::nullopt);
}

TEST(DoctorChild, GivesTheErrorOfItsBody) {
  const Status status = in_child({.body = [] { return Status(sys_error_code(ENOTTY, "try it")); }});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ENOTTY);
  EXPECT_EQ(status.error().context, "try it");
  EXPECT_TRUE(in_child({.body = [] { return Status(); }}).ok());
}

TEST(DoctorChild, ThatDiesIsAnError) {
  EXPECT_FALSE(in_child({.body = []() -> Status { ::_exit(0); }}).ok());
}

TEST(DoctorChild, LeavesThisProcessAsItWas) {
  ASSERT_TRUE(in_child({.body = [] {
                return ::chdir("/") == 0 && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? Status()
                                                                                          : Status(sys_error("x"));
              }}).ok());
  EXPECT_EQ(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

// Every call in `calls` fails with ENOSYS from here on, as on a kernel without them.
Status forbid(std::initializer_list<long> calls) {
  std::vector<sock_filter> program = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
  for (const long number : calls) {
    program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<std::uint32_t>(number)});
    program.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS});
  }
  program.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW});
  sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return sys_error("no_new_privs");
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0 ? Status(sys_error("seccomp")) : Status();
}

// That a probe sees what is not there: run on a kernel that lacks `calls`.
void expect_missing(std::initializer_list<long> calls, std::string_view id) {
  const Status status = in_child({.body = [&]() -> Status {
    TRY(forbid(calls));
    const auto findings = examine({.is_root = ::geteuid() == 0, .state_dir = "/"});
    if (state_of(findings, id) != State::kMissing) return make_error("not seen");
    return verdict(findings) == 1 ? Status() : Status(make_error("no verdict"));
  }});
  EXPECT_TRUE(status.ok()) << id << ": " << status.error().message();
}

TEST(DoctorProbes, SeeWhatTheKernelLacks) {
  expect_missing({SYS_landlock_create_ruleset}, "landlock");
  expect_missing({SYS_openat2}, "openat2");
  expect_missing({SYS_close_range}, "close-range");
  expect_missing({SYS_pidfd_open}, "pidfd");
  expect_missing({SYS_memfd_create}, "memfd-seals");
  expect_missing({SYS_clone3}, "namespaces");
  expect_missing({SYS_open_tree}, "detached-mounts");
  expect_missing({SYS_fsopen}, "private-mounts");
  expect_missing({SYS_seccomp}, "seccomp");
}

TEST(DoctorProbes, SeeACapabilityThatRootLacks) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const Status status = in_child({.body = []() -> Status {
    if (::prctl(PR_CAPBSET_DROP, 27 /* CAP_MKNOD */, 0, 0, 0) < 0) return sys_error("drop");
    const auto findings = examine({.is_root = true, .state_dir = "/"});
    return state_of(findings, "capabilities") == State::kMissing ? Status() : Status(make_error("not seen"));
  }});
  EXPECT_TRUE(status.ok()) << status.error().message();
}

TEST(DoctorProbes, LeaveNoCgroupBehind) {
  (void)examine({.is_root = ::geteuid() == 0, .state_dir = "/"});
  std::error_code none;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("/sys/fs/cgroup", none)) {
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr(fmt::format("sandboxd-doctor-{}", ::getpid()))));
  }
}

TEST(DoctorProbes, SayWhatTheyCouldNotTryWithoutRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody else";
  const Status status = in_child({.body = []() -> Status {
    if (::setresgid(65534, 65534, 65534) < 0 || ::setresuid(65534, 65534, 65534) < 0) return sys_error("setresuid");
    const auto findings = examine({.is_root = false, .state_dir = "/"});
    if (state_of(findings, "id-ranges") != State::kUnknown) return make_error("id-ranges was tried");
    return verdict(findings) == 2 ? Status() : Status(make_error("verdict {}", verdict(findings)));
  }});
  EXPECT_TRUE(status.ok()) << status.error().message();
}

TEST(DoctorProbes, SayOfEachLimitWhatHoldsIt) {
  const auto findings = examine({.is_root = ::geteuid() == 0, .state_dir = "/"});
  EXPECT_EQ(state_of(findings, "limit-pids_max"), State::kOffered) << "RLIMIT_NPROC is everywhere";
  EXPECT_EQ(state_of(findings, "limit-scratch_max"), State::kOffered);
  const bool listed = unenforceable_limits({}).find("\"memory_max\"") != std::string::npos;
  EXPECT_EQ(state_of(findings, "limit-memory_max"), listed ? State::kMissing : State::kOffered);
}

TEST(DoctorProbes, TellWhatTheConfigurationLeavesUnenforced) {
  const auto findings = examine({.state_dir = "/", .unenforced = {"memory_max"}});
  const auto row =
      std::ranges::find_if(findings, [](const Finding& one) { return one.probe->id == "limit-memory_max"; });
  ASSERT_NE(row, findings.end());
  if (row->outcome.state == State::kMissing) {
    EXPECT_THAT(row->outcome.detail, HasSubstr("unenforced_limits lists it"));
  }
}

TEST(DoctorTable, NamesEachProbeOnceAndSaysWhatItTurnsOff) {
  std::vector<std::string_view> ids;
  for (const auto probes : {kKernelProbes, kMountProbes, kCgroupProbes, kLimitProbes, kHostProbes}) {
    for (const Probe& probe : probes) {
      ids.push_back(probe.id);
      EXPECT_EQ(probe.turns_off.empty(), probe.need == Need::kInfo) << probe.id;
    }
  }
  std::ranges::sort(ids);
  EXPECT_EQ(std::ranges::adjacent_find(ids), ids.end());
}

}  // namespace
}  // namespace sandboxd::doctor
