// Output without measure, through the whole daemon: its own memory stays as it is, and another jail goes on.
#include <cstdlib>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/command.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

using testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr long kMostGrowthKib = 256 * 1024;  // what is freed is kept, to be looked at
#else
constexpr long kMostGrowthKib = 8 * 1024;
#endif

class OutputFlood : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    stack_ = std::make_unique<Stack>();
    ASSERT_EQ(stack_->failure(), "");
    ASSERT_EQ(stack_->ctl(kAlice, {"run", "--", "/bin/true"}).status, 0) << "what grows once is grown";
    before_ = resident_kib();
  }
  [[nodiscard]] long resident_kib() const {
    return std::atol(status_line(stack_->program("sandboxd"), "VmRSS").c_str());
  }
  // Through the daemon, counted, logged, and cut in the middle by a limit above what comes.
  [[nodiscard]] CommandSpec flood(const std::string& name, const std::string& script) const {
    CommandSpec spec = stack_->ctl_spec(
        kAlice, {"run", "--stdio=relay", "--log", "--output-max=4G", "--name", name, "--", "/bin/sh", "-c", script});
    spec.timeout_ms = 120'000;
    return spec;
  }
  void expect_service() const {
    for (int i = 0; i < 5; ++i) {
      const Output other = stack_->ctl(kBob, {"run", "--", "/bin/echo", "goes on"});
      EXPECT_EQ(other.out, "goes on\n") << describe(other);
    }
  }

  std::unique_ptr<Stack> stack_{};
  long before_ = 0;
};

TEST_F(OutputFlood, E47_OfAGibibyteToAReaderThatNeverReadsHoldsUpItsJobAlone) {
  // The client's standard output is a pipe that nobody reads until finish().
  Command command(flood("flood", "head -c 1G /dev/zero; echo written >/tmp/done; sleep 1000"));
  ASSERT_TRUE(eventually([&] { return stack_->ctl(kAlice, {"ps"}).out.find("flood") != std::string::npos; }, 30'000));
  expect_service();
  EXPECT_LT(resident_kib() - before_, kMostGrowthKib);
  EXPECT_NE(stack_->ctl(kAlice, {"exec", "flood", "--", "/bin/cat", "/tmp/done"}).status, 0)
      << "it waits for its reader";
  EXPECT_EQ(stack_->ctl(kAlice, {"kill", "--grace=0s", "flood"}).status, 0);
  EXPECT_LT(command.finish().out.size(), 64U << 20);
}

TEST_F(OutputFlood, E47_OfOneLineOf100MebibytesIsPassedWhole) {
  CommandSpec spec = flood("line", "head -c 100M /dev/zero; echo; echo end >&2");
  const Output ran = test::run(std::move(spec));
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out.size(), (100U << 20) + 1);
  EXPECT_THAT(ran.err, HasSubstr("end"));
  EXPECT_LT(resident_kib() - before_, kMostGrowthKib);
  expect_service();
}

}  // namespace
}  // namespace sandboxd::test
