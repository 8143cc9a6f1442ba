// The fixture of the tests of sessions through libsandboxd-client: one daemon for all of a program's tests, and an ordinary user.
#pragma once

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <sandboxd/client.h>

#include "base/clock.h"
#include "base/ids.h"
#include "tests/support/command.h"
#include "tests/support/stack.h"

namespace sandboxd::test {

// Widened where processors are slow.
inline std::chrono::milliseconds within(int seconds) { return std::chrono::milliseconds(scaled_ms(1000 * seconds)); }

// Connections are made by an ordinary user: the kernel notes the effective id at connect(2).
class AsUser {
 public:
  explicit AsUser(uid_t uid = kAlice) {
    if (::setegid(uid) < 0 || ::seteuid(uid) < 0) std::abort();
  }
  ~AsUser() {
    if (::seteuid(0) < 0 || ::setegid(0) < 0) std::abort();
  }
  AsUser(const AsUser&) = delete;
  AsUser& operator=(const AsUser&) = delete;
};

class Live : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGPIPE, SIG_IGN);
    if (::geteuid() == 0)
      stack_ = std::make_unique<Stack>(R"("user_limits": {"jails": 1000, "calls_per_second": 100000})");
  }
  static void TearDownTestSuite() {
    if (!stack_) return;
    EXPECT_TRUE(stack_->end());
    EXPECT_EQ(stack_->left_over(), "");
    stack_.reset();
  }
  void SetUp() override {
    if (!stack_) GTEST_SKIP() << "needs root";
    ASSERT_EQ(stack_->failure(), "");
    const AsUser alice;
    auto connected = client::Client::connect({.socket = stack_->socket(), .timeout = within(60)});
    ASSERT_TRUE(connected) << connected.error().text;
    client_.emplace(std::move(connected).value());
  }
  void TearDown() override {
    const AsUser alice;
    for (const std::string& jail : jails_) (void)client_->remove(jail, /*force=*/true);
  }

  static Stack& stack() { return *stack_; }
  client::Client& client() { return *client_; }

  std::string session(client::Request request = {}) {
    const AsUser alice;
    auto made = client().create(std::move(request));
    EXPECT_TRUE(made) << made.error().text;
    if (!made) return "";
    jails_.push_back(made->jail);
    return made->jail;
  }
  static client::ExecSpec shell(const std::string& script, protocol::Stdio stdio = protocol::Stdio::kRelay) {
    client::ExecSpec spec;
    spec.argv = {"/bin/sh", "-c", script};
    spec.stdio = stdio;
    return spec;
  }
  std::optional<client::Job> exec(const std::string& jail, const client::ExecSpec& spec) {
    const AsUser alice;
    auto job = client().exec(jail, spec);
    EXPECT_TRUE(job) << job.error().text;
    if (!job) return std::nullopt;
    return std::move(job).value();
  }
  // What it printed; the status must be `status`.
  std::string output(const std::string& jail, const std::string& script, int status = 0) {
    auto job = exec(jail, shell(script));
    if (!job) return "";
    const AsUser alice;
    auto completed = job->communicate();
    EXPECT_TRUE(completed) << completed.error().text;
    if (!completed) return "";
    EXPECT_EQ(completed->report.exit_code.value_or(-1), status) << script << completed->error;
    return completed->out;
  }
  static std::string read_until(int fd, const std::function<bool(const std::string&)>& enough,
                                int timeout_ms = 20'000) {
    std::string text;
    const std::uint64_t deadline = monotonic_usec() + static_cast<std::uint64_t>(scaled_ms(timeout_ms)) * 1000;
    while (!enough(text) && monotonic_usec() < deadline) {
      pollfd entry{fd, POLLIN, 0};
      if (::poll(&entry, 1, 100) <= 0) continue;
      char bytes[4096];
      const ssize_t got = ::read(fd, bytes, sizeof bytes);
      if (got <= 0) break;
      text.append(bytes, static_cast<std::size_t>(got));
    }
    return text;
  }
  // What was read up to there; empty when it did not come.
  static std::string read_for(int fd, const std::string& what) {
    const auto there = [&](const std::string& text) { return text.find(what) != std::string::npos; };
    const std::string text = read_until(fd, there);
    return there(text) ? text : "";
  }
  static void type(const client::Job& job, const std::string& text) {
    ASSERT_EQ(::write(job.input.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  static std::vector<pid_t> jail_processes() {
    return processes_of_ids(stack().slice() + kIdsPerJail, kIdsPerSlice - kIdsPerJail);
  }
  static std::string names_of(const std::vector<pid_t>& pids) {
    std::string names;
    for (const pid_t pid : pids) {
      names += fmt::format("{} {} (of {}, {}) ", pid, command_name(pid), status_line(pid, "PPid"),
                           status_line(pid, "State"));
    }
    return names;
  }
  static pid_t jail_init() {
    for (const pid_t pid : jail_processes()) {
      if (command_name(pid) == "jail-init") return pid;
    }
    return 0;
  }
  static long resident_kib(pid_t pid) { return std::atol(status_line(pid, "VmRSS").c_str()); }
  bool running(const std::string& jail) {
    const AsUser alice;
    const auto list = client().list();
    return list &&
           std::ranges::any_of(*list, [&](const auto& info) { return info.jail == jail && info.state == "running"; });
  }

  std::optional<client::Client> client_;
  std::vector<std::string> jails_;
  static inline std::unique_ptr<Stack> stack_{};
};

}  // namespace sandboxd::test
