// The jail table: lifecycle, streams, clocks. One sd-event loop; a call never blocks, its answer comes by callback. The api/
// folder translates varlink and D-Bus to this and holds no logic of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "protocol/job.h"

namespace sandboxd::jails {

// Who asks: from SO_PEERCRED and SO_PEERGROUPS of the connection.
struct Client {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups{};
  bool admin = false;  // came by admin.sock
  std::uint64_t connection = 0;
};

// The typed errors of the protocol, as values (org.sandboxd.*).
struct Denied {
  std::string rule{}, allowed{};
};
struct SetupFailed {
  std::string step{};
  int code = 0;
  std::string detail{};
};
struct InvalidArgument {
  std::string path{}, value{}, expected{};
};
struct NotFound {
  std::string what{}, name{};
};
struct LimitReached {
  std::string limit{};
  std::uint64_t most = 0;
  std::string scope{};
};
struct Unavailable {
  std::string what{}, detail{};
};  // launcher or audit is down, the disk is full: nothing was started
using Failure = std::variant<Denied, SetupFailed, InvalidArgument, NotFound, LimitReached, Unavailable>;

// What happens to an attached run, in this order: started, output*, then report or failure (once, last).
struct RunObserver {
  std::function<void(const protocol::JailInfo&, std::vector<UniqueFd> pass_fds)> started{};
  std::function<void(int stream, std::string_view bytes)> output{};  // 1 stdout, 2 stderr (Stdio::kRelay)
  std::function<void(const protocol::JobReport&)> report{};
  std::function<void(const Failure&)> failure{};
};

// The same for a job in a session, and for a client that attached to one.
struct JobObserver {
  std::function<void(const protocol::JobInfo&, std::vector<UniqueFd> pass_fds)> started{};
  std::function<void(int stream, std::string_view bytes)> output{};
  std::function<void(const protocol::JobReport&)> report{};
  std::function<void(const Failure&)> failure{};
};

// A piece of a job's log; no bytes: only `dropped` is to be said.
struct LogPiece {
  int stream = 0;  // 1 stdout, 2 stderr
  std::string_view bytes{};
  std::uint64_t dropped = 0;  // bytes that are missing before it
};

struct Event {
  std::uint64_t cursor = 0;
  std::uint64_t time = 0;      // CLOCK_REALTIME, microseconds
  std::string jail{}, kind{};  // kind: as in org.sandboxd.Jail
  std::string detail{};        // a JSON object
  uid_t uid = 0;
  bool admin = false;  // of a jail that was asked for by admin.sock: nobody's on the public socket, whatever the uid
};

class Supervisor {
 public:
  virtual ~Supervisor() = default;

  // Starts a jail for `client`; attached to client.connection: disconnected() kills it. Returns the jail's id at once (the
  // observer hears the rest), or why nothing was begun.
  virtual std::variant<std::string, Failure> run(const Client& client, const protocol::JobSpec& spec,
                                                 RunObserver observer) = 0;
  // A jail without a job. Not attached: it lives until its time is over or it is killed.
  virtual void create(const Client& client, const protocol::JobSpec& spec,
                      std::function<void(std::variant<protocol::JailInfo, Failure>)> done) = 0;
  // One more job in a live jail of the client's; attached to client.connection unless spec.detach. `program`: what to run
  // instead of argv[0], a sealed memfd of ours. The number of the job at once, or why nothing was begun.
  virtual std::variant<std::uint32_t, Failure> exec(const Client& client, const std::string& jail,
                                                    const protocol::ExecSpec& spec, JobObserver observer,
                                                    UniqueFd program = UniqueFd()) = 0;
  // The streams of a job. Ends with the token, which detaches; started and report (or failure, at once) are told.
  virtual std::shared_ptr<void> attach(const Client& client, const std::string& jail, std::uint32_t job,
                                       std::optional<std::uint64_t> replay, JobObserver observer) = 0;
  virtual std::optional<Failure> detach(const Client& client, const std::string& jail, std::uint32_t job) = 0;
  virtual std::optional<Failure> resize(const Client& client, const std::string& jail, std::uint32_t job,
                                        protocol::WindowSize size) = 0;
  // Without a job: to every process of the jail.
  virtual std::optional<Failure> signal(const Client& client, const std::string& jail, std::optional<std::uint32_t> job,
                                        int signal) = 0;
  virtual std::variant<std::vector<protocol::JobInfo>, Failure> jobs(const Client& client, const std::string& jail) = 0;
  virtual void wait_job(const Client& client, const std::string& jail, std::uint32_t job,
                        std::function<void(std::variant<protocol::JobReport, Failure>)> done) = 0;
  virtual std::optional<Failure> kill_job(const Client& client, const std::string& jail, std::uint32_t job, int signal,
                                          std::uint64_t grace) = 0;
  virtual void freeze(const Client& client, const std::string& jail, bool frozen,
                      std::function<void(std::optional<Failure>)> done) = 0;
  // The new end, CLOCK_REALTIME, microseconds.
  virtual std::variant<std::uint64_t, Failure> extend(const Client& client, const std::string& jail,
                                                      std::uint64_t ttl) = 0;
  // What a job wrote so far; with `follow` until its end. `done` is the last; nothing is said before this has returned, nor after
  // the flow was dropped.
  struct LogObserver {
    std::function<void(const LogPiece&)> piece{};
    std::function<void(std::optional<Failure>)> done{};
  };
  class LogFlow {
   public:
    virtual ~LogFlow() = default;
    virtual void pause(bool paused) = 0;
  };
  virtual std::shared_ptr<LogFlow> logs(const Client& client, const std::string& jail, std::uint32_t job, bool follow,
                                        LogObserver observer) = 0;

  // What run() would do, nothing started: the plan as a JSON text with the profile's rules applied.
  virtual std::variant<std::string, Failure> explain(const Client& client, const protocol::JobSpec& spec) = 0;

  virtual std::variant<std::vector<protocol::JailInfo>, Failure> list(
      const Client& client) = 0;  // the client's own; all for an admin
  // `jail` is an id or a name. In force: read back anew through the launcher.
  virtual void inspect(const Client& client, const std::string& jail,
                       std::function<void(std::variant<protocol::JailInfo, Failure>)> done) = 0;
  // Of live jails: one by id or name, or all that list() has.
  virtual std::variant<std::vector<protocol::JailStats>, Failure> stats(const Client& client,
                                                                        const std::optional<std::string>& jail) = 0;
  // What its jobs asked for and did not get.
  virtual std::variant<protocol::Denials, Failure> why(const Client& client, const std::string& jail) = 0;
  // What a profile named `profile` says that lets an ended jail's jobs do what they did, and no more; of a jail of a profile that
  // learns, for an administrator.
  virtual std::variant<protocol::LearnedProfile, Failure> learned(const Client& client, const std::string& jail,
                                                                  const std::string& profile) = 0;
  // New limits of a live jail; what is in force then, read back by the launcher.
  virtual void update(const Client& client, const std::string& jail, const protocol::AskedLimits& limits,
                      std::function<void(std::variant<std::vector<protocol::Fact>, Failure>)> done) = 0;
  // Calls back when the jail has ended (at once when it has).
  virtual void wait(const Client& client, const std::string& jail,
                    std::function<void(std::variant<protocol::JobReport, Failure>)> done) = 0;
  // The kill ladder: `signal` to the job, `grace` microseconds, then cgroup.kill.
  virtual std::optional<Failure> kill(const Client& client, const std::string& jail, int signal,
                                      std::uint64_t grace) = 0;
  // Forgets an ended jail's report; kills a live one first when `force`.
  virtual void remove(const Client& client, const std::string& jail, bool force,
                      std::function<void(std::optional<Failure>)> done) = 0;

  // Whose share of what all users share a client of this uid uses: its own, or that of the owner of a subordinate id.
  [[nodiscard]] virtual uid_t charged(uid_t uid) const { return uid; }

  // This life of the daemon, for which cursors count.
  [[nodiscard]] virtual std::string epoch() const = 0;
  // How many events after `after` are not kept any more.
  [[nodiscard]] virtual std::uint64_t missed_events(std::uint64_t after) const = 0;
  // Events with a cursor > `after`, then live ones until the token is dropped.
  using Subscription = std::shared_ptr<void>;
  virtual Subscription subscribe(const Client& client, std::uint64_t after,
                                 std::function<void(const Event&)> event) = 0;
  // The events so far with a cursor > `after`, for a client that doesn't wait for more.
  virtual std::vector<Event> past_events(const Client& /*client*/, std::uint64_t /*after*/) { return {}; }

  // Back-pressure of a run with Stdio::kRelay: while paused no output is read, so that the job waits in write(2). A chunk that
  // was being handed over still comes; none is larger than 64 KiB.
  virtual void pause_output(const std::string& /*jail*/, bool /*paused*/) {}
  virtual void pause_job_output(const Client& /*client*/, const std::string& /*jail*/, std::uint32_t /*job*/,
                                bool /*paused*/) {}

  // The daemon is ending: nothing starts any more, every jail is killed. Calls back when all are gone, their reports given.
  virtual void end(std::function<void()> done) { done(); }

  virtual void disconnected(const Client& client) = 0;                       // ends its attached runs
  virtual std::string host_info() = 0;                                       // JSON for org.sandboxd.Host.Info
  virtual std::string host_features() = 0;                                   // JSON for org.sandboxd.Host.Features
  virtual std::string profiles(const std::optional<std::string>& name) = 0;  // JSON list of the loaded profiles
};

}  // namespace sandboxd::jails
