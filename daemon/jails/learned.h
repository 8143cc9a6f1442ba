// What a jail's jobs did under a profile that learns, and the least profile that lets them do it again. Everything here comes from
// jail-init and from jobs, and is hostile: it is bounded, paths must be canonical UTF-8, and all of it is text in a file for an
// administrator to read before use.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/wire/init_control.h"
#include "daemon/wire/plan.h"
#include "daemon/wire/profile_set.h"
#include "protocol/job.h"

namespace sandboxd::jails {

class Learned {
 public:
  struct Entry {
    wire::LearnedKind kind{};
    std::uint32_t program = 0;
    std::uint32_t a = 0;
    std::uint64_t b = 0;
    std::uint32_t count = 1;
  };

  // False: more than it may be, or what can't be.
  [[nodiscard]] bool take(const wire::LearnedPart& part);

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  // Empty for a number that names nothing.
  [[nodiscard]] std::string_view text(std::uint64_t number) const;
  [[nodiscard]] std::uint64_t unread() const { return unread_; }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  bool take_text(const wire::LearnedPart& part);

  std::vector<std::string> texts_{std::string()};
  bool text_open_ = false;  // more of the last one comes
  std::vector<Entry> entries_;
  std::uint32_t parts_ = 0;
  std::uint64_t unread_ = 0, lost_ = 0;
};

// learned_profile.cpp. Pure. `name`: of the profile and its filter.
[[nodiscard]] protocol::LearnedProfile learned_profile(const std::string& name, const Learned& learned,
                                                       const std::vector<std::string>& argv, const wire::JailPlan& plan,
                                                       const wire::ProfileSet& set);

}  // namespace sandboxd::jails
