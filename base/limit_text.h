// A limit's value (base/limits.h) as people write and read it: "512M", "90s", "0.5"; "infinity" is none. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.h"

namespace sandboxd {

// Cores as a decimal number with up to three places, in thousandths: "0.5" is 500, "2" is 2000. Not 0.
[[nodiscard]] std::optional<std::uint64_t> parse_cores(std::string_view text);

// The value that is none; a row without one (cpu_weight, and what every jail has) has nothing.
[[nodiscard]] std::optional<std::uint64_t> none_of(const LimitRow& row);

// A value as a person gives it. 0 is taken where 0 is a limit, never as a way to say none.
[[nodiscard]] std::optional<std::uint64_t> parse_limit(const LimitRow& row, std::string_view text);
// What parse_limit takes, for a message.
[[nodiscard]] std::string expected_of(const LimitRow& row);

// "512M", "90s", "0.5", "infinity". parse_limit takes it back.
[[nodiscard]] std::string limit_text(const LimitRow& row, std::uint64_t value);

// Whether `asked` allows more than `most`; none allows the most.
[[nodiscard]] constexpr bool is_wider(const LimitRow& row, std::uint64_t asked, std::uint64_t most) {
  if (!row.zero_is_none) return asked > most;
  return most != 0 && (asked == 0 || asked > most);
}

}  // namespace sandboxd
