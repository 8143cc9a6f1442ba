#include "tests/escape/escape.h"

#include <unistd.h>

#include <fmt/core.h>

namespace sandboxd::test {

std::unique_ptr<Stack> Escape::stack_{};
int Escape::workspaces_ = 0;

void Escape::SetUpTestSuite() {
  if (::geteuid() == 0) stack_ = std::make_unique<Stack>();
}

void Escape::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: starts the daemon";
  ASSERT_EQ(stack_->failure(), "");
}

std::string Escape::make_workspace() { return stack().dir().make(fmt::format("workspace-{}", workspaces_++), kAlice); }

Output Escape::jailed(std::vector<std::string> command, const std::string& workspace,
                      std::vector<std::string> options) {
  if (!workspace.empty()) options.insert(options.begin(), {"--workspace=rw", "--workspace-dir", workspace});
  return stack().probe(kAlice, std::move(options), std::move(command));
}

Output Escape::on_host(uid_t uid, std::vector<std::string> command, std::vector<int> keep) {
  CommandSpec spec;
  command.front() = stack().probes() + "/" + command.front();
  spec.argv = std::move(command);
  spec.uid = uid;
  spec.keep = std::move(keep);
  return run(std::move(spec));
}

std::string Escape::marker() { return stack().dir().write("only-on-the-host", "secret\n"); }

}  // namespace sandboxd::test
