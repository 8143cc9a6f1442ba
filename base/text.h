// Text that comes from outside: exact number parsing, quoting for messages, base64 (RFC 4648), hex, UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sandboxd {

// Decimal digits only, no sign, no leading zero but "0" itself, no white space; nothing above `most`.
[[nodiscard]] std::optional<std::uint64_t> parse_uint(std::string_view text, std::uint64_t most);

// 'text' in single quotes with control, non-ASCII-printable and quote bytes as \xNN: safe for a terminal or a log line.
[[nodiscard]] std::string quoted(std::string_view text);
// The same without the quotes. UTF-8 letters stay; C0, C1, DEL, bidi controls and broken UTF-8 are escaped.
[[nodiscard]] std::string escaped(std::string_view text);

// Well-formed UTF-8 (no surrogates, no overlong forms, no NUL excluded).
[[nodiscard]] bool is_utf8(std::string_view text);

[[nodiscard]] std::string base64_encode(std::string_view bytes);
// Strict: padding required, no white space, no other alphabet, unused bits zero.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

[[nodiscard]] std::string hex(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::optional<std::string> from_hex(std::string_view text);  // lower case only

// "2G", "512M", "64K", "1048576": binary units as systemd.resource-control(5) takes them.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
// "90s", "5min", "500ms", "2h", "1d", "90" (seconds): microseconds, as systemd.time(7) names them.
[[nodiscard]] std::optional<std::uint64_t> parse_timespan_usec(std::string_view text);

}  // namespace sandboxd
