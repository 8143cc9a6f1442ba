// What the host's files say, as text: pure, for the probes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd::doctor {

// Where a cgroup2 file system is mounted, by /proc/self/mountinfo (proc(5)).
[[nodiscard]] std::optional<std::string> find_cgroup2(std::string_view mountinfo);

// Those of `wanted` that are not among the words of `text`, as "a, b".
[[nodiscard]] std::string missing_words(std::string_view text, std::span<const std::string_view> wanted);

// passwd(5) and group(5): the first account whose id (third field) lies in [first, last], as "name (id)".
[[nodiscard]] std::optional<std::string> account_in(std::string_view text, std::uint32_t first, std::uint32_t last);
// subuid(5) and subgid(5): the first range that meets [first, last], as "name (start, count)".
[[nodiscard]] std::optional<std::string> range_in(std::string_view text, std::uint32_t first, std::uint32_t last);

}  // namespace sandboxd::doctor
