// What two filters do differently, call by call, on one architecture. It compares rules, not answers: two lists of rules that
// say the same in other words count as different; equal lists never do. Pure.
#pragma once

#include <string>
#include <vector>

#include "seccomp-profiles/compiler/bind.h"

namespace sandboxd::filters {

struct CallDifference {
  std::string before{};  // "allow if arg0 == AF_UNIX; errno EPERM otherwise"
  std::string after{};
  std::vector<std::string> calls{};  // all that change in this way, by number
};

// The rules that decide a call, as one line.
[[nodiscard]] std::string treatment_text(const BoundFilter& bound, std::uint32_t number);

// Both must be of the same architecture. In the order of the first call's number.
[[nodiscard]] std::vector<CallDifference> compare_filters(const BoundFilter& before, const BoundFilter& after);

}  // namespace sandboxd::filters
