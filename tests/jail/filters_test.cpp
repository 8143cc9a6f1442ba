// What a shipped profile's filter refuses, refused in a real jail of that profile: every call that a rule names, with every
// combination of arguments around the rule's conditions, and the errno that the rule gives.
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "seccomp-profiles/model/profile.h"
#include "tests/escape/escape.h"
#include "tests/sandboxees/call_row.h"
#include "tests/unit/seccomp-profiles/shipped.h"

namespace sandboxd::test {
namespace {

using filters::Args;
using filters::Profile;
using ::testing::HasSubstr;

constexpr std::uint32_t kUnknownCall = 4000;

std::string profiles_dir() { return std::string(SANDBOXD_SOURCE_DIR) + "/seccomp-profiles/profiles"; }

std::vector<std::string> shipped_profiles() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(profiles_dir())) names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

Result<Profile> shipped_profile(const std::string& name) {
  return filters::load_profile(name, [](std::string_view file) -> Result<std::vector<filters::SourceText>> {
    const std::string path = fmt::format("{}/{}.json", profiles_dir(), file);
    TRY_ASSIGN(std::string text, read_file(AT_FDCWD, path));
    return std::vector<filters::SourceText>{{path, std::move(text)}};
  });
}

#if defined(__x86_64__)
constexpr filters::Arch kArch = filters::Arch::kX86_64;
#else
constexpr filters::Arch kArch = filters::Arch::kAarch64;
#endif

// As our own evaluator has it, of what the compiler made of the profile's filter.
std::string refused_calls(const Profile& profile, std::size_t& count) {
  const auto compiled = filters::compile(filters::shipped_filter(profile.filter), kArch, profile.unix_sockets);
  std::string rows;
  const auto take = [&](std::uint32_t number, const Args& args) {
    const std::uint32_t answer = compiled->run(number, args);
    if ((answer & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO) return;
    CallRow row;
    row.number = number;
    row.error = static_cast<long>(answer & SECCOMP_RET_DATA);
    std::ranges::copy(args, std::begin(row.args));
    rows.append(reinterpret_cast<const char*>(&row), sizeof row);
    ++count;
  };
  for (const auto& [number, call] : compiled->bound.calls) {
    // The kernel asks no filter about these two (kernel/seccomp.c, Linux 6.14 and 6.17): they are of its own trampolines, and fail
    // anywhere else.
    if (call.name == "uprobe" || call.name == "uretprobe") continue;
    filters::for_each_args(call, [&, n = number](const Args& args) { take(n, args); });
  }
  take(kUnknownCall, Args{});
  return rows;
}

class RefusedCalls : public Escape {
 protected:
  static void SetUpTestSuite() {
    Escape::SetUpTestSuite();
    static_cast<void>(stack().dir().copy_program("probe_calls", "probes/probe_calls"));
  }
};
class Filters : public RefusedCalls, public ::testing::WithParamInterface<std::string> {};

TEST_P(Filters, RefuseInAJailWhatTheyRefuseOnPaper) {
  const Result<Profile> profile = shipped_profile(GetParam());
  ASSERT_TRUE(profile.ok()) << profile.error().message();
  std::size_t count = 0;
  const std::string rows = refused_calls(*profile, count);
  ASSERT_GT(count, 100U);
  const std::string file = "probes/rows-" + GetParam();
  static_cast<void>(stack().dir().write(file, rows));
  std::vector<std::string> options = {"--profile", GetParam()};
  if (std::ranges::find(profile->networks, "none") == profile->networks.end())
    options.insert(options.end(), {"--network", profile->networks.front()});
  const bool everybody = !profile->who.users && !profile->who.groups;
  if (!everybody) options.insert(options.end(), {"--socket", stack().runtime_dir() + "/admin.sock"});
  const uid_t caller = everybody ? kAlice : 0;
  const Output ran = stack().probe(caller, options, {"probe_calls", "/probes/rows-" + GetParam()});
  EXPECT_EQ(ran.status, 0) << describe(ran);
  EXPECT_THAT(ran.out, HasSubstr(fmt::format("{} made, 0 wrong", count)));
}

// The control: a call that is allowed is told to be.
TEST_F(RefusedCalls, AreToldFromAllowedOnes) {
  CallRow row;
  row.number = SYS_getpid;
  row.error = EPERM;
  static_cast<void>(stack().dir().write("probes/allowed", {reinterpret_cast<const char*>(&row), sizeof row}));
  const Output ran = stack().probe(kAlice, {}, {"probe_calls", "/probes/allowed"});
  EXPECT_EQ(ran.status, 1) << describe(ran);
  EXPECT_THAT(ran.out, HasSubstr("1 made, 1 wrong"));
}

INSTANTIATE_TEST_SUITE_P(Shipped, Filters, ::testing::ValuesIn(shipped_profiles()), [](const auto& one) {
  std::string name = one.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace sandboxd::test
