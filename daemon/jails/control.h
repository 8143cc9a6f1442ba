// sandboxd's end of a jail's control socket (daemon/wire/init_control.h). What comes from it is hostile: a packet of another
// size, an unknown event, descriptors that are not the outer ends of a job's streams, or more events than its jobs have to say
// are a breach, told once, after which nothing more is read. Descriptors that are refused are closed at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/socket.h"
#include "base/unique_fd.h"
#include "daemon/jails/watch.h"
#include "daemon/wire/init_control.h"

namespace sandboxd::jails {

class Control {
 public:
  struct Callbacks {
    // Three or two pipes' ends, or a PTY's master: which of them is for the callee to compare with what it asked for.
    std::function<void(std::uint32_t job, std::vector<UniqueFd>)> streams{};
    std::function<void(const wire::InitEventRecord&)> event{};
    std::function<void(const std::string&)> breach{};
  };

  Status start(sd_event* loop, UniqueFd socket, Callbacks callbacks);
  // Reads what is left; jail-init is gone.
  void drain();
  Status send(wire::InitCommand command, std::int32_t value, std::uint32_t job = 0, std::span<const int> fds = {});
  // One more job may be spoken of.
  void expect_job() { most_events_ += kEventsPerJob; }
  // One more answer that is of no job.
  void expect_answer() { ++most_events_; }
  // Refused calls may be told, as many as wire/init_control.h says.
  void expect_denials();
  // What its jobs do may be told, as much as wire/init_control.h says.
  void expect_learning() { most_learned_ = wire::kMostLearned; }
  void close();

 private:
  static constexpr std::uint32_t kEventsPerJob = 10;

  void read_some();
  [[nodiscard]] Result<Packet> receive() const;
  [[nodiscard]] bool read_one();  // false: nothing more for now
  bool take(Packet& packet);
  bool may_come(const wire::InitEventRecord& record);
  bool may_deny(const wire::InitEventRecord& record);
  bool breach(const std::string& why);

  UniqueFd socket_;
  IoWatch watch_;
  Callbacks callbacks_;
  std::uint64_t denials_since_ = 0, denials_ = 0;
  std::uint64_t learned_ = 0, most_learned_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t most_events_ = 2 * kEventsPerJob;  // a jail of one job
};

}  // namespace sandboxd::jails
