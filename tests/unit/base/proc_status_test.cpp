#include "base/proc_status.h"

#include <cerrno>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace sandboxd {
namespace {

constexpr const char* kText =
    "Name:\tsandboxd\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4242\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
    "FDSize:\t64\nGroups:\t10 4294967294 \nNStgid:\t4242\t1\nNSpid:\t4242\t1\nThreads:\t1\nCapInh:\t0000000000000000\n"
    "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000400\nCapBnd:\t8000000000000001\nCapAmb:\t0000000000000002\n"
    "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\nSpeculation_Store_Bypass:\tvulnerable\n";

std::string with(const std::string& from, const std::string& to) {
  std::string text = kText;
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST(ProcStatus, ReadsEveryMember) {
  const Result<ProcStatus> status = parse_proc_status(kText);
  ASSERT_TRUE(status.ok()) << status.error().message();
  ProcStatus wanted;
  wanted.uid = {1, 2, 3, 4};
  wanted.gid = {5, 6, 7, 8};
  wanted.groups = {10, 4294967294};
  wanted.nspid = {4242, 1};
  wanted.cap_permitted = 0x1ffffffffff;
  wanted.cap_effective = 0x400;
  wanted.cap_bounding = 0x8000000000000001;
  wanted.cap_ambient = 2;
  wanted.no_new_privs = true;
  wanted.seccomp = SeccompMode::kFilter;
  wanted.seccomp_filters = 3;
  wanted.threads = 1;
  EXPECT_EQ(*status, wanted);
}

TEST(ProcStatus, TakesAProcessWithoutGroups) {
  const Result<ProcStatus> status = parse_proc_status(with("Groups:\t10 4294967294 \n", "Groups:\t \n"));
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_TRUE(status->groups.empty());
}

TEST(ProcStatus, NamesTheLineThatIsMissing) {
  for (const char* line : {"Uid", "Gid", "Groups", "NSpid", "Threads", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                           "NoNewPrivs", "Seccomp", "Seccomp_filters"}) {
    const Result<ProcStatus> status = parse_proc_status(with(std::string("\n") + line + ":", "\nX:"));
    ASSERT_FALSE(status.ok()) << line;
    EXPECT_THAT(status.error().message(), ::testing::HasSubstr(std::string("'") + line + "'"));
  }
}

TEST(ProcStatus, RefusesALineThatIsTwiceThere) {
  EXPECT_FALSE(parse_proc_status(std::string(kText) + "CapEff:\t0000000000000000\n").ok());
}

TEST(ProcStatus, RefusesMalformedValues) {
  for (const auto& [from, to] : {std::pair{"Uid:\t1\t2\t3\t4", "Uid:\t1\t2\t3"},
                                 {"Uid:\t1\t2\t3\t4", "Uid:\t1\t2\t3\t4\t5"},
                                 {"Uid:\t1\t2", "Uid:\t-1\t2"},
                                 {"Uid:\t1\t2", "Uid:\t4294967296\t2"},
                                 {"CapEff:\t0000000000000400", "CapEff:\t400"},
                                 {"CapEff:\t0000000000000400", "CapEff:\t00000000000004G0"},
                                 {"NoNewPrivs:\t1", "NoNewPrivs:\t2"},
                                 {"Seccomp:\t2", "Seccomp:\t3"},
                                 {"Seccomp:\t2", "Seccomp:\t"},
                                 {"NSpid:\t4242\t1", "NSpid:\t"}}) {
    EXPECT_FALSE(parse_proc_status(with(from, to)).ok()) << to;
  }
}

TEST(ProcStatus, AgreesWithTheKernelAboutThisProcess) {
  const Result<ProcStatus> status = read_own_status();
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(status->uid[0], ::getuid());
  EXPECT_EQ(status->uid[1], ::geteuid());
  EXPECT_EQ(status->gid[1], ::getegid());
  EXPECT_EQ(status->nspid.back(), ::getpid());
}

TEST(ProcStatus, ReadsAnotherProcessByItsDirectory) {
  const UniqueFd proc(::open("/proc/1", O_PATH | O_CLOEXEC));
  const Result<ProcStatus> status = read_proc_status(proc.get());
  ASSERT_TRUE(status.ok()) << status.error().message();
  EXPECT_EQ(status->nspid.front(), 1);
}

}  // namespace
}  // namespace sandboxd
