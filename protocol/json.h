// JSON from outside, read exactly (RFC 8259): duplicate keys, nesting over kMaxDepth, more than kMaxValues values, broken
// UTF-8 and anything after the value are refused. Nothing here throws, and nothing recurses on the input's depth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace sandboxd::protocol {

using Json = nlohmann::json;

inline constexpr std::size_t kMaxDepth = 32;
inline constexpr std::size_t kMaxValues = 65536;

// What org.sandboxd.InvalidArgument carries. `path` is a JSON pointer (RFC 6901), `value` JSON text, cut when it is long.
struct Invalid {
  std::string path{}, value{}, expected{};
  bool operator==(const Invalid&) const = default;
  [[nodiscard]] std::string message() const;  // for people: expected ..., found ... at '...'
};

// Functions that check return what is wrong, or nothing. `out` is unspecified after a failure.
using Checked = std::optional<Invalid>;

[[nodiscard]] Checked parse_json(std::string_view text, Json& out);
// One line, UTF-8, without NUL: a varlink frame less its NUL. Broken UTF-8 in strings becomes U+FFFD.
[[nodiscard]] std::string to_text(const Json& value);

[[nodiscard]] Invalid invalid(std::string_view path, const Json& value, std::string expected);
[[nodiscard]] std::string child_path(std::string_view path, std::string_view key);
[[nodiscard]] std::string child_path(std::string_view path, std::size_t index);

// Bytes as a JSON string where they are UTF-8 and that is not the longer one, else {"b64": "..."}: the text of the result
// is never longer than base64 is.
[[nodiscard]] Json bytes_to_json(std::string_view bytes);
[[nodiscard]] Checked bytes_from_json(const Json& value, std::string_view path, std::size_t most, std::string& out);

}  // namespace sandboxd::protocol
