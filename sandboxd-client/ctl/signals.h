// Signals by name, as kill(1) takes them. Pure.
#pragma once

#include <optional>
#include <string_view>

namespace sandboxd::ctl {

// "TERM", "SIGTERM", "term" or "15"; 1 to 64.
[[nodiscard]] std::optional<int> signal_number(std::string_view text);

}  // namespace sandboxd::ctl
