#include "daemon/wire/narrow.h"

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/ids.h"
#include "daemon/wire/codec.h"

namespace sandboxd::wire {
namespace {

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

Profile some_profile() {
  Profile profile;
  profile.name = "default";
  profile.hash.fill(7);
  profile.filter = {1, 2, 3, 4, 5, 6, 7, 8};
  profile.roots = bit(RootKind::kUsr) | bit(RootKind::kDirectory);
  profile.workspace = bit(Access::kRo) | bit(Access::kRw);
  profile.binds = bit(Access::kRo);
  profile.tmpfs = {{"/tmp", 64 << 20, 4096, 01777}, {"/dev/shm", 16 << 20, 1024, 01777}};
  profile.limits = {60'000'000, 4096, 1 << 30, 512, 128 << 20, 16384};
  return profile;
}

JailPlan some_plan() {
  const Profile profile = some_profile();
  JailPlan plan;
  plan.number = 3;
  plan.jail = "j-abcdefgh2345";
  plan.request = "r-1";
  plan.profile = profile.name;
  plan.profile_hash = profile.hash;
  plan.has_token = true;
  plan.token.fill(9);
  plan.inside_uid = 1000;
  plan.inside_gid = 1000;
  plan.user_name = "alice";
  plan.home = "/home/alice";
  plan.binds = {{0, "/home/alice/work", Access::kRw, true}, {1, "/home/alice/work/.git", Access::kRo, false}};
  plan.tmpfs = profile.tmpfs;
  plan.dirs = {"/tmp/made", "/srv/empty"};
  plan.hostname = "jail";
  plan.limits = profile.limits;
  plan.job.argv = {"/bin/true"};
  plan.job.env = {"PATH=/usr/bin", "EMPTY="};
  plan.job.workdir = "/home/alice/work";
  plan.job.stdio = StdioMode::kPipes;
  return plan;
}

std::string rule_of(const JailPlan& plan, const Profile& profile) {
  const auto breach = find_breach(plan, profile);
  return breach ? breach->rule : "";
}

struct Case {
  std::string name;
  std::string rule;
  std::function<void(JailPlan&, Profile&)> change;
};

std::vector<Case> identity_cases() {
  return {
      {"profile name", "profile", [](auto& p, auto&) { p.profile = "other"; }},
      {"profile hash", "profile_hash", [](auto& p, auto&) { p.profile_hash[31] ^= 1; }},
      {"number of our own programs", "number", [](auto& p, auto&) { p.number = 0; }},
      {"number past the slice", "number", [](auto& p, auto&) { p.number = kNumbersPerSlice; }},
      {"number that wraps", "number", [](auto& p, auto&) { p.number = 0xffffffff; }},
      {"jail id with a newline", "record_id", [](auto& p, auto&) { p.jail = "j-\nx"; }},
      {"jail id empty", "record_id", [](auto& p, auto&) { p.jail = ""; }},
      {"jail id too long", "record_id", [](auto& p, auto&) { p.jail = std::string(65, 'a'); }},
      {"request id with a quote", "record_id", [](auto& p, auto&) { p.request = "a\"b"; }},
      {"request id empty", "record_id", [](auto& p, auto&) { p.request = ""; }},
      {"nobody's word for who starts it", "token",
       [](auto& p, auto& q) {
         q.who.restricted = true;
         p.has_token = false;
         p.binds.clear();
       }},
      {"uid -1", "ids", [](auto& p, auto&) { p.inside_uid = 4294967295; }},
      {"gid -1", "ids", [](auto& p, auto&) { p.inside_gid = 4294967295; }},
      {"uid of jail-init", "ids", [](auto& p, auto&) { p.inside_uid = kInitInsideId; }},
      {"gid of the pool", "ids", [](auto& p, auto&) { p.inside_gid = kPoolLast; }},
      {"uid 0 where the profile has none", "user",
       [](auto& p, auto& q) {
         p.inside_uid = 0;
         q.user_root = false;
       }},
      {"gid 0 where the profile has none", "user",
       [](auto& p, auto& q) {
         p.inside_gid = 0;
         q.user_root = false;
       }},
      {"user name with a colon", "user_name", [](auto& p, auto&) { p.user_name = "a:0:0"; }},
      {"user name with a newline", "user_name", [](auto& p, auto&) { p.user_name = "a\nroot"; }},
      {"user name empty", "user_name", [](auto& p, auto&) { p.user_name = ""; }},
      {"user name long", "user_name", [](auto& p, auto&) { p.user_name = std::string(33, 'a'); }},
      {"home with a colon", "home", [](auto& p, auto&) { p.home = "/a:b"; }},
      {"home with a newline", "home", [](auto& p, auto&) { p.home = "/a\nb"; }},
      {"home relative", "home", [](auto& p, auto&) { p.home = "a"; }},
  };
}

std::vector<Case> view_cases() {
  return {
      {"root the profile lacks", "root",
       [](auto& p, auto&) {
         p.root = RootKind::kHost;
         p.dirs.clear();
       }},
      {"root out of range", "root", [](auto& p, auto&) { p.root = static_cast<RootKind>(3); }},
      {"root far out of range", "root",
       [](auto& p, auto& q) {
         p.root = static_cast<RootKind>(255);
         q.roots = 0xffffffff;
       }},
      {"full proc", "proc", [](auto&, auto& q) { q.proc = ProcKind::kPid; }},
      {"proc out of range", "proc", [](auto& p, auto&) { p.proc = static_cast<ProcKind>(2); }},
      {"network the profile lacks", "network", [](auto& p, auto&) { p.network = NetworkMode::kHost; }},
      {"network out of range", "network",
       [](auto& p, auto& q) {
         p.network = static_cast<NetworkMode>(2);
         q.networks = 0xffffffff;
       }},
      {"network 32 would shift out", "network",
       [](auto& p, auto& q) {
         p.network = static_cast<NetworkMode>(32);
         q.networks = 1;
       }},
      {"terminals wider", "terminals", [](auto& p, auto& q) { p.terminals = q.terminals + 1; }},
      {"learning that the profile doesn't say", "learn", [](auto& p, auto&) { p.learn = true; }},
      {"no learning where the profile says it", "learn", [](auto&, auto& q) { q.learn = true; }},
      {"unix sockets wider", "unix_sockets", [](auto& p, auto&) { p.unix_sockets = UnixSockets::kAny; }},
      {"unix sockets that the filter doesn't refuse", "unix_sockets",
       [](auto&, auto& q) { q.unix_sockets = UnixSockets::kAny; }},
      {"unix sockets out of range", "unix_sockets",
       [](auto& p, auto&) { p.unix_sockets = static_cast<UnixSockets>(9); }},
  };
}

std::vector<Case> file_cases() {
  return {
      {"workspace rw", "workspace", [](auto&, auto& q) { q.workspace = bit(Access::kRo); }},
      {"no workspace allowed", "workspace",
       [](auto& p, auto& q) {
         p.binds[0].access = Access::kRo;
         q.workspace = 0;
       }},
      {"workspace access out of range", "workspace",
       [](auto& p, auto& q) {
         p.binds[0].access = static_cast<Access>(7);
         q.workspace = 0xffffffff;
       }},
      {"two workspaces", "workspace", [](auto& p, auto&) { p.binds[1].workspace = true; }},
      {"bind rw", "binds", [](auto& p, auto&) { p.binds[1].access = Access::kRw; }},
      {"workspace passed off as a bind", "binds", [](auto& p, auto&) { p.binds[0].workspace = false; }},
      {"no binds allowed", "binds", [](auto&, auto& q) { q.binds = 0; }},
      {"bind access out of range", "binds",
       [](auto& p, auto& q) {
         p.binds[1].access = static_cast<Access>(64);
         q.binds = 0xffffffff;
       }},
      {"bind without a token", "descriptors", [](auto& p, auto&) { p.has_token = false; }},
      {"root directory without a token", "descriptors",
       [](auto& p, auto&) {
         p.has_token = false;
         p.binds.clear();
         p.dirs.clear();
         p.root = RootKind::kDirectory;
       }},
      {"inherited stdio without a token", "descriptors",
       [](auto& p, auto&) {
         p.has_token = false;
         p.binds.clear();
         p.job.stdio = StdioMode::kInherit;
       }},
      {"bind index out of range", "descriptors", [](auto& p, auto&) { p.binds[0].fd = 15; }},
      {"root index out of range", "descriptors",
       [](auto& p, auto&) {
         p.root = RootKind::kDirectory;
         p.root_fd = 0xffffffff;
       }},
      {"stdio index out of range", "descriptors",
       [](auto& p, auto&) {
         p.job.stdio = StdioMode::kInherit;
         p.job.stdio_fds = {0, 1, 99};
       }},
      {"stdio out of range", "stdio", [](auto& p, auto&) { p.job.stdio = static_cast<StdioMode>(3); }},
  };
}

std::vector<Case> place_cases() {
  return {
      {"tmpfs a second time", "duplicate", [](auto& p, auto&) { p.tmpfs.push_back(p.tmpfs[0]); }},
      {"bind where a tmpfs is", "duplicate", [](auto& p, auto&) { p.binds[1].target = "/tmp"; }},
      {"two binds at a path", "duplicate", [](auto& p, auto&) { p.binds[1].target = p.binds[0].target; }},
      {"a directory twice", "duplicate", [](auto& p, auto&) { p.dirs.push_back(p.dirs[0]); }},
      {"writable bind over a read-only one", "nesting", [](auto& p, auto&) { std::swap(p.binds[0], p.binds[1]); }},
      {"tmpfs over an earlier one", "nesting",
       [](auto& p, auto&) {
         p.tmpfs.push_back({"/var/a/b", 4096, 4, 0755});
         p.tmpfs.push_back({"/var/a", 4096, 4, 0755});
       }},
      {"bind that hides a tmpfs", "nesting",
       [](auto& p, auto&) {
         p.tmpfs.push_back({"/home/alice/work/t", 4096, 4, 0755});
       }},
      {"directory in a client's tree", "nesting", [](auto& p, auto&) { p.dirs.push_back("/home/alice/work/made"); }},
      {"directory in the host's /usr", "dirs", [](auto& p, auto&) { p.dirs = {"/usr/made"}; }},
      {"directory in a real root", "dirs", [](auto& p, auto&) { p.root = RootKind::kDirectory; }},
      {"too many binds", "counts", [](auto& p, auto&) { p.binds.resize(16); }},
      {"too many tmpfs", "counts", [](auto& p, auto&) { p.tmpfs.resize(kMaxTmpfs + 1); }},
      {"too many directories", "counts", [](auto& p, auto&) { p.dirs.resize(kMaxDirs + 1); }},
      {"too many arguments", "counts", [](auto& p, auto&) { p.job.argv.resize(kMaxArguments + 1); }},
      {"too many variables", "counts", [](auto& p, auto&) { p.job.env.resize(kMaxArguments + 1); }},
  };
}

std::vector<Case> amount_cases() {
  return {
      {"tmpfs larger", "tmpfs", [](auto& p, auto&) { p.tmpfs[0].size += 1; }},
      {"tmpfs with more inodes", "tmpfs", [](auto& p, auto&) { p.tmpfs[0].inodes += 1; }},
      {"tmpfs without a size", "tmpfs", [](auto& p, auto&) { p.tmpfs[0].size = 0; }},
      {"tmpfs without an inode cap", "tmpfs", [](auto& p, auto&) { p.tmpfs[0].inodes = 0; }},
      {"tmpfs of another mode", "tmpfs", [](auto& p, auto&) { p.tmpfs[0].mode = 0777; }},
      {"tmpfs setuid", "tmpfs",
       [](auto& p, auto&) {
         p.tmpfs.push_back({"/x", 4096, 4, 04755});
       }},
      {"tmpfs that isn't the profile's", "tmpfs",
       [](auto& p, auto& q) {
         p.tmpfs.push_back({"/x", 4096, 4, 0755});
         q.tmpfs_free = false;
       }},
      {"tmpfs of the profile left out", "tmpfs",
       [](auto& p, auto&) {
         p.tmpfs.erase(p.tmpfs.begin());
         p.dirs.clear();
       }},
      {"tmpfs sum", "scratch",
       [](auto& p, auto&) {
         p.tmpfs.push_back({"/x", 49 << 20, 4, 0755});
       }},
      {"tmpfs inode sum", "scratch",
       [](auto& p, auto&) {
         p.tmpfs.push_back({"/x", 4096, 16384, 0755});
       }},
      {"tmpfs sum that wraps", "scratch",
       [](auto& p, auto&) {
         p.tmpfs.push_back({"/x", kHuge, 4, 0755});
         p.tmpfs.push_back({"/y", kHuge, 4, 0755});
       }},
      {"wall time more", "limits.wall_time", [](auto& p, auto&) { p.limits.wall_time += 1; }},
      {"wall time none", "limits.wall_time", [](auto& p, auto&) { p.limits.wall_time = 0; }},
      {"nofile more", "limits.nofile", [](auto& p, auto&) { p.limits.nofile = 4097; }},
      {"nofile none", "limits.nofile", [](auto& p, auto&) { p.limits.nofile = 0; }},
      {"nofile none where the profile has none", "limits",
       [](auto& p, auto& q) {
         p.limits.nofile = 0;
         q.limits.nofile = 0;
       }},
      {"file size more", "limits.file_size_max", [](auto& p, auto&) { p.limits.file_size_max = kHuge; }},
      {"file size none", "limits.file_size_max", [](auto& p, auto&) { p.limits.file_size_max = 0; }},
      {"pids more", "limits.pids_max", [](auto& p, auto&) { p.limits.pids_max = 513; }},
      {"pids none", "limits.pids_max", [](auto& p, auto&) { p.limits.pids_max = 0; }},
      {"pids none where the profile has none", "limits",
       [](auto& p, auto& q) {
         p.limits.pids_max = 0;
         q.limits.pids_max = 0;
       }},
      {"scratch more", "limits.scratch_max", [](auto& p, auto&) { p.limits.scratch_max += 1; }},
      {"scratch none", "limits.scratch_max", [](auto& p, auto&) { p.limits.scratch_max = 0; }},
      {"inodes more", "limits.inodes_max", [](auto& p, auto&) { p.limits.inodes_max += 1; }},
      {"inodes none", "limits.inodes_max", [](auto& p, auto&) { p.limits.inodes_max = 0; }},
  };
}

std::vector<Case> job_cases() {
  return {
      {"no argv", "argv", [](auto& p, auto&) { p.job.argv.clear(); }},
      {"empty program", "argv", [](auto& p, auto&) { p.job.argv = {""}; }},
      {"NUL in argv", "argv", [](auto& p, auto&) { p.job.argv.push_back(std::string("a\0b", 3)); }},
      {"argument too long", "argv", [](auto& p, auto&) { p.job.argv.push_back(std::string(kMaxArgument + 1, 'a')); }},
      {"arguments too long in all", "argv",
       [](auto& p, auto&) { p.job.argv.resize(10, std::string(kMaxArgument, 'a')); }},
      {"variable without =", "env", [](auto& p, auto&) { p.job.env.push_back("PATH"); }},
      {"variable without a name", "env", [](auto& p, auto&) { p.job.env.push_back("=x"); }},
      {"empty variable", "env", [](auto& p, auto&) { p.job.env.push_back(""); }},
      {"NUL in a variable", "env", [](auto& p, auto&) { p.job.env.push_back(std::string("A=\0", 3)); }},
      {"variable twice", "env", [](auto& p, auto&) { p.job.env.push_back("PATH=/evil"); }},
      {"variable too long", "env", [](auto& p, auto&) { p.job.env.push_back("A=" + std::string(kMaxArgument, 'a')); }},
      {"workdir relative", "workdir", [](auto& p, auto&) { p.job.workdir = "work"; }},
      {"workdir empty", "workdir", [](auto& p, auto&) { p.job.workdir = ""; }},
      {"workdir with ..", "workdir", [](auto& p, auto&) { p.job.workdir = "/a/../.."; }},
      {"workdir in proc", "workdir", [](auto& p, auto&) { p.job.workdir = "/proc/self/fd/7"; }},
  };
}

class NarrowCase : public testing::TestWithParam<Case> {};

TEST_P(NarrowCase, IsRefusedByItsRule) {
  JailPlan plan = some_plan();
  Profile profile = some_profile();
  ASSERT_EQ(rule_of(plan, profile), "");
  GetParam().change(plan, profile);
  EXPECT_EQ(rule_of(plan, profile), GetParam().rule) << GetParam().name;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.name;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}
INSTANTIATE_TEST_SUITE_P(Identity, NarrowCase, testing::ValuesIn(identity_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(View, NarrowCase, testing::ValuesIn(view_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Files, NarrowCase, testing::ValuesIn(file_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Place, NarrowCase, testing::ValuesIn(place_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Amount, NarrowCase, testing::ValuesIn(amount_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Job, NarrowCase, testing::ValuesIn(job_cases()), case_name);

TEST(Narrow, RefusesEveryBadTargetOfEveryKindOfMount) {
  for (const std::string bad :
       {"",        "/",     "work",           "/a/",    "/a//b",     "/a/../b",    "/a/.", "/proc",
        "/proc/1", "/sys",  "/sys/fs/cgroup", "/dev",   "/dev/null", "/dev/shm/x", "/usr", "/etc",
        "/bin",    "/sbin", "/lib",           "/lib64", "/lib32",    "/libx32"}) {
    JailPlan bind = some_plan();
    bind.binds[1].target = bad;
    EXPECT_EQ(rule_of(bind, some_profile()), "target") << bad;
    JailPlan tmpfs = some_plan();
    tmpfs.tmpfs.push_back({bad, 4096, 4, 0755});
    EXPECT_EQ(rule_of(tmpfs, some_profile()), "target") << bad;
    JailPlan dir = some_plan();
    dir.dirs.push_back(bad);
    EXPECT_EQ(rule_of(dir, some_profile()), "target") << bad;
  }
}

TEST(Narrow, RefusesATargetWithANul) {
  JailPlan plan = some_plan();
  plan.binds[1].target = std::string("/a\0/etc", 7);
  EXPECT_EQ(rule_of(plan, some_profile()), "target");
}

TEST(Narrow, TakesTargetsBelowSystemDirectoriesAndNamesThatOnlyLookAlike) {
  for (const std::string good :
       {"/usr/src/x", "/etc/app", "/devel", "/process", "/system", "/libs", "/mnt", "/home/alice/work/.git"}) {
    JailPlan plan = some_plan();
    plan.binds[1].target = good;
    EXPECT_EQ(rule_of(plan, some_profile()), "") << good;
  }
}

TEST(Narrow, TakesWhatIsNarrowerInEveryLimit) {
  JailPlan plan = some_plan();
  plan.tmpfs = {{"/tmp", 1, 1, 01777}, {"/dev/shm", 1, 1, 01777}};
  plan.limits = {1, 1, 1, 1, 2, 2};
  plan.proc = ProcKind::kPid;
  EXPECT_EQ(rule_of(plan, some_profile()), "");
}

TEST(Narrow, TakesAnyLimitWhereTheProfileHasNone) {
  Profile profile = some_profile();
  profile.limits = {0, 0, 0, 0, 0, 0};
  JailPlan plan = some_plan();
  plan.limits = {kHuge, kHuge, 0, kHuge, 0, 0};
  plan.tmpfs.push_back({"/x", kHuge, kHuge, 0755});
  plan.tmpfs.push_back({"/y", kHuge, kHuge, 0755});
  EXPECT_EQ(rule_of(plan, profile), "");
}

TEST(Narrow, HoldsThePlanToItsOwnScratchBound) {
  JailPlan plan = some_plan();
  plan.limits.scratch_max = 1 << 20;
  EXPECT_EQ(rule_of(plan, some_profile()), "scratch");
}

TEST(Narrow, ShowsRootWhereTheProfileAllowsIt) {
  JailPlan plan = some_plan();
  plan.inside_uid = plan.inside_gid = 0;
  EXPECT_EQ(rule_of(plan, some_profile()), "");
}

TEST(Narrow, TakesAPlanWithoutAnyFileOfAClient) {
  JailPlan plan = some_plan();
  plan.has_token = false;
  plan.binds.clear();
  EXPECT_EQ(rule_of(plan, some_profile()), "");
}

TEST(Narrow, SaysWhatTheLauncherAnswers) {
  JailPlan plan = some_plan();
  plan.network = NetworkMode::kHost;
  const auto failed = check_narrows(plan, some_profile());
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->step, "narrow");
  EXPECT_EQ(failed->code, EPERM);
  EXPECT_TRUE(failed->denied);
  EXPECT_EQ(failed->detail, "network: host is not allowed (none)");
  EXPECT_FALSE(check_narrows(some_plan(), some_profile()));
}

TEST(Narrow, TellsAWrongRequestFromAWideOne) {
  JailPlan wide = some_plan();
  wide.limits.nofile = 5000;
  EXPECT_FALSE(find_breach(wide, some_profile())->malformed);
  JailPlan wrong = some_plan();
  wrong.job.argv.clear();
  EXPECT_TRUE(find_breach(wrong, some_profile())->malformed);
}

TEST(Narrow, AnyPlanThatDecodesFromNoiseIsHandled) {
  // Each single-byte change of an encoded plan either fails to decode or gets a verdict; none may crash.
  std::vector<std::uint8_t> bytes = encode(some_plan());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const std::uint8_t value : {0x00, 0x01, 0x7f, 0xff}) {
      std::vector<std::uint8_t> changed = bytes;
      changed[at] = value;
      JailPlan plan;
      if (decode(changed, plan)) (void)check_narrows(plan, some_profile());
    }
  }
}

TEST(Hostname, FollowsRfc1123) {
  for (const std::string& good : std::vector<std::string>{"a", "a-b", "build1", "A.b-c.d", "1", std::string(64, 'a')})
    EXPECT_TRUE(is_hostname(good)) << good;
  for (const std::string& bad :
       {std::string(), std::string("-a"), std::string("a-"), std::string("a..b"), std::string(".a"), std::string("a."),
        std::string("a_b"), std::string("a b"), std::string("a\nb"), std::string("a-.b"), std::string("a.-b"),
        std::string("\xc3\xa4"), std::string(65, 'a'), std::string("a\0b", 3)}) {
    EXPECT_FALSE(is_hostname(bad)) << bad;
  }
}

}  // namespace
}  // namespace sandboxd::wire
