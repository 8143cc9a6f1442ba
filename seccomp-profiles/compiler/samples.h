// Arguments of a call that come past every condition of its rules: to try a filter, and to find what one filter allows and
// another refuses. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "seccomp-profiles/compiler/bind.h"

namespace sandboxd::filters {

using Args = std::array<std::uint64_t, 6>;

// Calls `each` with every combination of values of the arguments that the call's rules look at: those around what their
// conditions mention, with and without high bits. Arguments that no rule looks at are 7.
void for_each_args(const BoundCall& call, const std::function<void(const Args&)>& each);

}  // namespace sandboxd::filters
