// Ends what an earlier life left: at each connection to the launcher, the numbers whose cgroups exist and that no jail of ours
// has are killed, recorded and removed. Until the list is there nothing may start, since its number could be one of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "daemon/jails/audit_client.h"
#include "daemon/jails/launcher_client.h"
#include "daemon/jails/watch.h"

namespace sandboxd::jails {

class Sweeper {
 public:
  struct Callbacks {
    std::function<bool(std::uint32_t)> is_ours{};
    std::function<void(std::uint32_t)> taken{};
    std::function<void(std::uint32_t)> free{};
    std::function<void()> done{};  // the list is known
  };

  Sweeper(sd_event* loop, LauncherClient& launcher, AuditClient& audit, Callbacks callbacks)
      : loop_(loop), launcher_(launcher), audit_(audit), callbacks_(std::move(callbacks)) {}

  void start();
  void stop() { listed_ = false; }
  // The numbers of an earlier life are known (and taken); they may not all be gone yet.
  [[nodiscard]] bool done() const { return listed_; }

 private:
  void on_list(const Result<wire::Message>& answer);
  void end(std::uint32_t number);
  void remove(std::uint32_t number);
  void on_removed(std::uint32_t number, const Result<wire::Message>& answer);

  sd_event* loop_;
  LauncherClient& launcher_;
  AuditClient& audit_;
  Callbacks callbacks_;
  struct Left {
    Timer retry{};
    std::uint64_t retry_usec = 2'000;
  };
  std::map<std::uint32_t, Left> left_;
  Timer again_;
  bool listed_ = false;
};

}  // namespace sandboxd::jails
