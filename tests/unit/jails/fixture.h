// A supervisor between a fake launcher and a fake audit program, in one event loop; clients; what a client of a run has seen.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/jails/make_supervisor.h"
#include "daemon/jails/supervisor.h"
#include "tests/unit/jails/fakes.h"

namespace sandboxd::jails::test {

using protocol::JailInfo;
using protocol::JobReport;
using protocol::JobSpec;

struct Seen {
  int started = 0;
  std::vector<UniqueFd> fds{};
  std::string output{};
  std::optional<JobReport> report{};
  std::optional<Failure> failure{};
  [[nodiscard]] bool ended() const { return report || failure; }
};

class Jails : public testing::Test {
 protected:
  Jails() {
    char name[] = "/tmp/jails-XXXXXX";
    folder_ = ::mkdtemp(name);
    loop_ = make_loop();
    launcher_ = std::make_unique<FakeLauncher>(loop_.get(), folder_ + "/launcher.sock");
    audit_ = std::make_unique<FakeAudit>(loop_.get(), folder_ + "/audit.sock");
  }
  ~Jails() override {
    supervisor_.reset();
    ::unlink((folder_ + "/launcher.sock").c_str());
    ::unlink((folder_ + "/audit.sock").c_str());
    ::rmdir((folder_ + "/logs").c_str());  // empty: logs go with their jobs
    ::rmdir(folder_.c_str());
  }

  void open(std::uint64_t stuck_after = 10'000'000) {
    Deps deps;
    deps.launcher_socket = folder_ + "/launcher.sock";
    deps.audit_socket = folder_ + "/audit.sock";
    deps.user_names = {{1000, "alice"}};
    deps.numbers = numbers_;
    deps.stuck_after = stuck_after;
    deps.descriptors = descriptors_;
    deps.terminals = terminals_;
    deps.log_directory = folder_ + "/logs";
    ::mkdir(deps.log_directory.c_str(), 0700);
    supervisor_ = make_supervisor(loop_.get(), std::move(deps));
    ASSERT_TRUE(until([this] { return ready(); }));
  }
  bool ready() {
    return supervisor_->explain(alice(), spec()).index() == 0 &&
           nlohmann::json::parse(supervisor_->host_info())["launcher"] == "connected";
  }
  bool until(const std::function<bool()>& done) { return run_until(loop_.get(), done); }

  static Client alice() { return {1000, 1000, 1, {}, false, 7}; }
  static Client bob() { return {1001, 1001, 1, {}, false, 8}; }
  static Client admin() { return {0, 0, 1, {}, true, 9}; }
  static JobSpec spec() {
    JobSpec job;
    job.argv = {"/bin/true"};
    return job;
  }
  static RunObserver observe(Seen& seen) {
    return {[&seen](const JailInfo&, std::vector<UniqueFd> fds) {
              ++seen.started;
              seen.fds = std::move(fds);
            },
            [&seen](int stream, std::string_view bytes) {
              seen.output += (stream == 1 ? "1:" : "2:") + std::string(bytes);
            },
            [&seen](const JobReport& report) { seen.report = report; },
            [&seen](const Failure& failure) { seen.failure = failure; }};
  }
  std::string run(Seen& seen, const JobSpec& job = spec(), const Client& client = alice()) {
    auto result = supervisor_->run(client, job, observe(seen));
    EXPECT_EQ(result.index(), 0U);
    return result.index() == 0 ? std::get<0>(result) : "";
  }
  // A jail that runs, and its fake.
  std::pair<std::string, std::shared_ptr<FakeJail>> running(Seen& seen, const JobSpec& job = spec(),
                                                            const Client& client = alice()) {
    const std::size_t before = launcher_->starts;
    const std::string id = run(seen, job, client);
    EXPECT_TRUE(until([&] { return launcher_->starts > before && state(id) == "running"; }));
    return {id, launcher_->jails[launcher_->last_plan.number]};
  }
  // A session that runs, and its fake.
  std::pair<std::string, std::shared_ptr<FakeJail>> session(JobSpec job = {}, const Client& client = alice()) {
    std::string id;
    supervisor_->create(client, job, [&id](auto made) {
      EXPECT_EQ(made.index(), 0U);
      if (made.index() == 0) id = std::get<0>(made).jail;
    });
    EXPECT_TRUE(until([&] { return !id.empty(); }));
    return {id, launcher_->jails[launcher_->last_plan.number]};
  }
  static protocol::ExecSpec command(protocol::Stdio stdio = protocol::Stdio::kNull) {
    protocol::ExecSpec exec;
    exec.argv = {"/bin/true"};
    exec.stdio = stdio;
    return exec;
  }
  static JobObserver observe_job(Seen& seen) {
    return {[&seen](const protocol::JobInfo&, std::vector<UniqueFd> fds) {
              ++seen.started;
              seen.fds = std::move(fds);
            },
            [&seen](int stream, std::string_view bytes) {
              seen.output += (stream == 1 ? "1:" : "2:") + std::string(bytes);
            },
            [&seen](const JobReport& report) { seen.report = report; },
            [&seen](const Failure& failure) { seen.failure = failure; }};
  }
  std::uint32_t exec(Seen& seen, const std::string& jail, const protocol::ExecSpec& what = command(),
                     const Client& client = alice()) {
    auto result = supervisor_->exec(client, jail, what, observe_job(seen));
    EXPECT_EQ(result.index(), 0U);
    return result.index() == 0 ? std::get<0>(result) : 0;
  }
  // An exec that jail-init has released.
  std::uint32_t executing(Seen& seen, const std::string& id, FakeJail& jail,
                          const protocol::ExecSpec& what = command()) {
    const std::uint32_t job = exec(seen, id, what);
    EXPECT_TRUE(until([&] { return jail.was_told(wire::InitCommand::kExec, job); }));
    jail.say(wire::InitEvent::kJobReady, 0, 0, "", "", job);
    EXPECT_TRUE(until([&] { return jail.was_told(wire::InitCommand::kRelease, job); }));
    return job;
  }
  std::string state(const std::string& id) {
    auto list = supervisor_->list(admin());
    for (const JailInfo& info : std::get<0>(list)) {
      if (info.jail == id) return info.state;
    }
    return "";
  }
  template <class T> static const T* failure_as(const Seen& seen) {
    return seen.failure ? std::get_if<T>(&*seen.failure) : nullptr;
  }

  std::uint64_t descriptors_ = 0, terminals_ = 0;  // before open(): of all users
  std::uint32_t numbers_ = 16;
  std::string folder_;
  Loop loop_;
  std::unique_ptr<FakeLauncher> launcher_;
  std::unique_ptr<FakeAudit> audit_;
  std::unique_ptr<Supervisor> supervisor_;
};

}  // namespace sandboxd::jails::test
