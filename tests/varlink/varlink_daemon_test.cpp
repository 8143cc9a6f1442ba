// Every method of ours on a real daemon, called by a varlink client that we did not write: methods_test.py.
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/command.h"
#include "tests/support/stack.h"

namespace sandboxd::test {
namespace {

std::string test_python() {
  const char* python = std::getenv("SANDBOXD_TEST_PYTHON");
  return python != nullptr ? python : "/opt/sandboxd-test-venv/bin/python";
}

TEST(Varlink, EveryMethodWorksForAForeignClient) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to start the daemon";
  const Stack stack;
  ASSERT_EQ(stack.failure(), "");
  // A user may not be able to reach the source tree.
  const std::string script = stack.dir().path() + "/methods_test.py";
  ASSERT_EQ(run({.argv = {"install", "-m", "0644", METHODS_TEST, script}}).status, 0);
  const Output output = run({.argv = {test_python(), script},
                             .uid = kAlice,
                             .env = {{"SANDBOXD_SOCKET", stack.socket()}, {"PYTHONDONTWRITEBYTECODE", "1"}},
                             .timeout_ms = 200'000});
  EXPECT_EQ(output.status, 0) << describe(output);
}

}  // namespace
}  // namespace sandboxd::test
