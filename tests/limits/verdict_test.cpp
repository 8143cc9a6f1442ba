// What the daemon says of a jail that the kernel ended or held back for a limit of its cgroup: verdict, report and events. Where
// the host has the controllers; in the guest nothing may be skipped.
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/command.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

using testing::HasSubstr;

class LimitVerdict : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (::geteuid() != 0) return;
    stack_ = std::make_unique<Stack>();
    static_cast<void>(stack_->dir().copy_program("limit_hog", "probes/limit_hog"));
  }
  static void TearDownTestSuite() { stack_.reset(); }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    ASSERT_EQ(stack_->failure(), "");
    const bool has = has_controller("memory") && has_controller("pids") && has_controller("cpu");
    EXPECT_TRUE(has || std::getenv("SANDBOXD_GUEST") == nullptr) << "the guest has lost its controllers";
    if (!has) GTEST_SKIP() << "this host's cgroups lack controllers";
  }
  // As JSON: what it printed, then its report.
  static Output hog(std::vector<std::string> options, std::vector<std::string> words) {
    options.insert(options.begin(), "--json");
    words.insert(words.begin(), "limit_hog");
    return stack_->probe(kAlice, std::move(options), std::move(words));
  }
  static std::string events() { return stack_->ctl(kAlice, {"events", "--json"}).out; }

  static std::unique_ptr<Stack> stack_;
};
std::unique_ptr<Stack> LimitVerdict::stack_{};

TEST_F(LimitVerdict, OfAMemoryHogIsOomWhateverItTook) {
  for (const char* kind : {"anonymous", "processes", "tmpfs"}) {
    const Output ran = hog({"--memory-max=32M"}, {kind, "256"});
    EXPECT_EQ(ran.status, 137) << kind << ": " << describe(ran);
    EXPECT_THAT(ran.out, HasSubstr(R"("verdict":"oom")")) << kind;
    EXPECT_THAT(ran.out, HasSubstr("cgroup memory.max")) << kind;
    EXPECT_THAT(ran.out, HasSubstr("memory_max")) << kind;
  }
  EXPECT_THAT(events(), HasSubstr("\"oom\""));
}

TEST_F(LimitVerdict, OfWhatFitsIsItsOwn) {
  const Output ran = hog({"--memory-max=64M", "--pids-max=30", "--cpu-max=0.5"}, {"anonymous", "16"});
  EXPECT_EQ(ran.status, 0) << describe(ran);
  EXPECT_THAT(ran.out, HasSubstr(R"("verdict":"exited")"));
  EXPECT_THAT(ran.out, HasSubstr(R"("unenforced":[])"));
}

TEST_F(LimitVerdict, OfRefusedForksIsTheJobsOwnAndAnEventSaysSo) {
  const Output ran = hog({"--pids-max=16"}, {"forks", "100"});
  EXPECT_EQ(ran.status, 0) << describe(ran);
  EXPECT_THAT(ran.out, HasSubstr("forks 15 EAGAIN"));
  EXPECT_TRUE(eventually([] { return events().find("\"pids_limit\"") != std::string::npos; })) << events();
}

TEST_F(LimitVerdict, OfAThrottledJobIsItsOwnAndUsageSaysHowLong) {
  const Output ran = hog({"--cpu-max=0.3"}, {"spin", "4000"});
  EXPECT_EQ(ran.status, 0) << describe(ran);
  EXPECT_THAT(ran.out, testing::Not(HasSubstr(R"("throttled":0)")));
  EXPECT_TRUE(eventually([] { return events().find("\"throttled\"") != std::string::npos; })) << events();
}

TEST_F(LimitVerdict, OfAnExecsMemoryIsTheWholeSessions) {
  Output made = stack_->ctl(kAlice, {"create", "--memory-max=32M", "--ro-bind", stack_->probes() + ":/probes"});
  ASSERT_EQ(made.status, 0) << describe(made);
  const std::string jail = made.out.substr(0, made.out.find('\n'));
  const Output ran = stack_->ctl(kAlice, {"exec", "--json", jail, "--", "/probes/limit_hog", "anonymous", "256"});
  EXPECT_EQ(ran.status, 137) << describe(ran);
  EXPECT_THAT(ran.out, HasSubstr(R"("verdict":"oom")"));
  EXPECT_NE(stack_->ctl(kAlice, {"exec", jail, "--", "/bin/true"}).status, 0) << "it died as a whole";
}

TEST_F(LimitVerdict, OfAFullTmpfsIsTheJobsOwnAndAnEventSaysSo) {
  const Output begun = hog({"--detach", "--name=full", "--scratch-max=16M"}, {"full"});
  ASSERT_EQ(begun.status, 0) << describe(begun);
  const auto told = [] { return events().find(R"("disk_full")") != std::string::npos; };
  EXPECT_TRUE(eventually(told, 30'000)) << events();
  EXPECT_THAT(events(), HasSubstr("/tmp"));
  EXPECT_EQ(stack_->ctl(kAlice, {"kill", "--grace=0s", "full"}).status, 0);
}

}  // namespace
}  // namespace sandboxd::test
