// The fixture of the escape checks: one daemon for all of them, a client (alice) with a workspace, and the same probe on the
// host as control.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/probes.h"
#include "tests/support/stack.h"

namespace sandboxd::test {

class Escape : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite() { stack_.reset(); }
  void SetUp() override;

  static Stack& stack() { return *stack_; }
  // A fresh directory of alice's.
  static std::string make_workspace();
  // The probe in a jail, with `workspace` (empty: none) writable and at the same path.
  static Output jailed(std::vector<std::string> command, const std::string& workspace = "",
                       std::vector<std::string> options = {});
  // The same program outside.
  static Output on_host(uid_t uid, std::vector<std::string> command, std::vector<int> keep = {});
  // What only the host has: a file of everybody's.
  static std::string marker();

 private:
  static std::unique_ptr<Stack> stack_;
  static int workspaces_;
};

}  // namespace sandboxd::test
