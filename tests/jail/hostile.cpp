#include "tests/jail/hostile.h"

#include <unistd.h>

#include "base/ids.h"

namespace sandboxd::test {

std::unique_ptr<LauncherStack> Hostile::stack_{};
std::unique_ptr<HostileSandboxd> Hostile::client_{};
std::uint32_t Hostile::number_ = 0;

void Hostile::SetUpTestSuite() {
  if (::geteuid() != 0) return;
  stack_ = std::make_unique<LauncherStack>();
  client_ = stack_->connect();
}

void Hostile::TearDownTestSuite() {
  client_.reset();
  stack_.reset();
}

void Hostile::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the launcher";
  ASSERT_NE(client_, nullptr) << stack_->log();
}

void Hostile::expect_refused_plan(const wire::JailPlan& plan, const std::string& why) {
  const Launched launched = client().start(plan);
  ASSERT_TRUE(launched.failed.has_value()) << "it was started: " << why;
  EXPECT_TRUE(launched.failed->denied) << why << ": " << launched.failed->step << ": " << launched.failed->detail;
  EXPECT_TRUE(plan.number == 0 || plan.number >= kNumbersPerSlice || client().remove(plan.number)) << why;
  const auto left = [&] { return processes_of_ids(stack().slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail).size(); };
  EXPECT_TRUE(eventually([&] { return left() == 0; })) << why;
}

}  // namespace sandboxd::test
