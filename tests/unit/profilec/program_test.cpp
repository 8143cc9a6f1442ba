// The program itself: what it refuses to run with, and what it hands over.
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/ids.h"
#include "daemon/wire/run_profilec.h"
#include "tests/unit/profilec/temp_tree.h"

namespace sandboxd::profilec {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kPatienceUsec = 20'000'000;
const std::string kPrefix = std::string(PROFILEC_PROGRAM).substr(0, std::string(PROFILEC_PROGRAM).rfind("/bin/"));

struct Outcome {
  int status = -1;
  std::string errors{};
};

// Runs the program with the caller's own rights; `no_new_privs` and the ids as asked.
Outcome run_program(std::vector<std::string> words, bool no_new_privs, uid_t uid) {
  int errors[2] = {-1, -1};
  EXPECT_EQ(::pipe2(errors, O_CLOEXEC), 0);
  words.insert(words.begin(), PROFILEC_PROGRAM);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(errors[1], 2);
    ::close(3);
    if (uid != ::getuid() && ::setresuid(uid, uid, uid) < 0) ::_exit(99);
    if (no_new_privs && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) ::_exit(98);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(PROFILEC_PROGRAM, argv.data());
    ::_exit(127);
  }
  ::close(errors[1]);
  Outcome outcome;
  Result<std::string> text = read_fd(errors[0]);
  outcome.errors = text.ok() ? std::move(text).value() : text.error().message();
  ::close(errors[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

TEST(ProfilecProgram, RefusesToRunWithCapabilities) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to have capabilities to refuse";
  const Outcome outcome = run_program({}, true, 0);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("refuse to run with capabilities"));
}

TEST(ProfilecProgram, RefusesToRunWithoutNoNewPrivs) {
  const uid_t uid = ::geteuid() == 0 ? 12345 : ::getuid();
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1) GTEST_SKIP() << "these tests run with no_new_privs already";
  const Outcome outcome = run_program({}, false, uid);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("refuse to run without no_new_privs"));
}

TEST(ProfilecProgram, RefusesUnknownArguments) {
  const Outcome outcome = run_program({"--chekc"}, true, ::getuid());
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("unknown argument '--chekc'"));
}

TEST(ProfilecProgram, ChecksForAnyone) {
  const uid_t uid = ::geteuid() == 0 ? 12345 : ::getuid();
  const Outcome outcome = run_program({"--check"}, false, uid);
  EXPECT_EQ(outcome.status, 0) << outcome.errors;
}

class HandsOver : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: it starts profilec as an id of its own";
    struct stat info {};
    ASSERT_EQ(::stat((kPrefix + "/share/sandboxd/profiles").c_str(), &info), 0) << kPrefix;
    if (info.st_uid != 0) GTEST_SKIP() << "needs a build tree that is root's";
    run_ = {PROFILEC_PROGRAM, "", kPrefix, own_id(kPoolLast + 1 - kIdsPerSlice, OwnId::kProfilec),
            monotonic_usec() + kPatienceUsec};
  }
  wire::ProfilecRun run_{};
};

TEST_F(HandsOver, ASealedSetWithTheShippedProfiles) {
  const Result<wire::LoadedProfiles> loaded = wire::run_profilec(run_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message();
  EXPECT_NE(loaded->set.find("default"), nullptr);
  EXPECT_NE(loaded->set.find("strict"), nullptr);
  EXPECT_EQ(::fcntl(loaded->memfd.get(), F_GET_SEALS) & 15, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  EXPECT_LT(::pwrite(loaded->memfd.get(), "x", 1, 0), 0);
}

TEST_F(HandsOver, NothingForAWrongConfiguration) {
  const TempTree tree;
  run_.config = tree.write("sandboxd.json", R"({"wrong":1})");
  EXPECT_FALSE(wire::run_profilec(run_).ok());
}

TEST_F(HandsOver, NothingForAConfigurationThatIsNotRoots) {
  const TempTree tree;
  run_.config = tree.write("sandboxd.json", "{}");
  ASSERT_TRUE(wire::run_profilec(run_).ok());
  ASSERT_EQ(::chmod(run_.config.c_str(), 0666), 0);
  run_.deadline = monotonic_usec() + kPatienceUsec;
  EXPECT_FALSE(wire::run_profilec(run_).ok());
}

}  // namespace
}  // namespace sandboxd::profilec
