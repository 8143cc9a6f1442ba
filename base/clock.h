// Clocks in microseconds: CLOCK_MONOTONIC for deadlines, CLOCK_REALTIME for records only.
#pragma once

#include <cstdint>
#include <string>

namespace sandboxd {

[[nodiscard]] std::uint64_t monotonic_usec();
[[nodiscard]] std::uint64_t realtime_usec();
// RFC 3339 in UTC with nanoseconds: 2026-01-01T00:00:00.000000000Z
[[nodiscard]] std::string rfc3339_now();

}  // namespace sandboxd
