// What an errno means where it lies: one table instead of strings scattered about. The operation is matched as the
// last thing that the context chain names ("clone3", "mount_setattr idmap" ...).
#pragma once

#include <string_view>

namespace sandboxd {

// Empty when there is nothing to add. Never fails.
[[nodiscard]] std::string_view errno_hint(std::string_view context, int code);

}  // namespace sandboxd
