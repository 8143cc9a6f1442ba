// What a jail's jobs asked for and did not get, each with its rule and its remedy. The last that differ are kept, the others
// counted. What jail-init says of a refused call is the jail's word: it chooses among texts of ours, and nothing of it is shown
// but numbers that have a name.
#pragma once

#include <deque>
#include <string>

#include "base/limits.h"
#include "daemon/wire/init_control.h"
#include "daemon/wire/profile_set.h"
#include "protocol/job.h"

namespace sandboxd::jails {

class Refusals {
 public:
  static constexpr std::size_t kMost = 256;

  // The entry where none was like it; nullptr: it was counted with one.
  const protocol::Denial* add(protocol::Denial denial);
  void add_untold(std::uint64_t calls) { untold_ += calls; }
  [[nodiscard]] protocol::Denials all() const;
  // How many were ever told as new: who tells others of them has a bound in it.
  [[nodiscard]] std::uint64_t added() const { return added_; }

 private:
  std::deque<protocol::Denial> kept_;
  std::uint64_t added_ = 0, forgotten_ = 0, untold_ = 0;
};

// `code`: the errno that the job was given.
[[nodiscard]] protocol::Denial refused_call(const wire::DeniedCall& call, int code, const wire::Profile& profile,
                                            const wire::ProfileSet& set);
// `limit`: a name of base/limits.h.
[[nodiscard]] protocol::Denial refused_by_limit(const std::string& limit, const Limits& limits,
                                                const std::string& profile);
// One line for people, without its end, safe for a terminal.
[[nodiscard]] std::string denial_line(const protocol::Denial& denial);

}  // namespace sandboxd::jails
