// The broker's main process: accepts, forks a child for each client, keeps token -> child, and passes each claim on to the
// child that holds its token, after it has said itself whose the client is. It receives no byte and no descriptor of a client, and never waits for a child: one that hangs
// is killed at its deadline, and forgotten but for its place in the limits. All tables are bounded.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/broker/table.h"
#include "daemon/wire/claim.h"

namespace sandboxd::broker {

class Server {
 public:
  // Reads whose subordinate ids are, takes the sockets "broker", "broker-admin" and "broker-claim", blocks the signals that it reads, raises RLIMIT_NOFILE.
  static Result<Server> make();
  // Until SIGTERM or SIGINT. An error is one of the loop itself.
  Status run();

 private:
  enum class Source : std::uint8_t { kPublic = 0, kAdmin = 1, kClaims = 2, kSignals = 3, kChild = 4, kClaim = 5 };

  struct Child {
    pid_t pid = 0;
    UniqueFd channel{};
    std::uint64_t deadline = 0;
    wire::Claimant who{};
  };
  struct Claim {
    UniqueFd connection{};
    std::uint64_t deadline = 0;
    std::uint64_t id = 0;  // of its message
    bool read = false;     // parked: its token is not here yet
    wire::Token token{};
  };
  using ClaimId = std::uint64_t;

  Status watch(int fd, Source source, std::uint64_t id);
  Status dispatch(std::uint64_t tag);
  void accept_clients(int listener, bool admin);
  bool accept_one(int listener, bool admin);
  bool start_child(UniqueFd connection, wire::Claimant who);
  void read_child(ChildId id);
  void forget_child(ChildId id);
  void refuse_token(ChildId id);
  void accept_claims();
  bool accept_claim();
  void read_claim(ClaimId id);
  void serve_claim(ClaimId id);
  Status hand_on(const Claim& claim, const Child& child);
  void fail_claim(ClaimId id, int code, const std::string& why);
  void serve_parked(const Token& token);
  void read_signals();
  void reap();
  void expire();
  void pause_accepting(std::string_view what, int code);
  [[nodiscard]] int wait_ms() const;

  UniqueFd epoll_, signals_, public_, admin_, claim_listener_;
  Table table_;
  std::map<ChildId, Child> children_;  // by age, so by deadline: all hold for the same time
  std::map<pid_t, ChildId> pids_;      // also of those that are only waited for
  std::map<ClaimId, Claim> claims_;    // by age, so by deadline
  ClaimId next_claim_ = 1;
  std::uint64_t accept_again_ = 0;  // no descriptors or memory: nothing is accepted until then
  bool stop_ = false;
};

}  // namespace sandboxd::broker
