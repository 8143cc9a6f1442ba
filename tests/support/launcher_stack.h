// The real launcher, broker, audit and profilec, started one by one, with the test in the place of sandboxd: what somebody who
// has taken sandboxd over can say to the launcher. The test forks, takes sandboxd's id and speaks daemon/wire/launcher.h.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/broker_message.h"
#include "daemon/wire/init_control.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/message.h"
#include "daemon/wire/profile_set.h"
#include "tests/support/host.h"

namespace sandboxd::test {

struct Launched {
  std::optional<wire::Started> started{};
  std::optional<wire::Failed> failed{};
  std::vector<UniqueFd> fds{};  // StartedFd order
  [[nodiscard]] int control() const { return fds.at(static_cast<std::size_t>(wire::StartedFd::kControl)).get(); }
  [[nodiscard]] int pidfd() const { return fds.at(static_cast<std::size_t>(wire::StartedFd::kPidfd)).get(); }
};

// One connection to launcher.sock; every wait has a deadline.
class HostileSandboxd {
 public:
  explicit HostileSandboxd(UniqueFd socket) : socket_(std::move(socket)) {}

  [[nodiscard]] int fd() const { return socket_.get(); }
  // The first message of the launcher: the profiles. False when it hung up instead.
  bool greet();
  [[nodiscard]] const wire::ProfileSet& profiles() const { return profiles_; }
  // A plan that the launcher carries out: without a client's files, /bin/true.
  [[nodiscard]] wire::JailPlan plan(std::uint32_t number, std::vector<std::string> argv = {"/bin/true"},
                                    const std::string& profile = "default") const;
  std::uint64_t send_start(const wire::JailPlan& plan);
  // The answer to a request; answers to others are kept.
  std::optional<wire::Message> answer(std::uint64_t id, int timeout_ms = 30'000);
  Launched start(const wire::JailPlan& plan, int timeout_ms = 30'000);
  // Kill and Remove, until the number is free: false at the deadline.
  bool remove(std::uint32_t number, int timeout_ms = 10'000);
  wire::Message verb(wire::LauncherMessage type, std::uint32_t number);

 private:
  UniqueFd socket_;
  wire::ProfileSet profiles_{};
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, wire::Message> kept_{};
};

// What the jail's first process says, and what its job printed.
struct JobEnd {
  std::string out{};
  std::optional<int> wait_status{};
  std::string failed_step{};
};
JobEnd await_job(Launched& launched, int timeout_ms = 30'000);

class LauncherStack {
 public:
  struct Options {
    std::string config{};  // the inside of a JSON object
    bool gated = false;    // the launcher under tests/sandboxees/call_gate
  };
  LauncherStack() : LauncherStack(Options{}) {}
  explicit LauncherStack(const Options& options);
  ~LauncherStack();
  LauncherStack(const LauncherStack&) = delete;
  LauncherStack& operator=(const LauncherStack&) = delete;

  [[nodiscard]] const WorkDir& dir() const { return dir_; }
  [[nodiscard]] std::uint32_t slice() const { return slice_; }
  [[nodiscard]] std::string socket(const std::string& name) const { return dir_.path() + "/run/" + name + ".sock"; }
  [[nodiscard]] const RunningProgram& launcher() const { return launcher_; }
  [[nodiscard]] int gate() const { return gate_.get(); }  // the filter's listener
  [[nodiscard]] std::string log() const;
  // As sandboxd's id, connected by the process that this is: for a test that forks with as_user, which can't use ASSERT.
  // From the test itself: the connection is made by a child of that id and handed over, so that the test stays root.
  std::unique_ptr<HostileSandboxd> connect();
  // sandboxd's intent, which a launcher's record must follow in the log.
  void record_intent(const std::string& request);
  // Sends descriptors to the broker as this user; what it says to that, if anything, is on the connection.
  UniqueFd send_over(uid_t uid, const wire::Token& token, const std::vector<int>& fds,
                     const std::string& socket_name = "broker");
  // Hands descriptors to the broker as this user; the connection must stay open until they are claimed. Nothing when refused
  // (`refusal` says why).
  std::optional<UniqueFd> hand_over(uid_t uid, const wire::Token& token, const std::vector<int>& fds,
                                    const std::string& socket_name = "broker",
                                    std::optional<BrokerRefusal>* refusal = nullptr);
  [[nodiscard]] std::string left_over() const;

 private:
  void start_programs(const Options& options);
  UniqueFd listen(const std::string& name, uid_t owner, mode_t mode);

  WorkDir dir_;
  std::uint32_t slice_;
  std::map<std::string, UniqueFd> listeners_{};
  RunningProgram audit_{}, broker_{}, launcher_{};
  UniqueFd gate_{}, log_{};
  UniqueFd audit_connection_{};
};

wire::Token token_of(std::uint8_t fill);
// A socket that a process of this user connected: SO_PEERCRED says so.
UniqueFd connect_as(uid_t uid, const std::string& path, int type);

}  // namespace sandboxd::test
