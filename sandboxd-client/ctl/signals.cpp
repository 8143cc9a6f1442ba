#include "sandboxd-client/ctl/signals.h"

#include <csignal>
#include <cstring>
#include <string>

#include "base/text.h"

namespace sandboxd::ctl {

std::optional<int> signal_number(std::string_view text) {
  constexpr int kLast = 64;  // signal(7): the last real-time one
  if (const auto number = parse_uint(text, kLast))
    return *number > 0 ? std::optional(static_cast<int>(*number)) : std::nullopt;
  std::string name(text);
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (int number = 1; number <= kLast; ++number) {
    const char* known = ::sigabbrev_np(number);
    if (known != nullptr && name == known) return number;
  }
  return std::nullopt;
}

}  // namespace sandboxd::ctl
