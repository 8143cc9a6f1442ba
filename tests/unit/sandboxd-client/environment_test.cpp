#include "sandboxd-client/ctl/environment.h"

#include <cstdlib>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include "base/file.h"

namespace sandboxd::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Pair = Environment::value_type;

const char* const kOwn[] = {"PATH=/bin", "HOME=/h", "HOMER=no", "TERM=xterm", "SECRET=s", "EMPTY=", nullptr};

class EnvFile : public ::testing::Test {
 protected:
  EnvFile() {
    const UniqueFd fd(::mkstemp(name_));
    fd_ok_ = fd.valid();
  }
  ~EnvFile() override { ::unlink(name_); }
  std::string with(std::string_view text) {
    EXPECT_TRUE(fd_ok_);
    EXPECT_TRUE(write_file_at(AT_FDCWD, name_, text).ok());
    return name_;
  }
  char name_[32] = "/tmp/env-file-XXXXXX";
  bool fd_ok_ = false;
};

TEST(Environment, IsClearedToFourVariables) {
  EXPECT_THAT(*make_environment({}, {}, kOwn),
              UnorderedElementsAre(Pair("PATH", "/bin"), Pair("HOME", "/h"), Pair("TERM", "xterm")));
}

TEST(Environment, HasAPathWhenTheCallerHasNone) {
  const char* const none[] = {nullptr};
  EXPECT_THAT(*make_environment({}, {}, none), UnorderedElementsAre(Pair("PATH", "/usr/local/bin:/usr/bin:/bin")));
}

TEST(Environment, TakesSettingsTheLastOneWins) {
  EXPECT_THAT(*make_environment({}, {"A=1", "HOME=/x", "A=b=c", "B="}, kOwn),
              UnorderedElementsAre(Pair("PATH", "/bin"), Pair("HOME", "/x"), Pair("TERM", "xterm"), Pair("A", "b=c"),
                                   Pair("B", "")));
}

TEST(Environment, CopiesANameAloneAndLeavesOutWhatTheCallerLacks) {
  const Environment made = *make_environment({}, {"SECRET", "EMPTY", "MISSING"}, kOwn);
  EXPECT_THAT(made, UnorderedElementsAre(Pair("PATH", "/bin"), Pair("HOME", "/h"), Pair("TERM", "xterm"),
                                         Pair("SECRET", "s"), Pair("EMPTY", "")));
}

TEST(Environment, RefusesASettingWithoutAName) {
  EXPECT_THAT(make_environment({}, {"=x"}, kOwn).error().message(), HasSubstr("--env: '=x' has no name"));
}

TEST_F(EnvFile, GivesVariablesThatSettingsOverride) {
  const std::string file = with("# a comment\n\n  A=1\nB= x 'y'\r\nSECRET\nTERM=dumb");
  EXPECT_THAT(*make_environment({file}, {"A=2"}, kOwn),
              UnorderedElementsAre(Pair("PATH", "/bin"), Pair("HOME", "/h"), Pair("TERM", "dumb"), Pair("A", "2"),
                                   Pair("B", " x 'y'"), Pair("SECRET", "s")));
}

TEST_F(EnvFile, NamesTheLineThatIsWrong) {
  EXPECT_THAT(make_environment({with("A=1\n=2\n")}, {}, kOwn).error().message(), HasSubstr("line 2: '=2' has no name"));
}

TEST(Environment, NamesAFileThatIsMissing) {
  EXPECT_THAT(make_environment({"/nonexistent"}, {}, kOwn).error().message(), HasSubstr("--env-file '/nonexistent'"));
}

}  // namespace
}  // namespace sandboxd::ctl
