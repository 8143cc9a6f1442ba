// A launcher and an audit program that behave, in the test's own event loop, over real SOCK_SEQPACKET sockets. A fake jail is
// a real child process (for its pidfd), a control socket that the test holds, and a pipe in the place of cgroup.kill.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <systemd/sd-event.h>

#include "base/unique_fd.h"
#include "daemon/jails/watch.h"
#include "daemon/wire/audit.h"
#include "daemon/wire/init_control.h"
#include "daemon/wire/launcher.h"
#include "daemon/wire/message.h"
#include "daemon/wire/profile_set.h"

namespace sandboxd::jails::test {

struct UnrefLoop {
  void operator()(sd_event* loop) const noexcept { sd_event_unref(loop); }
};
using Loop = std::unique_ptr<sd_event, UnrefLoop>;

Loop make_loop();
// Runs the loop until `done` holds; false after five seconds.
bool run_until(sd_event* loop, const std::function<bool()>& done);
void run_for(sd_event* loop, std::uint64_t usec);

wire::ProfileSet some_profiles();

// One listening socket, one connection at a time.
class FakeServer {
 public:
  FakeServer(sd_event* loop, std::string path);
  virtual ~FakeServer() = default;

  void hang_up();  // closes the connection; the next one is taken
  void stop();     // and listens no longer
  void listen();
  [[nodiscard]] bool connected() const { return connection_.valid(); }

 protected:
  virtual void on_message(wire::Message message) = 0;
  template <class Type, class T>
  void answer(Type type, std::uint64_t id, const T& body, std::span<const int> fds = {}) {
    if (connection_) (void)wire::send(connection_.get(), type, id, body, fds);
  }

  sd_event* loop_;

 private:
  void accept();
  void read();

  std::string path_;
  UniqueFd listener_, connection_;
  IoWatch listener_watch_, connection_watch_;
};

class FakeAudit : public FakeServer {
 public:
  using FakeServer::FakeServer;

  // Records so far whose action and phase are these.
  [[nodiscard]] std::vector<wire::AuditRecord> of(const std::string& action, wire::AuditPhase phase) const;
  void hold() { holding_ = true; }
  void release();  // answers what was held back

  std::vector<wire::AuditRecord> records;
  bool refuse = false;

 protected:
  void on_message(wire::Message message) override;

 private:
  void reply(std::uint64_t id);

  bool holding_ = false;
  std::deque<std::uint64_t> held_;
};

struct FakeJail {
  wire::JailPlan plan{};
  UniquePid init{};
  UniqueFd control{};  // jail-init's end
  UniqueFd killed{};   // the read end of the pipe in cgroup.kill's place
  IoWatch watch{};
  std::vector<int> signals{};  // kSignal and kSignalAll
  std::vector<wire::InitCommandRecord> commands{};
  std::size_t plans = 0;  // descriptors that came with commands
  IoWatch control_watch{};
  bool kill_works = true;
  UniqueFd alive{};  // without a process: its other end stands for the pidfd

  void say(wire::InitEvent event, std::int32_t value = 0, std::int32_t code = 0, const char* step = "",
           const char* text = "", std::uint32_t job = wire::kFirstJob);
  void say_raw(std::span<const std::uint8_t> bytes, std::span<const int> fds);
  // Makes the job's pipes and sends the outer ends; the inner ones are given back (stdin's, stdout's, stderr's).
  std::vector<UniqueFd> give_streams(std::uint32_t job = wire::kFirstJob, bool merged = false);
  // A PTY: the master goes out, the other end is given back.
  UniqueFd give_terminal(std::uint32_t job);
  [[nodiscard]] bool was_told(wire::InitCommand command, std::uint32_t job) const;
  void exit_with(int status);  // the job's end, then jail-init's
  void die();                  // jail-init's end
};

class FakeLauncher : public FakeServer {
 public:
  using FakeServer::FakeServer;

  wire::ProfileSet profiles = some_profiles();
  std::map<std::uint32_t, std::shared_ptr<FakeJail>> jails;
  std::set<std::uint32_t> existing;  // numbers whose cgroups exist
  std::vector<wire::LauncherMessage> seen;
  std::vector<std::uint32_t> killed, removed;
  std::optional<wire::Failed> refuse_start{};
  std::size_t starts = 0;
  int busy = 0;         // so many removals are answered EBUSY
  bool silent = false;  // starts are not answered
  bool forks = true;    // a jail's first process is one
  bool hold_inspections = false;
  std::vector<std::uint64_t> held_inspections;  // what was asked, and is not answered
  wire::JailPlan last_plan{};

  void send_profiles(std::uint64_t id = 0);
  void answer_inspection(std::uint64_t id);

 protected:
  void on_message(wire::Message message) override;

 private:
  void start(const wire::Message& message);
  UniqueFd start_init(FakeJail& jail) const;
  void remove(std::uint64_t id, std::uint32_t number);
};

}  // namespace sandboxd::jails::test
