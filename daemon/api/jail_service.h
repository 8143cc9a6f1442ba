// org.sandboxd.Jail on a Supervisor: decodes, asks, encodes. Decides nothing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "daemon/api/varlink.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::api {

class JailService {
 public:
  explicit JailService(jails::Supervisor& supervisor);
  [[nodiscard]] Interface interface();  // refers to this

 private:
  using Waiters = std::vector<std::weak_ptr<Call>>;
  using WaitKey = std::tuple<uid_t, bool, std::string, std::uint32_t>;  // job 0: the jail itself

  void explain(const CallPtr& call);
  void wait(const CallPtr& call);
  void kill(const CallPtr& call);
  void remove(const CallPtr& call);
  void list(const CallPtr& call);
  void inspect(const CallPtr& call);
  void events(const CallPtr& call);
  void past_events(Call& call, std::uint64_t after, std::optional<std::uint64_t> gap);
  [[nodiscard]] Json encode_event(const jails::Event& event) const;

  jails::Supervisor& supervisor_;
  // One question to the supervisor for all of a user's waits for a jail: they can't be taken back, and a client could ask and
  // hang up for as long as the jail lives.
  std::shared_ptr<std::map<WaitKey, Waiters>> waits_;
};

}  // namespace sandboxd::api
