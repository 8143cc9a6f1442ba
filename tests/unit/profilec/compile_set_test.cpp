// Whole sets from the shipped files, overridden and broken ones; and whose files they may be.
#include "daemon/profilec/compile_set.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <tuple>

#include <linux/audit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bpf.h"
#include "daemon/wire/codec.h"
#include "daemon/wire/run_profilec.h"
#include "tests/unit/profilec/temp_tree.h"

namespace sandboxd::profilec {
namespace {

using testing::Contains;
using testing::HasSubstr;

const std::string kShipped = std::string(SHARE_DIR) + "/profiles";

// Folders of profiles that exist in the test only, below the shipped one.
SetSources with_folder(const TempTree& tree, const std::string& more = "") {
  const std::string config =
      tree.write("sandboxd.json", R"({"profile_dirs":[")" + tree.path() + R"(/profiles.d"])" + more + "}");
  std::filesystem::create_directories(tree.path() + "/profiles.d");
  return {config, kShipped, Owner::kAnyone};
}

TEST(CompileSet, ShipsItsProfiles) {
  const TempTree tree;
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_TRUE(set.ok()) << set.error().message();
  ASSERT_EQ(set->profiles.size(), 14U);
  const wire::Profile* normal = set->find("default");
  ASSERT_NE(normal, nullptr);
  EXPECT_EQ(normal->roots, 7U);
  EXPECT_EQ(normal->networks, bit(wire::NetworkMode::kNone));
  EXPECT_EQ(normal->workspace, 3U);
  EXPECT_EQ(normal->proc, wire::ProcKind::kFull);
  EXPECT_EQ(normal->unix_sockets, wire::UnixSockets::kNone);
  EXPECT_EQ(normal->limits.nofile, 65536U);
  EXPECT_EQ(normal->limits.scratch_max, 1ULL << 30);
  EXPECT_EQ(normal->limits.wall_time, 0U);
  EXPECT_THAT(normal->etc, Contains("ld.so.cache"));
  EXPECT_THAT(normal->hidden_names, Contains("*TOKEN*"));
  const wire::Profile* strict = set->find("strict");
  ASSERT_NE(strict, nullptr);
  EXPECT_EQ(strict->proc, wire::ProcKind::kPid);
  EXPECT_EQ(strict->workspace, bit(wire::Access::kRo));
  EXPECT_EQ(strict->networks, bit(wire::NetworkMode::kNone));
  EXPECT_EQ(strict->limits.wall_time, 60'000'000U);
  EXPECT_NE(strict->filter, normal->filter);
  const wire::Profile* networked = set->find("host-network");
  ASSERT_NE(networked, nullptr);
  EXPECT_EQ(networked->networks, 3U);
  EXPECT_EQ(networked->filter, normal->filter);
  for (const std::string name : {"agent", "build", "elixir", "go", "node", "python", "ruby", "rust", "scanner"}) {
    ASSERT_NE(set->find(name), nullptr) << name;
    EXPECT_EQ(set->find(name)->networks, bit(wire::NetworkMode::kNone)) << name;
    EXPECT_EQ(set->find(name)->unix_sockets, wire::UnixSockets::kNone) << name;
  }
}

TEST(CompileSet, TakesAProfilesFilesAlongAndIntoItsHash) {
  const TempTree tree;
  const SetSources sources = with_folder(tree);
  const std::string text =
      R"({"name":"mine","description":"d","inherits":"default","roots":["usr"],"files":{"a/b.txt":"b"}})";
  tree.write("profiles.d/mine.json", text);
  EXPECT_THAT(compile_set(sources).error().message(), HasSubstr("profile 'mine': file 'a/b.txt': no file 'b' in"));
  tree.write("files.d/b", "one");
  const Result<wire::ProfileSet> first = compile_set(sources);
  ASSERT_TRUE(first.ok()) << first.error().message();
  EXPECT_EQ(first->find("mine")->files, (std::vector<wire::ProfileFile>{{"a/b.txt", "one"}}));
  tree.write("files.d/b", "two");
  const Result<wire::ProfileSet> second = compile_set(sources);
  ASSERT_TRUE(second.ok());
  EXPECT_NE(second->find("mine")->hash, first->find("mine")->hash);
  tree.write("files.d/b", std::string(kMaxFile + 1, 'x'));
  EXPECT_THAT(compile_set(sources).error().message(), HasSubstr("at most 65536"));
}

TEST(CompileSet, LooksUpWhoMayUseAProfile) {
  const TempTree tree;
  SetSources sources = with_folder(tree);
  sources.accounts = {tree.write("passwd", "alice:x:1000:1000:::\n"),
                      tree.write("group", "alice:x:1001:\ndevs:x:2000:x\n")};
  tree.write("profiles.d/ours.json",
             R"({"name":"ours","description":"d","inherits":"default","users":["alice",7],"groups":["devs"]})");
  const Result<wire::ProfileSet> set = compile_set(sources);
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_EQ(set->find("ours")->who, (wire::ProfileUsers{true, {{"alice", 1000}, {"7", 7}}, {{"devs", 2000}}}));
  EXPECT_FALSE(set->find("default")->who.restricted);
  EXPECT_NE(set->find("ours")->hash, set->find("default")->hash);
  sources.accounts.group = tree.write("other", "users:x:100:\n");
  EXPECT_THAT(compile_set(sources).error().message(), HasSubstr("profile 'ours': no group 'devs' in"));
  EXPECT_THAT(compile_set(sources).error().message(), HasSubstr("give the id as a number"));
}

TEST(CompileSet, HashesTellSetsApart) {
  const TempTree tree;
  const Result<wire::ProfileSet> first = compile_set(with_folder(tree));
  const Result<wire::ProfileSet> again = compile_set(with_folder(tree));
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(first->hash, again->hash);
  EXPECT_EQ(first->hash, wire::hash_of(*first));
  for (const wire::Profile& profile : first->profiles) EXPECT_EQ(profile.hash, wire::hash_of(profile));
  tree.write("profiles.d/strict.json",
             R"({"name":"strict","description":"ours","inherits":"strict","limits":{"nofile":255}})");
  const Result<wire::ProfileSet> other = compile_set(with_folder(tree));
  ASSERT_TRUE(other.ok()) << other.error().message();
  EXPECT_NE(other->hash, first->hash);
  EXPECT_NE(other->find("strict")->hash, first->find("strict")->hash);
  EXPECT_EQ(other->find("default")->hash, first->find("default")->hash);
  EXPECT_EQ(other->find("strict")->limits.nofile, 255U);
}

TEST(CompileSet, NotesSayWhichRuleGaveAnAnswer) {
  const TempTree tree;
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_TRUE(set.ok()) << set.error().message();
  ASSERT_FALSE(set->calls.empty());
  const auto answer = [](const std::vector<std::uint8_t>& bytes, const seccomp_data& data) {
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    std::memcpy(program.data(), bytes.data(), bytes.size());
    return run_filter(program, data).value_or(SECCOMP_RET_KILL_PROCESS);
  };
  for (const wire::Profile& profile : set->profiles) {
    const wire::FilterNotes* notes = set->notes_of(profile);
    ASSERT_NE(notes, nullptr) << profile.name;
    ASSERT_FALSE(notes->program.empty()) << profile.name;
    std::size_t refused = 0;
    for (const wire::CallName& call : set->calls) {
      seccomp_data data{};
      data.nr = static_cast<int>(call.number);
#if defined(__x86_64__)
      data.arch = AUDIT_ARCH_X86_64;
#else
      data.arch = AUDIT_ARCH_AARCH64;
#endif
      const std::uint32_t index = answer(notes->program, data) & SECCOMP_RET_DATA;
      ASSERT_LT(index, notes->rules.size()) << profile.name << " " << call.name;
      EXPECT_NE(notes->rules[index].why, "") << profile.name << " " << call.name;
      const bool refuses = (answer(profile.filter, data) & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
      if (refuses && index > 1) ++refused;
      if (!refuses || call.name != "mount") continue;
      EXPECT_THAT(notes->rules[index].place, HasSubstr("refusals.json line "));
    }
    EXPECT_GT(refused, 10U) << profile.name;
  }
}

TEST(CompileSet, TheFilterFollowsUnixSockets) {
  const TempTree tree;
  tree.write("profiles.d/chatty.json",
             R"({"name":"chatty","description":"d","inherits":"default","unix_sockets":"any"})");
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_NE(set->find("chatty")->filter, set->find("default")->filter);
  EXPECT_EQ(set->find("chatty")->unix_sockets, wire::UnixSockets::kAny);
}

TEST(CompileSet, AFilterBesideOverridesTheShippedOne) {
  const TempTree tree;
  tree.write("profiles.d/tiny.json", R"({"name":"tiny","description":"d","inherits":"strict","filter":"tiny"})");
  tree.write("filters.d/tiny.json",
             R"({"name":"tiny","description":"d","default":{"action":"errno","errno":"ENOSYS","why":"w"},
    "foreign_abi":{"action":"kill_process","why":"w"},"rules":[{"include":"groups"},{"syscalls":["@default"],"action":"allow","why":"w"}]})");
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_LT(set->find("tiny")->filter.size(), set->find("strict")->filter.size());
}

TEST(CompileSet, OneWrongFileRefusesAll) {
  const TempTree tree;
  tree.write("profiles.d/broken.json", R"({"name":"broken","description":"d","inherits":"default","filtre":"x"})");
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(set.error().message(),
              HasSubstr("profiles.d/broken.json' line 1, at '.': unknown key 'filtre'; did you mean 'filter'?"));
}

TEST(CompileSet, AFilterThatIsMissingIsNamed) {
  const TempTree tree;
  tree.write("profiles.d/lost.json", R"({"name":"lost","description":"d","inherits":"default","filter":"nothere"})");
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(set.error().message(), HasSubstr("profile 'lost': filter 'nothere': no filter file 'nothere.json' in "));
}

TEST(CompileSet, TheDefaultProfileMustExist) {
  const TempTree tree;
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree, R"(,"default_profile":"nothere")"));
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(set.error().message(), HasSubstr("default_profile is 'nothere'"));
}

TEST(CompileSet, AFolderThatIsNamedMustExist) {
  const TempTree tree;
  const SetSources sources{tree.write("sandboxd.json", R"({"profile_dirs":["/nonexistent/profiles"]})"), kShipped,
                           Owner::kAnyone};
  const Result<wire::ProfileSet> set = compile_set(sources);
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code, ENOENT);
}

TEST(CompileSet, AConfigurationThatIsNamedMustExist) {
  const TempTree tree;
  const Result<wire::ProfileSet> set = compile_set({tree.path() + "/none.json", kShipped, Owner::kAnyone});
  ASSERT_FALSE(set.ok());
  EXPECT_EQ(set.error().code, ENOENT);
}

TEST(CompileSet, SurvivesTheWire) {
  const TempTree tree;
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_TRUE(set.ok());
  wire::ProfileSet copy;
  ASSERT_TRUE(wire::decode(wire::encode(*set), copy));
  EXPECT_EQ(copy, *set);
}

// A file that is not root's: the caller's own, or, for root, somebody's.
void give_away(const std::string& path) {
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
}

TEST(OwnerCheck, RefusesAFileThatIsNotRoots) {
  const TempTree tree;
  const std::string file = tree.write("x.json", "{}");
  give_away(file);
  const Result<std::string> text = read_checked_file(file, Owner::kRoot);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().code, EPERM);
  EXPECT_THAT(text.error().message(), HasSubstr("must be owned by root"));
  EXPECT_TRUE(::geteuid() != 0 || read_checked_file(file, Owner::kAnyone).ok());
}

TEST(OwnerCheck, RefusesAFolderOnTheWayThatIsNotRoots) {
  const TempTree tree;
  const std::string file = tree.write("a/b/x.json", "{}");
  give_away(tree.path() + "/a");
  const Result<std::string> text = read_checked_file(file, Owner::kRoot);
  ASSERT_FALSE(text.ok());
  EXPECT_THAT(text.error().message(), HasSubstr("must be owned by root"));
}

TEST(OwnerCheck, RefusesWhatOthersCanWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: only root's files come this far";
  const TempTree tree;
  const std::string file = tree.write("x.json", "{}");
  ASSERT_TRUE(read_checked_file(file, Owner::kRoot).ok());
  ASSERT_EQ(::chmod(file.c_str(), 0664), 0);
  EXPECT_FALSE(read_checked_file(file, Owner::kRoot).ok());
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(tree.path().c_str(), 0777), 0);
  EXPECT_FALSE(read_checked_file(file, Owner::kRoot).ok());
}

TEST(OwnerCheck, RefusesSymbolicLinks) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: only root's files come this far";
  const TempTree tree;
  const std::string file = tree.write("real/x.json", "{}");
  ASSERT_EQ(::symlink("real", (tree.path() + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("x.json", (tree.path() + "/real/y.json").c_str()), 0);
  ASSERT_TRUE(read_checked_file(file, Owner::kRoot).ok());
  EXPECT_FALSE(read_checked_file(tree.path() + "/link/x.json", Owner::kRoot).ok());
  EXPECT_FALSE(read_checked_file(tree.path() + "/real/y.json", Owner::kRoot).ok());
}

TEST(OwnerCheck, RefusesAProfileOfASetThatIsNotRoots) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: only root's files come this far";
  const TempTree tree;
  SetSources sources = with_folder(tree);
  std::filesystem::copy(kShipped, tree.path() + "/profiles");
  for (const std::string name : {"/filters", "/presets", "/files"})
    std::filesystem::copy(SHARE_DIR + name, tree.path() + name);
  sources.shipped_profiles = tree.path() + "/profiles";
  sources.owner = Owner::kRoot;
  ASSERT_TRUE(compile_set(sources).ok()) << compile_set(sources).error().message();
  give_away(tree.path() + "/filters/groups.json");
  EXPECT_THAT(compile_set(sources).error().message(), HasSubstr("groups.json' must be owned by root"));
  ASSERT_EQ(::chown((tree.path() + "/filters/groups.json").c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod((tree.path() + "/filters/groups.json").c_str(), 0644), 0);
  give_away(tree.path() + "/files/ruby-lint.rb");
  EXPECT_THAT(compile_set(sources).error().message(), HasSubstr("ruby-lint.rb' must be owned by root"));
}

TEST(SourceFiles, AFifoDoesNotHoldTheStart) {
  const TempTree tree;
  SetSources sources = with_folder(tree);
  ASSERT_EQ(::mkfifo((tree.path() + "/profiles.d/pipe.json").c_str(), 0644), 0);
  const Result<wire::ProfileSet> set = compile_set(sources);
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(set.error().message(), HasSubstr("is no regular file"));
}

TEST(SourceFiles, FiltersAndPresetsLieBesideProfiles) {
  EXPECT_EQ(folder_beside("/usr/share/sandboxd/profiles", "filters"), "/usr/share/sandboxd/filters");
  EXPECT_EQ(folder_beside("/etc/sandboxd/profiles.d", "presets"), "/etc/sandboxd/presets.d");
  EXPECT_EQ(folder_beside("/profiles/mine", "filters"), "/profiles/mine/filters");
}

constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::uint64_t kGiB = 1U << 30;

const wire::Preset& preset_of(const wire::ProfileSet& set, std::string_view name) {
  for (const wire::Preset& preset : set.presets) {
    if (preset.name == name) return preset;
  }
  ADD_FAILURE() << "no preset " << name;
  return set.presets.front();
}

TEST(Presets, ShipsTheSevenThatTheManualNames) {
  const TempTree tree;
  SetSources sources = with_folder(tree);
  sources.host.memory = 16 * kGiB;
  const Result<wire::ProfileSet> set = compile_set(sources);
  ASSERT_TRUE(set.ok()) << set.error().message();
  struct Figures {
    std::string_view name;
    std::uint64_t cores, memory, scratch, pids, nofile, wall;
  };
  const Figures expected[] = {{"default", 0, 2 * kGiB, kGiB, 512, 4096, 0},
                              {"hardened", 500, 512 * kMiB, kGiB, 32, 1024, 60'000'000},
                              {"agent-default", 1000, 512 * kMiB, 128 * kMiB, 512, 4096, 0},
                              {"test-generator", 2000, 2 * kGiB, 512 * kMiB, 512, 4096, 0},
                              {"coverage-analyzer", 1000, kGiB, 256 * kMiB, 512, 4096, 0},
                              {"security-scanner", 2000, 4 * kGiB, kGiB, 512, 4096, 0},
                              {"build", 0, 8 * kGiB, kGiB, 4096, 4096, 0}};
  EXPECT_EQ(set->presets.size(), std::size(expected));
  for (const Figures& one : expected) {
    const Limits& limits = preset_of(*set, one.name).limits;
    const Figures found{one.name,        limits.cpu_max, limits.memory_max, limits.scratch_max,
                        limits.pids_max, limits.nofile,  limits.wall_time};
    EXPECT_EQ(std::tie(found.cores, found.memory, found.scratch, found.pids, found.nofile, found.wall),
              std::tie(one.cores, one.memory, one.scratch, one.pids, one.nofile, one.wall))
        << one.name;
    EXPECT_EQ(limits.memory_swap_max, 0U) << one.name;
    EXPECT_EQ(limits.cpu_weight, 100U) << one.name;
  }
}

TEST(Presets, TheDefaultIsHalfOfASmallHost) {
  const TempTree tree;
  SetSources sources = with_folder(tree);
  sources.host.memory = kGiB;
  const Result<wire::ProfileSet> set = compile_set(sources);
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_EQ(set->presets.front().name, "default");
  EXPECT_EQ(set->presets.front().limits.memory_max, 512 * kMiB);
}

TEST(Presets, ASiteOverridesAndAdds) {
  const TempTree tree;
  tree.write("presets.d/default.json",
             R"({"name":"default","description":"d","limits":{"memory_max":"64M","pids_max":9,"nofile":8}})");
  tree.write("presets.d/mine.json", R"({"name":"mine","description":"d","limits":{"cpu_time":"5s"}})");
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_TRUE(set.ok()) << set.error().message();
  const Limits& mine = preset_of(*set, "mine").limits;
  EXPECT_EQ(mine.cpu_time, 5'000'000U);
  EXPECT_EQ(mine.memory_max, 64 * kMiB);
  EXPECT_EQ(mine.pids_max, 9U);
  EXPECT_EQ(preset_of(*set, "hardened").limits.pids_max, 32U);
}

TEST(Presets, OneWrongFileRefusesAll) {
  const TempTree tree;
  tree.write("presets.d/broken.json",
             "{\"name\":\"broken\",\"description\":\"d\",\n\"limits\":{\"pids_max\":\"many\"}}");
  const Result<wire::ProfileSet> set = compile_set(with_folder(tree));
  ASSERT_FALSE(set.ok());
  EXPECT_THAT(set.error().message(),
              HasSubstr("presets.d/broken.json' line 2, at 'limits.pids_max': is 'many'; expected an integer"));
}

TEST(Presets, TheirChangeChangesTheSetsHash) {
  const TempTree tree;
  const Result<wire::ProfileSet> before = compile_set(with_folder(tree));
  tree.write("presets.d/mine.json", R"({"name":"mine","description":"d","limits":{}})");
  const Result<wire::ProfileSet> after = compile_set(with_folder(tree));
  ASSERT_TRUE(before.ok() && after.ok());
  EXPECT_NE(before->hash, after->hash);
}

// By root's files alone: the test's own, where it is root.
TEST(CompileSet, KnowsWhoseSubordinateIdsAre) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const TempTree tree;
  SetSources sources = with_folder(tree);
  sources.accounts.passwd = tree.write("passwd", "alice:x:4242:4242::/:/bin/sh\n");
  sources.accounts.subuid = tree.write("subuid", "alice:100000:65536\n");
  const Result<wire::ProfileSet> set = compile_set(sources);
  ASSERT_TRUE(set.ok()) << set.error().message();
  EXPECT_EQ(owner_of(set->owners, 165535), 4242U);
  sources.accounts.subuid = tree.path() + "/none";
  const Result<wire::ProfileSet> without = compile_set(sources);
  ASSERT_TRUE(without.ok()) << without.error().message();
  EXPECT_TRUE(without->owners.empty());
  EXPECT_NE(set->hash, without->hash);
}

}  // namespace
}  // namespace sandboxd::profilec
