// The fixture of the checks on a sandboxd that was taken over: the launcher and its neighbours are real, the test speaks for
// sandboxd.
#pragma once

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/launcher_stack.h"
#include "tests/support/stack.h"

namespace sandboxd::test {

class Hostile : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
  void SetUp() override;

  static LauncherStack& stack() { return *stack_; }
  // One connection for all tests, since each test leaves it usable; another one: stack().connect().
  static HostileSandboxd& client() { return *client_; }
  // A number that no test used before.
  static std::uint32_t next_number() { return ++number_; }
  // The launch is refused, and nothing of it is there.
  static void expect_refused_plan(const wire::JailPlan& plan, const std::string& why);

 private:
  static std::unique_ptr<LauncherStack> stack_;
  static std::unique_ptr<HostileSandboxd> client_;
  static std::uint32_t number_;
};

}  // namespace sandboxd::test
