#include "daemon/jails/refusals.h"

#include <cerrno>
#include <cstring>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/jails/fixture.h"

namespace sandboxd::jails {
namespace {

using protocol::Denial;
using protocol::DenialKind;
using test::FakeJail;
using test::Jails;
using test::Seen;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

std::vector<std::uint8_t> always(std::uint32_t answer) {
  const sock_filter one{BPF_RET | BPF_K, 0, 0, answer};
  std::vector<std::uint8_t> bytes(sizeof one);
  std::memcpy(bytes.data(), &one, sizeof one);
  return bytes;
}

// 'narrow' refuses every call by its only rule, 'wide' allows every one.
wire::ProfileSet two_profiles() {
  wire::ProfileSet set;
  set.profiles.resize(2);
  set.profiles[0].name = "narrow";
  set.profiles[0].filter_name = "all";
  set.profiles[0].filter = always(SECCOMP_RET_ERRNO | EPERM);
  set.profiles[1].name = "wide";
  set.profiles[1].filter_name = "nothing";
  set.profiles[1].filter = always(SECCOMP_RET_ALLOW);
  set.notes.push_back({"all",
                       wire::UnixSockets::kNone,
                       always(SECCOMP_RET_ERRNO | 1),
                       {{"all.json default", "unknown"}, {"all.json line 7", "it is dangerous"}}});
  set.calls = {{SYS_socket, "socket"}, {SYS_ioctl, "ioctl"}, {SYS_mount, "mount"}};
  return set;
}

Denial refused(std::int32_t number, std::uint64_t first = 0, std::uint64_t second = 0, int code = EPERM) {
  const wire::ProfileSet set = two_profiles();
  return refused_call({number, kArch, {first, second}}, code, set.profiles[0], set);
}

TEST(Refusals, ACallIsNamedWithItsRuleAndWhatAllowsIt) {
  const Denial denial = refused(SYS_mount);
  EXPECT_EQ(denial.kind, DenialKind::kSyscall);
  EXPECT_EQ(denial.what, "mount");
  EXPECT_EQ(denial.rule, "all.json line 7: it is dangerous");
  EXPECT_EQ(denial.error, "EPERM");
  EXPECT_THAT(denial.remedy, AllOf(HasSubstr("'wide'"), Not(HasSubstr("'narrow'"))));
}

TEST(Refusals, ASocketIsOfTheNetworkAndNamesItsFamily) {
  EXPECT_EQ(refused(SYS_socket, AF_NETLINK).kind, DenialKind::kNetwork);
  EXPECT_EQ(refused(SYS_socket, AF_NETLINK).what, "socket(AF_NETLINK)");
  EXPECT_EQ(refused(SYS_socket, 12345).what, "socket(family 12345)");
  EXPECT_THAT(refused(SYS_socket, AF_UNIX).remedy, HasSubstr("unix_sockets"));
}

TEST(Refusals, UpperHalvesThatTheKernelIgnoresHideNothing) {
  EXPECT_EQ(refused(SYS_ioctl, 0, 0xFFFFFFFF00005412).what, "ioctl(TIOCSTI)");
  EXPECT_EQ(refused(SYS_socket, 0xFFFFFFFF00000000 | AF_NETLINK).what, "socket(AF_NETLINK)");
}

TEST(Refusals, CallsWithoutANameAreNumbers) {
  EXPECT_EQ(refused(4321).what, "call 4321");
  const wire::ProfileSet set = two_profiles();
  EXPECT_EQ(refused_call({11, AUDIT_ARCH_I386, {}}, EPERM, set.profiles[0], set).what, "call 11 of another ABI");
}

TEST(Refusals, OfENOSYSTheRemedySaysThatNothingMayBeNeeded) {
  EXPECT_THAT(refused(SYS_mount, 0, 0, ENOSYS).remedy, HasSubstr("nothing where the program goes on"));
}

TEST(Refusals, WhereNothingAllowsItTheRemedyIsTheProfilesKey) {
  wire::ProfileSet set = two_profiles();
  set.profiles.pop_back();
  EXPECT_THAT(refused_call({SYS_mount, kArch, {}}, EPERM, set.profiles[0], set).remedy, HasSubstr("key 'filter'"));
}

TEST(Refusals, ALimitNamesItsOptionAndItsKey) {
  Limits limits;
  limits.pids_max = 7;
  const Denial denial = refused_by_limit("pids_max", limits, "strict");
  EXPECT_EQ(denial.kind, DenialKind::kLimit);
  EXPECT_EQ(denial.rule, "limits.pids_max is 7");
  EXPECT_THAT(denial.remedy, AllOf(HasSubstr("--pids-max"), HasSubstr("'limits.pids_max' of profile 'strict'")));
}

TEST(Refusals, TheSameOnceMoreIsCounted) {
  Refusals refusals;
  EXPECT_NE(refusals.add(refused(SYS_mount)), nullptr);
  EXPECT_EQ(refusals.add(refused(SYS_mount)), nullptr);
  ASSERT_EQ(refusals.all().denials.size(), 1U);
  EXPECT_EQ(refusals.all().denials[0].count, 2U);
  EXPECT_GT(refusals.all().denials[0].first, 0U);
}

TEST(Refusals, TheOldestAreForgottenAndCounted) {
  Refusals refusals;
  for (std::size_t i = 0; i < Refusals::kMost + 5; ++i) refusals.add(refused(static_cast<std::int32_t>(1000 + i)));
  refusals.add_untold(9);
  const protocol::Denials all = refusals.all();
  EXPECT_EQ(all.denials.size(), Refusals::kMost);
  EXPECT_EQ(all.denials.front().what, "call 1005");
  EXPECT_EQ(all.forgotten, 5U);
  EXPECT_EQ(all.untold, 9U);
}

TEST(Refusals, ALineIsSafeForATerminal) {
  Denial denial;
  denial.what = "mount\x1b[2J";
  denial.rule = "a\nb";
  const std::string line = denial_line(denial);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

// ---- what jail-init says of them

class Denied : public Jails {
 protected:
  static protocol::JobSpec explaining() {
    protocol::JobSpec job = spec();
    job.explain_denials = true;
    return job;
  }
  static void say_denied(FakeJail& jail, std::int32_t number, std::uint32_t job = wire::kFirstJob) {
    wire::InitEventRecord record{};
    record.event = wire::InitEvent::kDenied;
    record.job = job;
    record.code = EPERM;
    record.value = 2;
    const wire::DeniedCall call{number, kArch, {}};
    std::memcpy(&record.text[0], &call, sizeof call);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&record);
    jail.say_raw({bytes, bytes + sizeof record}, {});
  }
  protocol::Denials why(const std::string& id) {
    auto answer = supervisor_->why(alice(), id);
    EXPECT_EQ(answer.index(), 0U);
    return answer.index() == 0 ? std::get<0>(answer) : protocol::Denials{};
  }
};

TEST_F(Denied, IsTheOwnersToAskFor) {
  open();
  Seen seen;
  auto [id, jail] = running(seen, explaining());
  say_denied(*jail, 4321);
  ASSERT_TRUE(until([&, id = id] { return !why(id).denials.empty(); }));
  EXPECT_EQ(why(id).denials[0].what, "call 4321");
  EXPECT_EQ(why(id).denials[0].job, wire::kFirstJob);
  EXPECT_EQ(why(id).untold, 2U);
  EXPECT_EQ(supervisor_->why(bob(), id).index(), 1U);
}

TEST_F(Denied, IsALineOfStandardErrorAheadOfWhatFollowsIt) {
  open();
  Seen seen;
  auto [id, jail] = running(seen, explaining());
  const std::vector<UniqueFd> streams = jail->give_streams();
  say_denied(*jail, 4321);
  ASSERT_EQ(::write(streams[2].get(), "after\n", 6), 6);
  ASSERT_TRUE(until([&] { return seen.output.find("after") != std::string::npos; }));
  EXPECT_LT(seen.output.find("2:sandboxd: refused: call 4321 (EPERM)"), seen.output.find("after")) << seen.output;
}

TEST_F(Denied, IsRememberedOfAJailThatHasEnded) {
  open();
  Seen seen;
  auto [id, jail] = running(seen, explaining());
  { const std::vector<UniqueFd> streams = jail->give_streams(); }
  say_denied(*jail, 4321);
  jail->exit_with(0);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  EXPECT_EQ(why(id).denials.size(), 1U);
}

TEST_F(Denied, UnaskedForEndsTheJail) {
  open();
  Seen seen;
  auto [id, jail] = running(seen);
  say_denied(*jail, 4321);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_TRUE(seen.report);
  EXPECT_THAT(seen.report->detail, HasSubstr("broke the protocol"));
}

TEST_F(Denied, TooManyEndTheJail) {
  open();
  Seen seen;
  auto [id, jail] = running(seen, explaining());
  std::uint64_t heard = 0;
  // One at a time: the socket holds few.
  for (std::uint64_t i = 1; i <= 400 && jail->killed.valid() && heard + 1 == i; ++i) {
    say_denied(*jail, 4321);
    (void)until([&, id = id] {
      const protocol::Denials all = why(id);
      heard = all.denials.empty() ? 0 : all.denials[0].count;
      return heard == i || seen.ended();
    });
  }
  EXPECT_GE(heard, 128U);
  EXPECT_LT(heard, 400U);
  ASSERT_TRUE(until([&] { return seen.ended(); }));
  ASSERT_TRUE(seen.report);
  EXPECT_THAT(seen.report->detail, HasSubstr("too many events"));
}

TEST_F(Denied, OfAnUnknownJobIsTheJails) {
  open();
  Seen seen;
  auto [id, jail] = running(seen, explaining());
  say_denied(*jail, 4321, 77);
  ASSERT_TRUE(until([&, id = id] { return !why(id).denials.empty(); }));
  EXPECT_EQ(why(id).denials[0].job, 0U);
}

TEST_F(Denied, AnExecHearsOfItsOwn) {
  open();
  protocol::JobSpec job;
  job.explain_denials = true;
  auto [id, jail] = session(job);
  protocol::ExecSpec loud = command(protocol::Stdio::kRelay);
  loud.explain_denials = true;
  Seen told, quiet;
  const std::uint32_t first = exec(told, id, loud);
  const std::uint32_t second = exec(quiet, id, command(protocol::Stdio::kRelay));
  ASSERT_TRUE(until([&, &jail = jail] { return jail->was_told(wire::InitCommand::kExec, second); }));
  const std::vector<UniqueFd> of_first = jail->give_streams(first);
  const std::vector<UniqueFd> of_second = jail->give_streams(second);
  jail->say(wire::InitEvent::kJobReady, 0, 0, "", "", first);
  jail->say(wire::InitEvent::kJobReady, 0, 0, "", "", second);
  ASSERT_TRUE(until([&, &jail = jail] {
    return jail->was_told(wire::InitCommand::kRelease, first) && jail->was_told(wire::InitCommand::kRelease, second);
  }));
  say_denied(*jail, 4321, second);
  say_denied(*jail, 4322, first);
  ASSERT_TRUE(until([&] { return told.output.find("call 4322") != std::string::npos; }));
  EXPECT_EQ(told.output.find("call 4321"), std::string::npos);
  EXPECT_EQ(quiet.output, "");
  EXPECT_EQ(why(id).denials.size(), 2U);
}

TEST_F(Denied, AnExecCannotAskWhereItsJailDidNot) {
  open();
  auto [id, jail] = session();
  protocol::ExecSpec loud = command();
  loud.explain_denials = true;
  Seen seen;
  const auto refused = supervisor_->exec(alice(), id, loud, observe_job(seen));
  ASSERT_EQ(refused.index(), 1U);
  EXPECT_NE(std::get_if<InvalidArgument>(&std::get<1>(refused)), nullptr);
}

}  // namespace
}  // namespace sandboxd::jails
