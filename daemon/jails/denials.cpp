#include "daemon/jails/denials.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace sandboxd::jails {

bool Denials::take(uid_t charged) {
  const std::uint64_t second = monotonic_usec() / 1'000'000;
  // Users that have been quiet are forgotten, so that the table can't grow with the number of uids.
  if (windows_.size() > 1024)
    std::erase_if(windows_,
                  [&](const auto& entry) { return entry.second.second + 1 < second && entry.second.counted == 0; });
  Window& window = windows_[charged];
  if (window.second != second) {
    window.second = second;
    window.taken = 0;
  }
  if (window.taken < kPerSecond) {
    ++window.taken;
    return true;
  }
  ++window.counted;
  return false;
}

void Denials::record(const Client& client, uid_t charged, const std::string& jail, const std::string& request,
                     const std::string& rule, const std::string& allowed, std::function<void(Status)> done) {
  nlohmann::json detail = {{"rule", rule}, {"allowed", allowed}};
  Window& window = windows_[charged];
  if (window.counted != 0) detail["further_denials"] = std::exchange(window.counted, 0);
  wire::AuditRecord record{"jail.start",
                           wire::AuditPhase::kResult,
                           "deny",
                           request,
                           jail,
                           client.uid,
                           detail.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
  audit_.append(std::move(record), [done = std::move(done)](Result<std::uint64_t> index) {
    if (index.ok()) return done({});
    done(index.error());
  });
}

}  // namespace sandboxd::jails
