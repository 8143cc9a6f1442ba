// Records of refused requests: each one, up to a rate for each user; past it they are counted, and the count goes into that
// user's next record. A client can't fill the log by asking for what it may not have.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "daemon/jails/audit_client.h"
#include "daemon/jails/supervisor.h"

namespace sandboxd::jails {

class Denials {
 public:
  static constexpr std::uint32_t kPerSecond = 20;

  explicit Denials(AuditClient& audit) : audit_(audit) {}

  // False: this one is only counted.
  [[nodiscard]] bool take(uid_t charged);
  void record(const Client& client, uid_t charged, const std::string& jail, const std::string& request,
              const std::string& rule, const std::string& allowed, std::function<void(Status)> done);

 private:
  struct Window {
    std::uint64_t second = 0;
    std::uint32_t taken = 0;
    std::uint64_t counted = 0;
  };

  AuditClient& audit_;
  std::map<uid_t, Window> windows_;
};

}  // namespace sandboxd::jails
